//! A connection as the one who plays it holds it.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::ReadBuf;

use super::hall::{Key, Mailroom};
use crate::net::Stream;
use crate::net::memory::Arrival;
use crate::net::peer::PeerSocket;
use crate::play::Wire;

/// What one read takes at most: the largest datagram, too.
const READ_SIZE: usize = 64 * 1024;

/// See the module.
pub(super) struct SocketWire {
    socket: Socket,
    buffer: Box<[u8]>,
}

enum Socket {
    Stream(Box<dyn Stream>),
    /// That of a client.
    Datagrams(PeerSocket),
    /// One of the clients of a socket of ours.
    Peer(Rc<Mailroom>, Key),
}

impl SocketWire {
    pub(super) fn of_stream(stream: Box<dyn Stream>) -> Self {
        Self::new(Socket::Stream(stream))
    }

    pub(super) fn of_datagrams(socket: PeerSocket) -> Self {
        Self::new(Socket::Datagrams(socket))
    }

    pub(super) fn of_peer(mailroom: Rc<Mailroom>, key: Key) -> Self {
        Self::new(Socket::Peer(mailroom, key))
    }

    fn new(socket: Socket) -> Self {
        Self { socket, buffer: vec![0; READ_SIZE].into_boxed_slice() }
    }
}

impl Wire for SocketWire {
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Arrival> {
        let received = match &mut self.socket {
            Socket::Stream(stream) => {
                let mut buffer = ReadBuf::new(&mut self.buffer);
                match ready!(Pin::new(&mut **stream).poll_read(context, &mut buffer)) {
                    Ok(()) if buffer.filled().is_empty() => return Poll::Ready(Arrival::Eof),
                    read => read.map(|()| buffer.filled().to_vec()),
                }
            }
            Socket::Datagrams(socket) => {
                let received = ready!(socket.poll_receive(context, &mut self.buffer));
                received.map(|length| self.buffer[..length].to_vec())
            }
            Socket::Peer(mailroom, key) => Ok(ready!(mailroom.poll_receive(context, key))),
        };
        // Of datagrams: nobody is there who would take them.
        Poll::Ready(received.map_or(Arrival::Reset, Arrival::Piece))
    }

    fn poll_send(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Stream(stream) => Pin::new(&mut **stream).poll_write(context, bytes),
            Socket::Datagrams(socket) => socket.poll_send(context, bytes),
            Socket::Peer(mailroom, key) => mailroom.poll_send(context, key, bytes),
        }
    }

    fn hold_back(&mut self) {
        if let Socket::Stream(stream) = &self.socket {
            stream.hold_back();
        }
    }

    fn end(&mut self) -> io::Result<()> {
        let Socket::Stream(stream) = &mut self.socket else { return Ok(()) };
        // A socket does this at once.
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut **stream).poll_shutdown(&mut context) {
            // The other side is gone, who would have to know.
            Poll::Ready(Err(error)) if error.kind() != ErrorKind::NotConnected => Err(error),
            _ => Ok(()),
        }
    }

    fn reset(self) {
        if let Socket::Stream(stream) = &self.socket {
            stream.reset_on_close();
        }
    }
}
