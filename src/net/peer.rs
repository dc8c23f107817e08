//! The datagram socket of a client that a runtime waits for: connected to its one server.

use std::io;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{Interest, ReadBuf};
use tokio::net::{UdpSocket, UnixDatagram};

use super::client::{ClientSocket, OwnFile};

/// See the module.
#[derive(Debug)]
pub struct PeerSocket {
    socket: Socket,
    /// The address of a Unix socket.
    _file: Option<OwnFile>,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl PeerSocket {
    /// That of a client, which has datagrams. Within a runtime only.
    ///
    /// # Errors
    /// The runtime does not take it.
    pub fn new(client: ClientSocket) -> io::Result<Self> {
        let (socket, file) = client.into_parts();
        let socket = if file.is_some() {
            Socket::Unix(UnixDatagram::from_std(socket.into())?)
        } else {
            Socket::Udp(UdpSocket::from_std(socket.into())?)
        };
        Ok(Self { socket, _file: file })
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// Those of the system.
    pub fn poll_send(&self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match &self.socket {
            Socket::Udp(socket) => socket.poll_send(context, data),
            Socket::Unix(socket) => socket.poll_send(context, data),
        }
    }

    /// Sends a datagram at once.
    ///
    /// # Errors
    /// Those of the system; `WouldBlock` where there is no room.
    pub fn try_send(&self, data: &[u8]) -> io::Result<usize> {
        // The runtime would first have to hear that there is room.
        match &self.socket {
            Socket::Udp(socket) => SockRef::from(socket).send(data),
            Socket::Unix(socket) => SockRef::from(socket).send(data),
        }
    }

    /// Waits until something may be there, which [`PeerSocket::try_receive`] then says.
    ///
    /// # Errors
    /// What became of a datagram that was sent: nobody took it.
    pub async fn readable(&self) -> io::Result<()> {
        let wanted = Interest::READABLE | Interest::ERROR;
        // What is told of an error is told once.
        let forget = || Err::<(), io::Error>(io::ErrorKind::WouldBlock.into());
        let error = match &self.socket {
            Socket::Udp(socket) if socket.ready(wanted).await?.is_error() => {
                let _ = socket.try_io(Interest::ERROR, forget);
                socket.take_error()?
            }
            Socket::Unix(socket) if socket.ready(wanted).await?.is_error() => {
                let _ = socket.try_io(Interest::ERROR, forget);
                socket.take_error()?
            }
            _ => None,
        };
        error.map_or(Ok(()), Err)
    }

    /// Receives a datagram that is there; says how long it is.
    ///
    /// # Errors
    /// Those of the system; `WouldBlock` where none is.
    pub fn try_receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.socket {
            Socket::Udp(socket) => socket.try_recv(buffer),
            Socket::Unix(socket) => socket.try_recv(buffer),
        }
    }

    /// Receives a datagram; says how long it is.
    ///
    /// # Errors
    /// Those of the system.
    pub fn poll_receive(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        match &self.socket {
            Socket::Udp(socket) => ready!(socket.poll_recv(context, &mut buffer))?,
            Socket::Unix(socket) => ready!(socket.poll_recv(context, &mut buffer))?,
        }
        Poll::Ready(Ok(buffer.filled().len()))
    }
}
