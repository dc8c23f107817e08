//! The peers of one datagram socket: who is known, whose callback is running, what waits behind
//! it, and how a peer ends.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::yield_now;
use tracing::debug;

use super::Site;
use super::clock::Clock;
use crate::conn::{Conn, Identity, Outbox, Outgoing, ReadEnd, Reason};
use crate::handler::{Event, Handler, Kind, Outcome, Step, finish, run, serve_penalty};
use crate::net::Endpoint;
use crate::service::{Entry, Service};
use crate::tap::End;
use crate::turn::Turn;

/// Source ports whose services answer whatever they get: a datagram that claims to come from one
/// would have two servers answer each other for ever, or us flood somebody. Echo, discard,
/// daytime, qotd, chargen, time, DNS, portmap, NTP, SNMP, CLDAP, SSDP, WS-discovery, mDNS and
/// memcached; 0 cannot be answered.
const REFLECTORS: [u16; 16] =
    [0, 7, 9, 13, 17, 19, 37, 53, 111, 123, 161, 389, 1900, 3702, 5353, 11211];

/// A peer; the datagrams that wait for its callback are in the connection's inbox.
pub(super) struct Peer<H: Handler> {
    pub(super) conn: Rc<Conn>,
    _entry: Entry<H>,
    /// A callback of it waits.
    busy: Cell<bool>,
    /// Its conversation has ended; tasks of it may be at work.
    over: Cell<bool>,
}

impl<H: Handler> Peer<H> {
    /// Whether a callback of it waits for something else than a message.
    pub(super) fn is_working(&self) -> bool {
        self.busy.get() && !self.conn.is_being_read()
    }
}

/// A peer's address, and the one of ours that it speaks to.
pub(super) type Key = (Endpoint, Endpoint);

/// The peers of one socket.
pub(super) struct Table<H: Handler> {
    pub(super) peers: RefCell<HashMap<Key, Rc<Peer<H>>>>,
    pub(super) service: Rc<Service<H>>,
    site: Site,
    pub(super) outgoing: Rc<Outgoing>,
    local: Endpoint,
    generation: Cell<u64>,
    /// Peers that have ended, which the tap is told once their last words have left.
    ended: RefCell<Vec<(Rc<Conn>, Reason)>>,
}

