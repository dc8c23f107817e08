//! The near end of a stream in memory.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::option::Kept;
use super::{End, Far, Line, wake};
use crate::net::Stream;
use crate::net::option::{Kind, Knob, KnobValue, OptionError, Options};

/// See the module.
pub struct MemoryStream {
    line: Rc<RefCell<Line>>,
    options: Kept,
    resets: Cell<bool>,
}

/// A stream; `unix` where it is to have the options of a Unix socket, and not those of TCP.
#[must_use]
pub fn stream(unix: bool) -> (MemoryStream, Far) {
    let line = Rc::<RefCell<Line>>::default();
    let kind = if unix { Kind::Unix } else { Kind::Tcp { v6: false } };
    let near =
        MemoryStream { line: Rc::clone(&line), options: Kept::new(kind), resets: Cell::new(false) };
    (near, Far { line, socket: None })
}

impl MemoryStream {
    /// Takes as much as there is room for.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut line = self.line.borrow_mut();
        if line.to_near.end == Some(End::Reset) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if line.far_is_gone || line.to_far.end.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !line.to_far.has_room() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = bytes.len().min(super::CAPACITY - line.to_far.bytes);
        line.to_far.push(bytes[..taken].to_vec());
        Ok(taken)
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let way = &mut self.line.borrow_mut().to_near;
        let Some(mut piece) = way.pop() else {
            return match way.end {
                Some(End::Eof) => Poll::Ready(Ok(())),
                Some(End::Reset) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                None => {
                    way.await_arrival(context);
                    // The other end may wait for just that.
                    wake(&mut way.writer);
                    Poll::Pending
                }
            };
        };
        if piece.len() > buffer.remaining() {
            let rest = piece.split_off(buffer.remaining());
            way.bytes += rest.len();
            way.pieces.push_front(rest);
        }
        buffer.put_slice(&piece);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.line.borrow_mut().to_far.await_room(context);
                Poll::Pending
            }
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.borrow_mut().to_far.end(End::Eof);
        Poll::Ready(Ok(()))
    }
}

impl Options for MemoryStream {
    fn option(&self, knob: Knob) -> Result<KnobValue, OptionError> {
        self.options.get(knob)
    }

    fn set_option(&self, knob: Knob, value: KnobValue) -> Result<(), OptionError> {
        self.options.set(knob, value)
    }

    fn close_without_waiting(&self) {
        self.line.borrow_mut().near_has_closed = true;
    }
}

impl Stream for MemoryStream {
    fn reset_on_close(&self) {
        self.resets.set(true);
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        let mut line = self.line.borrow_mut();
        line.near_is_gone = true;
        line.to_far.end(if self.resets.get() { End::Reset } else { End::Eof });
        wake(&mut line.to_near.writer);
    }
}
