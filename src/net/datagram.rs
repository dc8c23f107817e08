//! Datagram sockets, in batches where the system has them: UDP by `recvmmsg` and `sendmmsg` on
//! Linux, Unix datagrams one at a time (a slot of `recvmmsg` that held an unnamed peer does not
//! give the next one's address). What the datagrams mean is for `datagram` in the crate's root.

use std::io;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;
use tokio::net::{UdpSocket, UnixDatagram};

use super::Endpoint;
use super::memory::MemoryDatagrams;
use super::option::Options;
use super::udp::Udp;

/// A datagram on its way out.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// Where it goes.
    pub to: &'a Endpoint,
    /// The address it leaves from; counts on wildcard sockets alone.
    pub from: &'a Endpoint,
    /// Its content.
    pub data: &'a [u8],
}

/// A bound datagram socket.
pub enum DatagramSocket {
    /// UDP.
    Udp(Box<Udp>),
    /// A Unix datagram socket.
    Unix {
        /// The socket; its options are reached through it.
        socket: Rc<UnixDatagram>,
        /// Takes the largest datagram.
        buffer: Box<[u8]>,
    },
    /// One in memory, of a simulated server.
    Memory(MemoryDatagrams),
}

/// A socket that takes and gives datagrams of its one peer.
pub trait OnePeer: Options {
    /// Receives one.
    ///
    /// # Errors
    /// Such as a peer whose port is closed.
    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>>;

    /// Sends one.
    ///
    /// # Errors
    /// The system's.
    fn poll_send(&self, context: &mut Context<'_>, datagram: &[u8]) -> Poll<io::Result<usize>>;
}

impl OnePeer for UdpSocket {
    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_recv(context, buffer)
    }

    fn poll_send(&self, context: &mut Context<'_>, datagram: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(context, datagram)
    }
}

/// The largest datagram: what the length field of UDP can say.
pub(super) const LARGEST: usize = 65_535;

impl DatagramSocket {
    /// A UDP socket; `wildcard` where it is bound to every address, so that replies must name the
    /// one they leave from.
    ///
    /// # Errors
    /// The runtime does not take the socket.
    pub fn udp(socket: std::net::UdpSocket, wildcard: bool) -> io::Result<Self> {
        Ok(Self::Udp(Udp::new(socket, wildcard)?.into()))
    }

    /// A Unix datagram socket.
    ///
    /// # Errors
    /// The runtime does not take the socket.
    pub fn unix(socket: std::os::unix::net::UnixDatagram) -> io::Result<Self> {
        let buffer = vec![0; LARGEST].into_boxed_slice();
        Ok(Self::Unix { socket: UnixDatagram::from_std(socket)?.into(), buffer })
    }

    /// The options of the socket.
    #[must_use]
    pub fn options(&self) -> Rc<dyn Options> {
        match self {
            Self::Udp(udp) => udp.options(),
            Self::Unix { socket, .. } => Rc::clone(socket) as _,
            Self::Memory(socket) => Rc::new(socket.clone()),
        }
    }

    /// Our own address.
    ///
    /// # Errors
    /// The system's.
    pub fn local(&self) -> io::Result<Endpoint> {
        match self {
            Self::Udp(udp) => udp.local().map(Endpoint::from),
            Self::Unix { socket, .. } => socket.local_addr().map(|local| Endpoint::from(&local)),
            Self::Memory(socket) => Ok(socket.local()),
        }
    }

    /// Receives what is there, a batch at most, and hands each datagram to `take` with its peer
    /// and, on wildcard sockets, the address it came to. Where `take` breaks off, the rest of the
    /// batch is kept for the next call.
    ///
    /// # Errors
    /// The system's; such as a peer's port that is closed, which concerns no other peer.
    pub fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        mut take: impl FnMut(Endpoint, Option<IpAddr>, &[u8]) -> ControlFlow<()>,
    ) -> Poll<io::Result<()>> {
        let (socket, buffer) = match self {
            Self::Udp(udp) => {
                return udp
                    .poll_receive(context, |peer, local, data| take(peer.into(), local, data));
            }
            Self::Memory(socket) => {
                let (peer, datagram) = ready!(socket.poll_receive(context));
                let _ = take(peer, None, &datagram);
                return Poll::Ready(Ok(()));
            }
            Self::Unix { socket, buffer } => (socket, buffer),
        };
        loop {
            ready!(socket.poll_recv_ready(context))?;
            match socket.try_recv_from(buffer) {
                Ok((length, peer)) => {
                    let _ = take(Endpoint::from(&peer), None, &buffer[..length]);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Sends a first part of the `count` datagrams that `datagram` knows by their place; says how
    /// many of them are done with. One that the system refuses is dropped, as a network may.
    ///
    /// # Errors
    /// The runtime's.
    pub fn poll_send<'a>(
        &mut self,
        context: &mut Context<'_>,
        count: usize,
        datagram: impl Fn(usize) -> Datagram<'a>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let sent = match self {
                Self::Udp(udp) => ready!(udp.poll_send(context, count, &datagram)),
                Self::Memory(socket) => {
                    let Datagram { to, data, .. } = datagram(0);
                    socket.send(to, data);
                    Ok(1)
                }
                Self::Unix { socket, .. } => {
                    ready!(socket.poll_send_ready(context))?;
                    send_unix(socket, datagram(0))
                }
            };
            match sent {
                Ok(sent) => return Poll::Ready(Ok(sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    let to = datagram(0).to;
                    tracing::debug!(%to, %error, "a datagram could not be sent");
                    return Poll::Ready(Ok(1));
                }
            }
        }
    }
}

fn send_unix(socket: &UnixDatagram, datagram: Datagram<'_>) -> io::Result<usize> {
    let path: Option<&PathBuf> = match datagram.to {
        Endpoint::Unix(path) => path.as_ref(),
        Endpoint::Inet(_) => None,
    };
    let path = path.ok_or_else(|| io::Error::other("the peer has no name to answer to"))?;
    match socket.try_send_to(datagram.data, path) {
        // The peer's own queue is full, which the socket's readiness does not tell: waiting for
        // it would spin, so the datagram is dropped, as a network would.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::Error::other("the peer's queue is full"))
        }
        sent => sent.map(|_| 1),
    }
}
