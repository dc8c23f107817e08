//! A UDP socket of the runtime: when there is something to read, and when room to send. What one
//! system call moves is for `receive` and `send`.
//!
//! The socket is watched for reading alone. The runtime's own type is watched for writing too, and
//! every datagram that leaves makes room, so that each answer would wake its worker once more.

mod receive;
mod room;
mod send;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::datagram::Datagram;
use super::option::Options;
use receive::Receiver;
use room::{Room, watch};
use send::Sender;

pub(super) use send::knows_trains;

/// See the module.
pub struct Udp {
    socket: AsyncFd<Rc<UdpSocket>>,
    room: Room<UdpSocket>,
    receiver: Receiver,
    sender: Sender,
}

impl Udp {
    /// Takes a socket that does not block; `wildcard` where it is bound to every address.
    ///
    /// # Errors
    /// The runtime does not take the socket.
    pub fn new(socket: UdpSocket, wildcard: bool) -> io::Result<Self> {
        let local = socket.local_addr()?;
        Ok(Self {
            room: Room::new(socket.try_clone()?),
            receiver: Receiver::new(local, wildcard),
            sender: Sender::new(&socket, local, wildcard),
            socket: watch(Rc::new(socket), Interest::READABLE)?,
        })
    }

    /// The options of the socket.
    #[must_use]
    pub fn options(&self) -> Rc<dyn Options> {
        Rc::clone(self.socket.get_ref()) as _
    }

    /// Our own address.
    ///
    /// # Errors
    /// The system's.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }

    /// See [`super::datagram::DatagramSocket::poll_receive`].
    pub(super) fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        take: impl FnMut(SocketAddr, Option<IpAddr>, &[u8]) -> ControlFlow<()>,
    ) -> Poll<io::Result<()>> {
        let Self { socket, receiver, .. } = self;
        while receiver.is_empty() {
            let mut readable = ready!(socket.poll_read_ready(context))?;
            match receiver.receive(socket.get_ref()) {
                // Then the socket is empty, and no system call is spent on being told so.
                Ok(more) => {
                    if !more {
                        readable.clear_ready();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => readable.clear_ready(),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        receiver.hand_out(take);
        Poll::Ready(Ok(()))
    }

    /// As [`super::datagram::DatagramSocket::poll_send`], but that the error is one of the first
    /// datagram.
    pub(super) fn poll_send<'a>(
        &mut self,
        context: &mut Context<'_>,
        count: usize,
        datagram: &impl Fn(usize) -> Datagram<'a>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.room.poll(context))?;
            match self.sender.send(self.socket.get_ref(), count, datagram) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.room.is_full()?,
                sent => return Poll::Ready(sent),
            }
        }
    }
}