impl<H: Handler + 'static> Table<H> {
    pub(super) fn new(
        service: Rc<Service<H>>,
        site: Site,
        outgoing: Rc<Outgoing>,
        local: Endpoint,
    ) -> Rc<Self> {
        let generation = Cell::new(service.handler.generation());
        Rc::new(Self {
            peers: RefCell::default(),
            service,
            site,
            outgoing,
            local,
            generation,
            ended: RefCell::default(),
        })
    }

    pub(super) fn handler(&self) -> &H {
        &self.service.handler
    }

    /// Has a datagram answered, or queued behind a callback that waits.
    pub(super) fn receive(
        self: &Rc<Self>,
        clock: &mut Clock,
        from: Endpoint,
        local: Option<IpAddr>,
        data: &[u8],
    ) {
        if !self.site.listener.loopback && from.port().is_some_and(|p| REFLECTORS.contains(&p)) {
            return debug!(peer = %from, "dropped a datagram that claims to come from a reflector");
        }
        let key = (from, self.local.at(local));
        let known = self.peers.borrow().get(&key).cloned();
        let Some(peer) = known.or_else(|| self.admit(clock, key)) else { return };
        peer.conn.touch_at(clock.now());
        if let Some(tap) = &self.service.tap {
            tap.received(&peer.conn, data);
        }
        // What comes behind a close is dropped, as on a stream.
        if peer.conn.ordered_end().is_some() {
            return;
        }
        let is_free = !peer.busy.get() && !peer.over.get() && !peer.conn.has_datagrams();
        if is_free && !peer.conn.has_reader() && !self.handler().wants(Kind::Session) {
            return self.answer(&peer, data);
        }
        self.service.log_message(&peer.conn, data);
        if peer.conn.queue_datagram(data).is_err() {
            return debug!(conn = %peer.conn, "dropped a datagram: too many are waiting");
        }
        if is_free && !peer.conn.has_reader() {
            self.start(&peer, Event::Session);
        }
    }

    /// Has the messages of a datagram answered, until a callback waits.
    fn answer(self: &Rc<Self>, peer: &Rc<Peer<H>>, data: &[u8]) {
        let conn = &peer.conn;
        let mut used = 0;
        let mut turn = None;
        loop {
            let rest = &data[used..];
            let decoded = match conn.framing().decode_datagram(rest, used == 0) {
                Ok(Some(decoded)) => decoded,
                Ok(None) => return,
                Err(error) => {
                    let reason = conn.note_frame_error(&error);
                    return self.end(peer, reason);
                }
            };
            let message = decoded.message.bytes(rest);
            self.service.log_message(conn, message);
            self.start(peer, Event::Message(message));
            used += decoded.consumed;
            // What is behind a close is dropped, as on a stream.
            if used == data.len() || conn.due_end().is_some() || conn.is_gone() {
                return;
            }
            if peer.busy.get() {
                return conn.put_datagram_back(data.to_vec(), used);
            }
            if turn.get_or_insert_with(Turn::begin).is_over() {
                conn.put_datagram_back(data.to_vec(), used);
                return conn.wake();
            }
        }
    }

    /// Makes a connection of a peer that was not known; `None` where `on_connect` refused it, or
    /// `--max-peers` are known and none of ours can be forgotten.
    fn admit(self: &Rc<Self>, clock: &mut Clock, key: Key) -> Option<Rc<Peer<H>>> {
        if self.site.known.load(Ordering::Relaxed) >= self.service.max_peers
            && !clock.push_out_oldest(self)
        {
            debug!(peer = %key.0, "dropped a datagram of a new peer: --max-peers are known");
            return None;
        }
        self.site.known.fetch_add(1, Ordering::Relaxed);
        let identity = Identity {
            id: self.service.next_id(),
            transport: self.site.transport,
            ends: key.clone(),
            listener: Some(Arc::clone(&self.site.listener)),
            framings: self.handler().framings(),
            version: self.handler().version(),
        };
        let conn = Conn::new(identity, Outbox::Datagrams(Rc::clone(&self.outgoing)));
        debug!(%conn, "connection opened");
        if let Some(tap) = &self.service.tap {
            tap.opened(&conn);
        }
        let peer = Rc::new(Peer {
            _entry: self.service.enter(&conn),
            conn,
            busy: Cell::new(false),
            over: Cell::new(false),
        });
        self.peers.borrow_mut().insert(key.clone(), Rc::clone(&peer));
        clock.add(self, key, peer.conn.id, peer.conn.last_active());
        if self.handler().wants(Kind::Connect) {
            self.start(&peer, Event::Connect);
        }
        (!peer.conn.is_gone()).then_some(peer)
    }

    /// The peer at `key`, if it is still the one whose connection has this id.
    pub(super) fn known(&self, key: &Key, id: u64) -> Option<Rc<Peer<H>>> {
        self.peers.borrow().get(key).filter(|peer| peer.conn.id == id).cloned()
    }

    /// Runs a callback of a peer that has none running.
    fn start(self: &Rc<Self>, peer: &Rc<Peer<H>>, event: Event<'_>) {
        let kind = event.kind();
        match self.handler().start(&peer.conn, event) {
            Step::Done(Outcome::Rejected) if kind == Kind::Connect => {
                self.end(peer, Reason::Rejected);
            }
            // A conversation that ended without a wait.
            Step::Done(Outcome::Done { .. } | Outcome::Rejected) if kind == Kind::Session => {
                self.end_conversation(peer);
            }
            Step::Done(Outcome::Done { .. } | Outcome::Rejected) => {}
            step => {
                peer.busy.set(true);
                let calls = self.handler().calls();
                let (table, peer) = (Rc::clone(self), Rc::clone(peer));
                self.site
                    .tasks
                    .spawn_local(async move { table.follow(peer, kind, step, calls).await });
            }
        }
    }

    /// Goes on with a callback that waits or failed, `calls` being counted then, and with what
    /// came meanwhile.
    async fn follow(
        self: Rc<Self>,
        peer: Rc<Peer<H>>,
        mut kind: Kind,
        step: Step<H::Call>,
        calls: u64,
    ) {
        let conn = &peer.conn;
        let mut failed_at = matches!(step, Step::Done(_)).then_some(calls);
        let mut outcome = finish(self.handler(), conn, step).await;
        let mut turn = Turn::begin();
        loop {
            serve_penalty(self.handler(), conn, failed_at.take()).await;
            if turn.is_over() {
                yield_now().await;
                turn = Turn::begin();
            }
            if let Some(reason) = self.end_after(conn, kind, &outcome) {
                return self.end(&peer, reason);
            }
            if kind == Kind::Session {
                peer.busy.set(false);
                return self.end_conversation(&peer);
            }
            let live = self.handler().generation();
            if conn.generation() != live {
                conn.enter_generation(self.handler().version(), self.handler().framings());
                kind = Kind::Reload;
                outcome = run(self.handler(), conn, Event::Reload).await;
                continue;
            }
            if !conn.has_datagrams() || conn.has_reader() {
                break;
            }
            if self.handler().wants(Kind::Session) {
                kind = Kind::Session;
                outcome = run(self.handler(), conn, Event::Session).await;
                continue;
            }
            let data = match conn.next_datagram_message(&conn.framing()) {
                Ok(Some(data)) => data,
                Ok(None) => break,
                Err(error) => {
                    let reason = conn.note_frame_error(&error);
                    return self.end(&peer, reason);
                }
            };
            kind = Kind::Message;
            outcome = run(self.handler(), conn, Event::Message(&data)).await;
            conn.recycle(data);
        }
        peer.busy.set(false);
    }

    /// A conversation has ended: so has its peer, once the tasks that it spawned have.
    fn end_conversation(self: &Rc<Self>, peer: &Rc<Peer<H>>) {
        peer.over.set(true);
        if !self.handler().has_tasks(&peer.conn) {
            self.end(peer, peer.conn.due_end().unwrap_or(Reason::Closed));
        }
    }

    /// Looks at a peer with which something changed.
    pub(super) fn look_at(self: &Rc<Self>, conn: &Conn) {
        let key = (conn.peer.clone(), conn.local.clone());
        let Some(peer) = self.known(&key, conn.id).filter(|peer| !peer.busy.get()) else { return };
        if let Some(reason) = conn.due_end() {
            self.end(&peer, reason);
        } else if peer.over.get() {
            self.end_conversation(&peer);
        } else if conn.has_datagrams() && !conn.has_reader() {
            // A task has read some of them, and no more.
            peer.busy.set(true);
            let table = Rc::clone(self);
            let step = Step::Done(Outcome::NOTHING);
            let calls = self.handler().calls();
            self.site
                .tasks
                .spawn_local(async move { table.follow(peer, Kind::Message, step, calls).await });
        }
    }

    /// Whether the peer ends after a callback with this outcome, and why.
    fn end_after(&self, conn: &Conn, kind: Kind, outcome: &Outcome) -> Option<Reason> {
        let opening = kind == Kind::Connect;
        match outcome {
            Outcome::Rejected if opening => Some(Reason::Rejected),
            Outcome::Failed(_)
                if opening || kind == Kind::Session || self.service.close_on_error =>
            {
                Some(Reason::Error)
            }
            _ => {
                let draining = self.service.is_draining().then_some(Reason::Shutdown);
                conn.due_end().or(draining)
            }
        }
    }

    /// Forgets a peer and tells the script.
    pub(super) fn end(self: &Rc<Self>, peer: &Rc<Peer<H>>, reason: Reason) {
        let conn = &peer.conn;
        let key = (conn.peer.clone(), conn.local.clone());
        if self.peers.borrow_mut().remove(&key).is_none() {
            return;
        }
        self.site.known.fetch_sub(1, Ordering::Relaxed);
        self.handler().release(conn);
        conn.mark_gone();
        self.outgoing.wake();
        debug!(%conn, %reason, "connection closed");
        if self.service.tap.is_some() {
            self.ended.borrow_mut().push((Rc::clone(conn), reason));
        }
        match self.handler().start(conn, Event::Close(reason)) {
            Step::Done(Outcome::Done { .. } | Outcome::Rejected) => {}
            step => {
                let (table, peer) = (Rc::clone(self), Rc::clone(peer));
                self.site.tasks.spawn_local(async move {
                    finish(table.handler(), &peer.conn, step).await;
                });
            }
        }
    }

    /// Ends a peer: at once, or as soon as its callback, which may wait for a message, has ended.
    pub(super) fn end_when_idle(self: &Rc<Self>, peer: &Rc<Peer<H>>, reason: Reason) {
        if peer.busy.get() {
            peer.conn.end(reason);
        } else {
            self.end(peer, reason);
        }
    }

    /// Nothing is queued any more.
    pub(super) fn tell_ends(&self) {
        let Some(tap) = &self.service.tap else { return };
        for (conn, reason) in self.ended.borrow_mut().drain(..) {
            tap.ended(&conn, End::Gone { reason, reset: false });
        }
    }

    fn idle_peers(&self) -> Vec<Rc<Peer<H>>> {
        self.peers.borrow().values().filter(|peer| !peer.busy.get()).cloned().collect()
    }

    /// The server drains: ends the peers whose callback is not running, and the reads of those
    /// whose is.
    pub(super) fn drain(self: &Rc<Self>) {
        for peer in self.idle_peers() {
            self.end(&peer, Reason::Shutdown);
        }
        for peer in self.peers.borrow().values() {
            peer.conn.end_reads(ReadEnd::Shutdown);
        }
    }

    /// Runs `on_reload` for every peer once a new generation is live.
    pub(super) fn announce_generation(self: &Rc<Self>) {
        let generation = self.handler().generation();
        if self.generation.replace(generation) == generation {
            return;
        }
        for peer in self.idle_peers() {
            // One whose callback just ended may have been told already.
            if peer.conn.generation() == generation {
                continue;
            }
            peer.conn.enter_generation(self.handler().version(), self.handler().framings());
            if self.handler().wants(Kind::Reload) {
                self.start(&peer, Event::Reload);
            }
        }
    }
}
