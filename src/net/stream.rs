//! What a session needs of a stream socket.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::option::Options;

/// Bytes in and out, the options, and the one thing that these do not cover.
pub trait Stream: AsyncRead + AsyncWrite + Options + Unpin {
    /// Closing it sends a reset, and drops what was not sent yet.
    fn reset_on_close(&self);

    /// As `poll_read`.
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(self).poll_read(context, buffer)
    }

    /// As `poll_write`, but without a task to be woken: "would block" where the socket takes
    /// nothing now.
    ///
    /// # Errors
    /// Those of the socket.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// What is written from here on may wait for the end of the sending side, to leave with it.
    fn hold_back(&self) {}
}

impl Stream for TcpStream {
    fn reset_on_close(&self) {
        // Where the socket refuses, it ends with a plain close.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }

    /// By system calls without the points at which a C library lets a thread be cancelled: they are
    /// a good part of what a message costs beside the kernel.
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let room = buffer.initialize_unfilled();
            let length = room.len();
            let receive = || Ok(recv(&*self, room, RecvFlags::empty())?.1);
            // Most often a task is here because there is something: what it costs to be woken by
            // the next is paid only where nothing is left.
            match self.try_io(Interest::READABLE, receive) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.poll_read_ready(context))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => {
                    if 0 < count && count < length {
                        // What did not fill the buffer has emptied the socket, so the runtime need
                        // not have us ask again. It learns of what comes next on this thread only,
                        // so that nothing has come meanwhile that this could hide.
                        let _ = self.try_io(Interest::READABLE, would_block::<()>);
                    }
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_io(Interest::WRITABLE, || Ok(send(self, bytes, SendFlags::NOSIGNAL)?))
    }

    #[cfg(target_os = "linux")]
    fn hold_back(&self) {
        // Else it leaves before.
        let _ = SockRef::from(self).set_tcp_cork(true);
    }
}

impl Stream for UnixStream {
    fn reset_on_close(&self) {}

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
    }
}

fn would_block<T>() -> io::Result<T> {
    Err(ErrorKind::WouldBlock.into())
}

/// For tests: a stream in memory.
impl Stream for DuplexStream {
    fn reset_on_close(&self) {}

    fn try_write(&self, _: &[u8]) -> io::Result<usize> {
        would_block()
    }
}
