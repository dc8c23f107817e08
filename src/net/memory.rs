//! Sockets in memory, for a server that is simulated. The near end is a socket to the server's
//! code; the far end, a [`Far`], is held by whoever plays the peer. A stream hands over what was
//! sent piece by piece: one read never takes more than one piece, so that it is known how a
//! stream was cut. For one thread.

mod datagram;
mod option;
mod stream;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

pub use datagram::{MemoryDatagrams, MemoryLink, link};
pub use stream::{MemoryStream, stream};

/// Bytes that one direction holds before a send has to wait: as much as a socket's buffer.
const CAPACITY: usize = 256 * 1024;

/// How one direction of a connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nothing more will be sent.
    Eof,
    /// It was broken off.
    Reset,
}

/// One direction.
#[derive(Default)]
struct Way {
    pieces: VecDeque<Vec<u8>>,
    bytes: usize,
    end: Option<End>,
    /// Whoever waits for something to arrive, and for room.
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Both directions, and whether each end is still there.
#[derive(Default)]
struct Line {
    to_near: Way,
    to_far: Way,
    /// The near end throws away what is sent to it.
    near_has_closed: bool,
    near_is_gone: bool,
    far_is_gone: bool,
}

impl Way {
    fn push(&mut self, piece: Vec<u8>) {
        self.bytes += piece.len();
        self.pieces.push_back(piece);
        wake(&mut self.reader);
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let piece = self.pieces.pop_front()?;
        self.bytes -= piece.len();
        wake(&mut self.writer);
        Some(piece)
    }

    fn end(&mut self, end: End) {
        if end == End::Reset {
            self.pieces.clear();
            self.bytes = 0;
        }
        if self.end != Some(End::Reset) {
            self.end = Some(end);
        }
        wake(&mut self.reader);
        wake(&mut self.writer);
    }

    fn has_room(&self) -> bool {
        self.bytes < CAPACITY
    }

    fn await_arrival(&mut self, context: &Context<'_>) {
        self.reader = Some(context.waker().clone());
    }

    fn await_room(&mut self, context: &Context<'_>) {
        self.writer = Some(context.waker().clone());
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// What arrives at a far end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// Bytes of a stream as they were written, or one datagram.
    Piece(Vec<u8>),
    /// The other side has ended its sending side. Nothing follows.
    Eof,
    /// The connection was broken off. Nothing follows.
    Reset,
}

/// The far end of a connection in memory. It is closed when it is dropped.
pub struct Far {
    line: Rc<RefCell<Line>>,
    /// Where datagrams to a socket with many peers go.
    socket: Option<datagram::Entrance>,
}

impl Far {
    /// Receives.
    pub fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Arrival> {
        let way = &mut self.line.borrow_mut().to_far;
        match (way.pop(), way.end) {
            (Some(piece), _) => Poll::Ready(Arrival::Piece(piece)),
            (None, Some(End::Eof)) => Poll::Ready(Arrival::Eof),
            (None, Some(End::Reset)) => Poll::Ready(Arrival::Reset),
            (None, None) => {
                way.await_arrival(context);
                Poll::Pending
            }
        }
    }

    /// Sends a piece of a stream, which is read as one, or a datagram. Waits for room.
    ///
    /// # Errors
    /// The other side is gone, or this one has ended its sending side.
    pub fn poll_send(&mut self, context: &mut Context<'_>, piece: &[u8]) -> Poll<io::Result<()>> {
        if let Some(socket) = &self.socket {
            return socket.poll_send(context, piece);
        }
        let mut line = self.line.borrow_mut();
        if line.near_is_gone || line.to_near.end.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if !line.to_near.has_room() {
            line.to_near.await_room(context);
            return Poll::Pending;
        }
        // No bytes at all are nothing on a stream.
        if !piece.is_empty() {
            line.to_near.push(piece.to_vec());
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the other side has closed: what is sent to it is lost.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let line = self.line.borrow();
        line.near_has_closed || line.near_is_gone
    }

    /// Whether this sending side was ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.line.borrow().to_near.end.is_some()
    }

    /// Whether nothing that was sent waits here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.line.borrow().to_far.pieces.is_empty()
    }

    /// Resolves when the other side has taken everything that was sent and asks for more, or is
    /// gone; where it is a socket for datagrams, when that has room.
    pub fn poll_awaited(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(socket) = &self.socket {
            return socket.poll_room(context);
        }
        let mut line = self.line.borrow_mut();
        let is_asking = line.to_near.pieces.is_empty() && line.to_near.reader.is_some();
        if line.near_is_gone || is_asking {
            return Poll::Ready(());
        }
        line.to_near.await_room(context);
        Poll::Pending
    }

    /// Ends this sending side.
    pub fn end(&mut self) {
        self.line.borrow_mut().to_near.end(End::Eof);
    }

    /// Breaks the connection off.
    pub fn reset(self) {
        self.line.borrow_mut().to_near.end(End::Reset);
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        let mut line = self.line.borrow_mut();
        line.far_is_gone = true;
        line.to_near.end(End::Eof);
        wake(&mut line.to_far.writer);
    }
}
