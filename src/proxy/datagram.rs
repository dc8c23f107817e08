//! The peers of a datagram socket, each with a socket of its own to the server.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{Instant, interval, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, warn};

use super::Carrier;
use crate::net::Endpoint;
use crate::net::datagram::{Datagram, DatagramSocket};
use crate::net::peer::PeerSocket;
use crate::recorder::What;

/// A peer that nothing has come from or gone to for so long is forgotten.
const PEER_TIMEOUT: Duration = Duration::from_secs(60);

/// How often it is looked for such peers.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Peers that are known at a time; datagrams of others are dropped.
const MOST_PEERS: usize = 10_000;

/// Datagrams that wait to be sent to clients; more are dropped, as a network would.
const MOST_WAITING: usize = 1024;

/// Who sends several datagrams without an answer in between is taken to send more until it was
/// silent for so long. The server's answers wait until then, so that their place in the recording
/// does not depend on the moment.
const CALM: Duration = Duration::from_millis(5);

/// Who sends more than this has to let the server have its turn.
const MOST_AT_ONCE: usize = 256;

/// A datagram, who it came from, and the address of ours that it came to, if that is told.
type Arrival = (Endpoint, Option<IpAddr>, Arc<[u8]>);

/// A client's address, and the one of ours that it speaks to.
type Key = (Endpoint, Endpoint);

/// What the server has said to a client.
type Heard = (Key, Rc<Peer>, Arc<[u8]>);

/// What the socket's task shares with those of its peers.
struct Exchange {
    carrier: Rc<Carrier>,
    /// Each with what ends its task when dropped.
    peers: RefCell<HashMap<Key, (Rc<Peer>, DropGuard)>>,
    /// What the server has said, and is not recorded yet.
    heard: RefCell<VecDeque<Heard>>,
    /// Something was heard.
    more: Notify,
    /// What is to be sent to clients.
    waiting: RefCell<VecDeque<(Key, Arc<[u8]>)>>,
    /// It was told that new clients find no place, and that the server takes nothing.
    full: Cell<bool>,
    refused: Cell<bool>,
}

struct Peer {
    number: u64,
    socket: PeerSocket,
    active: Cell<Instant>,
    /// Datagrams that it has sent since it last got one, and when the last of them came.
    at_once: Cell<usize>,
    spoke: Cell<Instant>,
}

/// Carries between the clients of a socket and the server until the proxy ends.
pub(super) async fn carry(carrier: Rc<Carrier>, socket: DatagramSocket) {
    let local = match socket.local() {
        Ok(local) => local,
        Err(error) => return warn!(%error, "a datagram socket has no address"),
    };
    let ending = carrier.ending.clone();
    let exchange = Rc::new(Exchange {
        carrier,
        peers: RefCell::default(),
        heard: RefCell::default(),
        more: Notify::new(),
        waiting: RefCell::default(),
        full: Cell::new(false),
        refused: Cell::new(false),
    });
    ending.run_until_cancelled(exchange.run(socket, &local)).await;
}

impl Exchange {
    async fn run(self: &Rc<Self>, mut socket: DatagramSocket, local: &Endpoint) {
        let mut look = interval(LOOK_INTERVAL);
        loop {
            let mut arrived = Vec::new();
            tokio::select! {
                // What clients have sent by now they have sent without having seen what the server
                // says next, and so it is recorded.
                biased;
                () = poll_fn(|context| self.poll_socket(context, &mut socket, &mut arrived)) => {}
                () = self.until_calm() => {}
                _ = look.tick() => self.forget_silent().await,
            }
            for (peer, ip, data) in arrived {
                self.receive((peer, local.at(ip)), data).await;
            }
            while let Some((key, peer, data)) = self.take_calm() {
                peer.at_once.set(0);
                self.carrier.note(peer.number, What::Answered(Arc::clone(&data))).await;
                self.send(key, data);
            }
        }
    }

