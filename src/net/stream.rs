//! What a session needs of a stream socket.

use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpStream, UnixStream};

use super::option::Options;

/// Bytes in and out, the options, and the one thing that these do not cover.
pub trait Stream: AsyncRead + AsyncWrite + Options + Unpin {
    /// Closing it sends a reset, and drops what was not sent yet.
    fn reset_on_close(&self);
}

impl Stream for TcpStream {
    fn reset_on_close(&self) {
        // Where the socket refuses, it ends with a plain close.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl Stream for UnixStream {
    fn reset_on_close(&self) {}
}

/// For tests: a stream in memory.
impl Stream for DuplexStream {
    fn reset_on_close(&self) {}
}
