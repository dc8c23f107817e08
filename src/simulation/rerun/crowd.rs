//! The peers of a rerun: each does what it did, and what it hears is an answer to the last message
//! that the server has begun with.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::time::sleep;

use super::agenda::Agenda;
use super::{Cue, Deed, Reply};
use crate::net::memory::{Arrival, Far};
use crate::simulation::door::Door;
use crate::simulation::idle::Idle;
use crate::world::World;

/// Bytes that a run may answer: a script that floods its peers has no end of them.
const MOST_ANSWERED: usize = 64 << 20;

/// The peers and their server.
pub(super) struct Crowd<'a> {
    door: Door,
    idle: &'a Idle,
    world: Rc<World>,
    cues: &'a [Cue],
    agenda: Agenda<'a>,
    /// In an order that is the same in every run.
    peers: BTreeMap<u64, Peer>,
    replies: Vec<Reply>,
    /// Bytes in `replies`.
    answered: usize,
}

/// A peer, and the cue that what it receives is an answer to.
struct Peer {
    far: Far,
    cue: usize,
    /// What it has done and the server does not ask for yet, by the cues.
    waiting: VecDeque<usize>,
    /// It has ended its sending side, so that an end of the server's is no news.
    has_ended: bool,
    /// It hears nothing any more.
    is_over: bool,
}

impl Peer {
    fn new(far: Far, cue: usize) -> Self {
        Self { far, cue, waiting: VecDeque::new(), has_ended: false, is_over: false }
    }

    /// Whether something waits and the server asks for it.
    fn is_asked(&mut self, context: &mut Context<'_>) -> bool {
        !self.waiting.is_empty() && self.far.poll_awaited(context).is_ready()
    }

    /// Does the next of what waits; says whether it could.
    fn go_on(&mut self, cues: &[Cue]) -> bool {
        let Some(&index) = self.waiting.front() else { return false };
        let cue = &cues[index];
        if let Deed::Send(piece) = &cue.deed {
            let mut context = Context::from_waker(Waker::noop());
            // It was taken once; where it is not any more, there is no reply.
            if self.far.poll_send(&mut context, piece).is_pending() {
                return false;
            }
        } else {
            self.has_ended = true;
            self.far.end();
        }
        if cue.ends_message {
            self.cue = index;
        }
        self.waiting.pop_front();
        true
    }
}

impl<'a> Crowd<'a> {
    pub(super) fn new(door: Door, idle: &'a Idle, world: Rc<World>, cues: &'a [Cue]) -> Self {
        Self {
            door,
            idle,
            world,
            cues,
            agenda: Agenda::new(cues),
            peers: BTreeMap::new(),
            replies: vec![Reply::default(); cues.len()],
            answered: 0,
        }
    }

    /// Has them do everything; the replies, by the index of their cues.
    pub(super) async fn play(mut self) -> Result<Vec<Reply>, String> {
        while let Some(at) = self.agenda.next_time() {
            let wait = at.saturating_sub(self.world.elapsed());
            if wait.is_zero() {
                if let Some(index) = self.agenda.take(self.world.elapsed()) {
                    self.act(index);
                }
            } else {
                // Whoever hears something may be the next.
                tokio::select! {
                    () = sleep(wait) => {}
                    heard = poll_fn(|context| self.poll_hear(context)) => heard?,
                }
            }
            self.listen().await?;
        }
        Ok(self.replies)
    }

    fn act(&mut self, index: usize) {
        let cue = &self.cues[index];
        if let Deed::Open(place) = &cue.deed
            && let Some(far) = self.door.open(place)
        {
            self.peers.insert(cue.conn, Peer::new(far, index));
        }
        let Some(peer) = self.peers.get_mut(&cue.conn) else {
            return self.agenda.hear(cue.conn);
        };
        match &cue.deed {
            Deed::Open(_) => {}
            Deed::Send(_) | Deed::End => peer.waiting.push_back(index),
            Deed::Leave => {
                // What is on its way arrives.
                while peer.go_on(self.cues) {}
                self.peers.remove(&cue.conn);
                return;
            }
            Deed::Rest => {
                peer.waiting.clear();
                peer.is_over = true;
            }
        }
        if peer.is_over {
            self.agenda.hear(cue.conn);
        }
    }

    /// Lets everything come to rest, takes in what the peers receive, and has them send what the
    /// server asks for.
    async fn listen(&mut self) -> Result<(), String> {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            self.idle.rest().await;
            // What came was there before what is sent next.
            let mut has_gone_on = self.take_in(&mut context)?;
            for peer in self.peers.values_mut() {
                has_gone_on |= peer.is_asked(&mut context) && peer.go_on(self.cues);
            }
            // Whoever waited for room goes on, too.
            if !has_gone_on {
                return Ok(());
            }
        }
    }

    /// Resolves when a peer has received something, or is asked for more.
    fn poll_hear(&mut self, context: &mut Context<'_>) -> Poll<Result<(), String>> {
        match self.take_in(context) {
            Ok(false) => {}
            heard => return Poll::Ready(heard.map(drop)),
        }
        let mut is_asked = false;
        for peer in self.peers.values_mut() {
            is_asked |= peer.is_asked(context);
        }
        if is_asked { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Takes in what has come; says whether anything has.
    fn take_in(&mut self, context: &mut Context<'_>) -> Result<bool, String> {
        let mut has_heard = false;
        for (conn, peer) in self.peers.iter_mut().filter(|(_, peer)| !peer.is_over) {
            let reply = &mut self.replies[peer.cue];
            while !peer.is_over
                && let Poll::Ready(arrival) = peer.far.poll_receive(context)
            {
                has_heard = true;
                self.agenda.hear(*conn);
                match arrival {
                    Arrival::Piece(piece) => {
                        self.answered += piece.len();
                        reply.bytes.extend(piece);
                    }
                    Arrival::Eof | Arrival::Reset => {
                        reply.ended = !peer.has_ended;
                        peer.is_over = true;
                    }
                }
                if self.answered > MOST_ANSWERED {
                    let limit = MOST_ANSWERED >> 20;
                    return Err(format!("the answers are over {limit} MiB"));
                }
            }
        }
        Ok(has_heard)
    }
}
