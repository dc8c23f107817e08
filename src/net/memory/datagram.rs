//! Sockets for datagrams in memory: one with many peers, as a server has, and one with a single
//! peer, as an outgoing connection is.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::ReadBuf;

use super::option::Kept;
use super::{End, Far, Line, wake};
use crate::net::Endpoint;
use crate::net::datagram::OnePeer;
use crate::net::option::{Kind, Knob, KnobValue, OptionError, Options};

/// Datagrams that wait in a socket at most.
const MOST: usize = 1024;

/// A server's socket. A peer that is new gets its far end by [`MemoryDatagrams::peer`].
#[derive(Clone)]
pub struct MemoryDatagrams {
    socket: Rc<RefCell<Socket>>,
    local: Endpoint,
    options: Rc<Kept>,
}

#[derive(Default)]
struct Socket {
    arrived: VecDeque<(Endpoint, Vec<u8>)>,
    peers: HashMap<Endpoint, Weak<RefCell<Line>>>,
    reader: Option<Waker>,
    writers: Vec<Waker>,
}

/// Where the datagrams of one peer go in.
pub(super) struct Entrance {
    socket: Rc<RefCell<Socket>>,
    from: Endpoint,
}

impl MemoryDatagrams {
    /// A socket bound to an address; a Unix socket's if that is one.
    #[must_use]
    pub fn new(local: Endpoint) -> Self {
        let kind = match &local {
            Endpoint::Inet(address) => Kind::Udp { v6: address.is_ipv6() },
            Endpoint::Unix(_) => Kind::Unixgram,
        };
        Self { socket: Rc::default(), local, options: Rc::new(Kept::new(kind)) }
    }

    /// The far end of a peer with this address.
    #[must_use]
    pub fn peer(&self, address: Endpoint) -> Far {
        let line = Rc::<RefCell<Line>>::default();
        self.socket.borrow_mut().peers.insert(address.clone(), Rc::downgrade(&line));
        let entrance = Entrance { socket: Rc::clone(&self.socket), from: address };
        Far { line, socket: Some(entrance) }
    }

    /// Our own address.
    pub(in crate::net) fn local(&self) -> Endpoint {
        self.local.clone()
    }

    /// Takes the next datagram, with its peer.
    pub(in crate::net) fn poll_receive(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<(Endpoint, Vec<u8>)> {
        let mut socket = self.socket.borrow_mut();
        let Some(arrived) = socket.arrived.pop_front() else {
            socket.reader = Some(context.waker().clone());
            return Poll::Pending;
        };
        socket.writers.drain(..).for_each(Waker::wake);
        Poll::Ready(arrived)
    }

    /// Sends one; to a peer that is gone it is lost, as on a network.
    pub(in crate::net) fn send(&self, to: &Endpoint, datagram: &[u8]) {
        let line = self.socket.borrow().peers.get(to).and_then(Weak::upgrade);
        if let Some(line) = line {
            let way = &mut line.borrow_mut().to_far;
            if way.pieces.len() < MOST {
                way.push(datagram.to_vec());
            }
        }
    }
}

impl Options for MemoryDatagrams {
    fn option(&self, knob: Knob) -> Result<KnobValue, OptionError> {
        self.options.get(knob)
    }

    fn set_option(&self, knob: Knob, value: KnobValue) -> Result<(), OptionError> {
        self.options.set(knob, value)
    }
}

impl Entrance {
    pub(super) fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        let mut socket = self.socket.borrow_mut();
        if socket.arrived.len() >= MOST {
            socket.writers.push(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    pub(super) fn poll_send(&self, context: &Context<'_>, datagram: &[u8]) -> Poll<io::Result<()>> {
        ready!(self.poll_room(context));
        let mut socket = self.socket.borrow_mut();
        socket.arrived.push_back((self.from.clone(), datagram.to_vec()));
        wake(&mut socket.reader);
        Poll::Ready(Ok(()))
    }
}

/// A socket with a single peer.
pub struct MemoryLink {
    line: Rc<RefCell<Line>>,
    options: Kept,
}

/// A socket with a single peer, and that peer.
#[must_use]
pub fn link() -> (MemoryLink, Far) {
    let line = Rc::<RefCell<Line>>::default();
    let near = MemoryLink { line: Rc::clone(&line), options: Kept::new(Kind::Udp { v6: false }) };
    (near, Far { line, socket: None })
}

impl OnePeer for MemoryLink {
    /// There is no error: that the peer is gone, nobody is told.
    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let way = &mut self.line.borrow_mut().to_near;
        if let Some(datagram) = way.pop() {
            let length = datagram.len().min(buffer.remaining());
            buffer.put_slice(&datagram[..length]);
            return Poll::Ready(Ok(()));
        }
        way.await_arrival(context);
        Poll::Pending
    }

    /// Where the peer is gone or has not taken many, or much, the datagram is lost.
    fn poll_send(&self, _: &mut Context<'_>, datagram: &[u8]) -> Poll<io::Result<usize>> {
        let way = &mut self.line.borrow_mut().to_far;
        if way.pieces.len() < MOST && way.has_room() {
            way.push(datagram.to_vec());
        }
        Poll::Ready(Ok(datagram.len()))
    }
}

impl Options for MemoryLink {
    fn option(&self, knob: Knob) -> Result<KnobValue, OptionError> {
        self.options.get(knob)
    }

    fn set_option(&self, knob: Knob, value: KnobValue) -> Result<(), OptionError> {
        self.options.set(knob, value)
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        let mut line = self.line.borrow_mut();
        line.near_has_closed = true;
        line.to_far.end(End::Eof);
    }
}
