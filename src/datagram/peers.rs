//! The peers of one datagram socket: who is known, whose callback is running, what waits behind
//! it, and how a peer ends.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::debug;

use super::Site;
use super::clock::Clock;
use crate::conn::{Conn, Outbox, Outgoing, Reason};
use crate::handler::{Event, Handler, Kind, Outcome, Step, finish, run, serve_penalty};
use crate::net::Endpoint;
use crate::service::{Entry, Service};

/// Datagrams of one peer that wait while its callback does; more are dropped.
const MOST_WAITING: usize = 64;

/// Source ports whose services answer whatever they get: a datagram that claims to come from one
/// would have two servers answer each other for ever, or us flood somebody. Echo, discard,
/// daytime, qotd, chargen, time, DNS, portmap, NTP, SNMP, CLDAP, SSDP, WS-discovery, mDNS and
/// memcached; 0 cannot be answered.
const REFLECTORS: [u16; 16] =
    [0, 7, 9, 13, 17, 19, 37, 53, 111, 123, 161, 389, 1900, 3702, 5353, 11211];

/// A peer, and what waits for its callback.
pub(super) struct Peer<H: Handler> {
    pub(super) conn: Rc<Conn>,
    _entry: Entry<H>,
    pub(super) busy: Cell<bool>,
    waiting: RefCell<VecDeque<Vec<u8>>>,
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
}

impl<H: Handler + 'static> Table<H> {
    pub(super) fn new(
        service: Rc<Service<H>>,
        site: Site,
        outgoing: Rc<Outgoing>,
        local: Endpoint,
    ) -> Rc<Self> {
        let generation = Cell::new(service.handler.generation());
        Rc::new(Self { peers: RefCell::default(), service, site, outgoing, local, generation })
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
        let local = match (local, self.local.port()) {
            (Some(ip), Some(port)) => Endpoint::Inet((ip, port).into()),
            _ => self.local.clone(),
        };
        let key = (from, local);
        let known = self.peers.borrow().get(&key).cloned();
        let Some(peer) = known.or_else(|| self.admit(clock, key)) else { return };
        peer.conn.touch();
        // What comes behind a close is dropped, as on a stream.
        if peer.conn.ordered_end().is_some() {
            return;
        }
        self.service.log_message(&peer.conn, data);
        if peer.busy.get() {
            let mut waiting = peer.waiting.borrow_mut();
            if waiting.len() < MOST_WAITING {
                waiting.push_back(data.to_vec());
            } else {
                debug!(conn = %peer.conn, "dropped a datagram: {MOST_WAITING} are waiting");
            }
            return;
        }
        self.start(&peer, Event::Message(data));
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
        let conn = Conn::new(
            self.service.next_id(),
            self.site.transport,
            key.clone(),
            Arc::clone(&self.site.listener),
            Outbox::Datagrams(Rc::clone(&self.outgoing)),
            self.handler().generation(),
        );
        debug!(%conn, "connection opened");
        let peer = Rc::new(Peer {
            _entry: self.service.enter(&conn),
            conn,
            busy: Cell::new(false),
            waiting: RefCell::default(),
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
            Step::Done(Outcome::Done { .. } | Outcome::Rejected) => {}
            step => {
                peer.busy.set(true);
                let (table, peer) = (Rc::clone(self), Rc::clone(peer));
                self.site.tasks.spawn_local(async move { table.follow(peer, kind, step).await });
            }
        }
    }

    /// Goes on with a callback that waits or failed, then with what came meanwhile.
    async fn follow(self: Rc<Self>, peer: Rc<Peer<H>>, mut kind: Kind, step: Step<H::Call>) {
        let conn = &peer.conn;
        let mut outcome = finish(self.handler(), conn, step).await;
        loop {
            serve_penalty(self.handler(), conn).await;
            if let Some(reason) = self.end_after(conn, kind, &outcome) {
                return self.end(&peer, reason);
            }
            let live = self.handler().generation();
            if conn.generation() != live {
                conn.enter_generation(live);
                kind = Kind::Reload;
                outcome = run(self.handler(), conn, Event::Reload).await;
                continue;
            }
            let Some(data) = peer.waiting.borrow_mut().pop_front() else { break };
            kind = Kind::Message;
            outcome = run(self.handler(), conn, Event::Message(&data)).await;
        }
        peer.busy.set(false);
    }

    /// Whether the peer ends after a callback with this outcome, and why.
    fn end_after(&self, conn: &Conn, kind: Kind, outcome: &Outcome) -> Option<Reason> {
        let opening = kind == Kind::Connect;
        match outcome {
            Outcome::Rejected if opening => Some(Reason::Rejected),
            Outcome::Failed(_) if opening || self.service.close_on_error => Some(Reason::Error),
            _ => {
                let draining = self.service.is_draining().then_some(Reason::Shutdown);
                conn.ordered_end().or(draining)
            }
        }
    }

    /// Forgets a peer and tells the script.
    pub(super) fn end(self: &Rc<Self>, peer: &Rc<Peer<H>>, reason: Reason) {
        let conn = &peer.conn;
        let key = (conn.peer.clone(), conn.local.clone());
        self.peers.borrow_mut().remove(&key);
        self.site.known.fetch_sub(1, Ordering::Relaxed);
        conn.mark_gone();
        self.outgoing.wake();
        debug!(%conn, %reason, "connection closed");
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

    /// Ends the peer of `conn`; one whose callback is running ends after that.
    pub(super) fn end_if_idle(self: &Rc<Self>, conn: &Conn, reason: Reason) {
        let key = (conn.peer.clone(), conn.local.clone());
        if let Some(peer) = self.known(&key, conn.id).filter(|peer| !peer.busy.get()) {
            self.end(&peer, reason);
        }
    }

    fn idle_peers(&self) -> Vec<Rc<Peer<H>>> {
        self.peers.borrow().values().filter(|peer| !peer.busy.get()).cloned().collect()
    }

    pub(super) fn end_all_idle(self: &Rc<Self>) {
        for peer in self.idle_peers() {
            self.end(&peer, Reason::Shutdown);
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
            peer.conn.enter_generation(generation);
            if self.handler().wants(Kind::Reload) {
                self.start(&peer, Event::Reload);
            }
        }
    }
}