    /// Waits until the server has said something to a client that is not sending.
    async fn until_calm(&self) {
        loop {
            let calm_at = self.heard.borrow().iter().map(|(_, peer, _)| peer.calm_at()).min();
            match calm_at {
                None => self.more.notified().await,
                Some(at) if at <= Instant::now() => return,
                Some(at) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = self.more.notified() => {}
                },
            }
        }
    }

    /// The first of what the server has said to clients that are not sending.
    fn take_calm(&self) -> Option<Heard> {
        let now = Instant::now();
        let mut heard = self.heard.borrow_mut();
        let index = heard.iter().position(|(_, peer, _)| peer.calm_at() <= now)?;
        heard.remove(index)
    }

    /// Sends what waits; ready once something has arrived.
    fn poll_socket(
        &self,
        context: &mut Context<'_>,
        socket: &mut DatagramSocket,
        arrived: &mut Vec<Arrival>,
    ) -> Poll<()> {
        let mut waiting = self.waiting.borrow_mut();
        while !waiting.is_empty() {
            let count = waiting.len();
            let sent = socket.poll_send(context, count, |index| {
                let ((to, from), data) = &waiting[index];
                Datagram { to, from, data }
            });
            match sent {
                Poll::Ready(Ok(count)) => drop(waiting.drain(..count)),
                Poll::Ready(Err(error)) => {
                    warn!(%error, "the socket cannot send");
                    waiting.clear();
                }
                Poll::Pending => break,
            }
        }
        drop(waiting);
        let received = socket.poll_receive(context, |peer, ip, data| {
            arrived.push((peer, ip, data.into()));
            ControlFlow::Continue(())
        });
        match received {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(error)) => {
                debug!(%error, "a datagram could not be received");
                Poll::Ready(())
            }
        }
    }

    /// A client has sent something.
    async fn receive(self: &Rc<Self>, key: Key, data: Arc<[u8]>) {
        let known = self.peers.borrow().get(&key).map(|(peer, _)| Rc::clone(peer));
        let peer = match known {
            Some(peer) => peer,
            None => match self.admit(key).await {
                Some(peer) => peer,
                None => return,
            },
        };
        peer.active.set(Instant::now());
        peer.spoke.set(Instant::now());
        peer.at_once.set(peer.at_once.get() + 1);
        self.carrier.note(peer.number, What::Sent(Arc::clone(&data))).await;
        match peer.socket.try_send(&data) {
            Ok(_) => {}
            // That of the one before, which nobody took; this one is tried once more.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                self.tell_refused(&error);
                let _ = peer.socket.try_send(&data);
            }
            Err(error) => {
                debug!(%error, "a datagram did not reach {}", self.carrier.server.address());
            }
        }
    }

    async fn admit(self: &Rc<Self>, key: Key) -> Option<Rc<Peer>> {
        if self.peers.borrow().len() >= MOST_PEERS {
            if !self.full.replace(true) {
                warn!("datagrams of new clients are dropped: {MOST_PEERS} are known");
            }
            return None;
        }
        let socket = match self.carrier.server.open() {
            Ok(socket) => socket,
            Err(error) => {
                let address = self.carrier.server.address();
                warn!("a datagram of {} is dropped: {address} cannot be reached: {error}", key.0);
                return None;
            }
        };
        let ending = CancellationToken::new();
        let peer = Rc::new(Peer {
            number: self.carrier.opened().await,
            socket,
            active: Cell::new(Instant::now()),
            at_once: Cell::new(0),
            spoke: Cell::new(Instant::now()),
        });
        debug!(peer = %key.0, client = peer.number, "a new client");
        let known = (Rc::clone(&peer), ending.clone().drop_guard());
        self.peers.borrow_mut().insert(key.clone(), known);
        let listening = Rc::clone(self).listen(key, Rc::clone(&peer));
        let proxy = self.carrier.ending.clone();
        spawn_local(async move {
            tokio::select! {
                () = ending.cancelled() => {}
                () = proxy.cancelled() => {}
                () = listening => {}
            }
        });
        Some(peer)
    }

    /// Hears what the server says to a peer, for ever.
    async fn listen(self: Rc<Self>, key: Key, peer: Rc<Peer>) {
        loop {
            let received = peer.socket.readable().await.and_then(|()| {
                let mut scratch = self.carrier.scratch.borrow_mut();
                let length = peer.socket.try_receive(&mut scratch)?;
                Ok::<Arc<[u8]>, io::Error>(scratch[..length].into())
            });
            match received {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(data) => {
                    peer.active.set(Instant::now());
                    self.hear(key.clone(), Rc::clone(&peer), data);
                }
                Err(error) => self.tell_refused(&error),
            }
        }
    }

    fn hear(&self, key: Key, peer: Rc<Peer>, data: Arc<[u8]>) {
        let mut heard = self.heard.borrow_mut();
        if heard.len() < MOST_WAITING {
            heard.push_back((key, peer, data));
            self.more.notify_one();
        } else {
            debug!(peer = %key.0, "dropped a datagram: too many are waiting");
        }
    }

    fn send(&self, key: Key, data: Arc<[u8]>) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() < MOST_WAITING {
            waiting.push_back((key, data));
        } else {
            debug!(peer = %key.0, "dropped a datagram: too many are waiting");
        }
    }

    /// Says so once: each datagram would be told of.
    fn tell_refused(&self, error: &io::Error) {
        if !self.refused.replace(true) {
            warn!(
                "{} does not take datagrams: {error}; clients get no answer until it does",
                self.carrier.server.address()
            );
        }
    }

    async fn forget_silent(&self) {
        let mut gone = Vec::new();
        self.peers.borrow_mut().retain(|_, (peer, _)| {
            let stays = peer.active.get().elapsed() < PEER_TIMEOUT;
            if !stays {
                gone.push(peer.number);
            }
            stays
        });
        for number in gone {
            self.carrier.note(number, What::Gone).await;
        }
    }
}

impl Peer {
    /// From when on it does not seem to be about to send more.
    fn calm_at(&self) -> Instant {
        let is_sending = (2..MOST_AT_ONCE).contains(&self.at_once.get());
        if is_sending { self.spoke.get() + CALM } else { self.spoke.get() }
    }
}
