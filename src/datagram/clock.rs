//! When peers have been silent for too long, and which one makes room for a new one.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;

use tokio::time::{Instant, Sleep, sleep_until};

use super::peers::{Key, Table};
use crate::conn::Reason;
use crate::handler::Handler;

/// Peers that are looked at for one to forget; a new peer must not cost a walk over all.
const LONGEST_LOOK: usize = 64;

/// The peers in the order in which they may have fallen silent. A peer that spoke since goes to
/// the end when its turn comes, so that a datagram costs nothing here.
pub(super) struct Clock {
    queue: VecDeque<(Key, u64, Instant)>,
    timer: Option<Pin<Box<Sleep>>>,
    now: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { queue: VecDeque::default(), timer: None, now: Instant::now() }
    }
}

impl Clock {
    /// What time it was when the turn began.
    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// Asks for the time, as each turn does when it begins.
    pub(super) fn advance(&mut self) {
        self.now = Instant::now();
    }

    /// Adds a peer that just spoke.
    pub(super) fn add<H: Handler + 'static>(
        &mut self,
        table: &Table<H>,
        key: Key,
        id: u64,
        spoke: Instant,
    ) {
        self.queue.push_back((key, id, spoke));
        self.compact(table);
    }

    /// Ends the peers that were silent for the peer timeout, and has the task woken when the next
    /// one may have been.
    pub(super) fn end_silent<H: Handler + 'static>(
        &mut self,
        table: &Rc<Table<H>>,
        context: &mut Context<'_>,
    ) {
        let limit = table.handler().rules().peer_timeout;
        while let Some((key, id, spoke)) = self.queue.front() {
            let due = *spoke + limit;
            // Whether the peer is still known is asked only then: each datagram passes here.
            if due > self.now {
                if self.is_before(due, context) {
                    return;
                }
                continue;
            }
            let Some(peer) = table.known(key, *id) else {
                self.queue.pop_front();
                continue;
            };
            let spoke = if peer.is_working() { self.now } else { peer.conn.last_active() };
            if spoke + limit <= self.now {
                self.queue.pop_front();
                table.end_when_idle(&peer, Reason::Idle);
            } else if let Some((key, id, _)) = self.queue.pop_front() {
                self.queue.push_back((key, id, spoke));
            }
        }
        self.timer = None;
    }

    /// Whether `due` is yet to come; the task is woken then.
    fn is_before(&mut self, due: Instant, context: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        let before = timer.as_mut().poll(context).is_pending();
        if !before {
            self.advance();
        }
        before
    }

    /// Drops the entries of peers that have ended once they are the most.
    fn compact<H: Handler + 'static>(&mut self, table: &Table<H>) {
        if self.queue.len() > 2 * table.peers.borrow().len() + 64 {
            self.queue.retain(|(key, id, _)| table.known(key, *id).is_some());
        }
    }

    /// Makes room for one more peer: ends the one that is silent for the longest time, so far as
    /// a bounded look tells. Says whether there was one to end.
    pub(super) fn push_out_oldest<H: Handler + 'static>(&mut self, table: &Rc<Table<H>>) -> bool {
        let mut spoke_since = None;
        let mut looks = self.queue.len().min(LONGEST_LOOK);
        while looks > 0 {
            let Some((key, id, then)) = self.queue.pop_front() else { break };
            let Some(peer) = table.known(&key, id) else { continue };
            looks -= 1;
            let spoke = peer.conn.last_active();
            if spoke <= then && !peer.is_working() {
                table.end_when_idle(&peer, Reason::Limit);
                return true;
            }
            if !peer.is_working() && spoke_since.is_none() {
                spoke_since = Some(peer);
            }
            self.queue.push_back((key, id, spoke));
        }
        spoke_since.map(|peer| table.end_when_idle(&peer, Reason::Limit)).is_some()
    }
}
