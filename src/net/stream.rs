//! What a session needs of a stream socket.

use std::io;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpStream, UnixStream};

use super::option::Options;

/// Bytes in and out, the options, and the one thing that these do not cover.
pub trait Stream: AsyncRead + AsyncWrite + Options + Unpin {
    /// Closing it sends a reset, and drops what was not sent yet.
    fn reset_on_close(&self);

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

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
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

/// For tests: a stream in memory.
impl Stream for DuplexStream {
    fn reset_on_close(&self) {}

    fn try_write(&self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}
