//! A TCP connection that we open. A peer that resets it as soon as it is there had accepted it all
//! the same, and what it sent before is still to be read.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::super::Stream;
use super::super::option::{Knob, KnobValue, OptionError, Options};

/// A connected stream; as a [`TcpStream`] it can do what needs no more than a reference.
#[derive(Debug)]
pub struct DialledTcp {
    stream: TcpStream,
    /// It was reset when we first looked. The system has told it then, and would call it an end from
    /// there on.
    was_reset: bool,
}

impl DialledTcp {
    /// Connects.
    ///
    /// # Errors
    /// There is no connection.
    pub(super) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {}
            result => result?,
        }
        let stream = TcpStream::from_std(socket.into())?;
        stream.writable().await?;
        match stream.take_error()? {
            None => Ok(Self { stream, was_reset: false }),
            // Whoever is not connected yet is refused instead.
            Some(error) if error.kind() == ErrorKind::ConnectionReset => {
                Ok(Self { stream, was_reset: true })
            }
            Some(error) => Err(error),
        }
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// Those of the system; `WouldBlock` where nothing is there.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.try_read(buffer) {
            Ok(0) if self.was_reset && !buffer.is_empty() => Err(ErrorKind::ConnectionReset.into()),
            read => read,
        }
    }
}

impl Deref for DialledTcp {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsyncRead for DialledTcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.remaining();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if self.was_reset && before > 0 && buffer.remaining() == before {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for DialledTcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Stream for DialledTcp {
    fn reset_on_close(&self) {
        self.stream.reset_on_close();
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.try_write(bytes)
    }

    fn hold_back(&self) {
        self.stream.hold_back();
    }
}

impl Options for DialledTcp {
    fn option(&self, knob: Knob) -> Result<KnobValue, OptionError> {
        self.stream.option(knob)
    }

    fn set_option(&self, knob: Knob, value: KnobValue) -> Result<(), OptionError> {
        self.stream.set_option(knob, value)
    }

    fn close_without_waiting(&self) {
        self.stream.close_without_waiting();
    }
}
