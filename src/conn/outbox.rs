//! What waits to be sent: the bytes of a stream, or the datagrams of a socket. Bounded; the task
//! that writes it is woken when there is something new.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::Conn;
use super::ahead::Ahead;
use super::buffers::Buffers;
use super::task::{Task, Waiters};
use crate::net::option::Options;

/// Outgoing bytes of one connection above which a send waits, or is refused with "full".
pub const HIGH_WATER: usize = 1024 * 1024;

/// What a UDP datagram holds at most: 65,535 less the headers of IPv4 and UDP.
pub const MAX_DATAGRAM: usize = 65_507;

/// Bytes of all peers of a socket together that wait to be handled; more are dropped. One of many
/// peers must not be able to have 64 large datagrams wait for each of them.
const MOST_WAITING: usize = 64 * 1024 * 1024;

/// Why something was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The connection is closing or gone.
    Closed,
    /// `HIGH_WATER` bytes are queued.
    Full,
    /// All connections of the worker together have as much queued as they may.
    Crowded,
    /// A datagram cannot hold so much.
    TooLong,
}

impl SendError {
    /// The word a script gets.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Full | Self::Crowded => "full",
            Self::TooLong => "message too long",
        }
    }
}

/// Where the outgoing bytes of a connection wait for its socket.
pub enum Outbox {
    /// Bytes of a stream, in order.
    Stream(StreamQueue),
    /// The datagrams of the socket that the peer's own came in on.
    Datagrams(Rc<Outgoing>),
}

/// The outgoing bytes of a stream. Its buffer is borrowed from the worker's spare ones while
/// there is something in it, so an idle connection holds none.
pub struct StreamQueue {
    bytes: RefCell<Vec<u8>>,
    sent: Cell<usize>,
    spares: Rc<Spares>,
}

/// What the stream queues of one worker share: empty buffers, a bound on what all of them hold,
/// and what the session that is at work lends.
pub struct Spares {
    buffers: Buffers,
    ahead: Ahead,
    queued: Cell<usize>,
    limit: usize,
}

impl Spares {
    /// For queues that may hold `limit` bytes together.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { buffers: Buffers::default(), ahead: Ahead::default(), queued: Cell::new(0), limit }
    }

    /// Counts bytes that are to be queued; refuses them over the limit.
    fn claim(&self, count: usize) -> Result<(), SendError> {
        let queued = self.queued.get() + count;
        if queued > self.limit {
            return Err(SendError::Crowded);
        }
        self.queued.set(queued);
        Ok(())
    }

    fn release(&self, count: usize) {
        self.queued.set(self.queued.get() - count);
    }
}

impl StreamQueue {
    /// An empty queue that borrows from `spares`.
    #[must_use]
    pub fn new(spares: Rc<Spares>) -> Self {
        Self { bytes: RefCell::default(), sent: Cell::new(0), spares }
    }

    /// Where buffers are borrowed from.
    pub(super) fn buffers(&self) -> &Buffers {
        &self.spares.buffers
    }

    /// Where a session lends what it has read.
    pub(super) fn ahead(&self) -> &Ahead {
        &self.spares.ahead
    }

    /// How many bytes wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.borrow().len() - self.sent.get()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Queues the parts, one behind the other.
    #[inline]
    pub(super) fn push(&self, parts: [&[u8]; 3]) -> Result<(), SendError> {
        let length = parts[0].len() + parts[1].len() + parts[2].len();
        if length == 0 {
            return Ok(());
        }
        self.spares.claim(length)?;
        let mut bytes = self.bytes.borrow_mut();
        if bytes.capacity() == 0 {
            *bytes = self.spares.buffers.take();
        }
        if self.sent.get() > bytes.len() / 2 {
            bytes.drain(..self.sent.take());
        }
        bytes.reserve(length);
        for part in parts {
            // Most often only one of them has any.
            if !part.is_empty() {
                bytes.extend_from_slice(part);
            }
        }
        Ok(())
    }

    /// Lends the waiting bytes to `write`, which says how many of them it took.
    pub fn write<E>(
        &self,
        write: impl FnOnce(&[u8]) -> Poll<Result<usize, E>>,
    ) -> Poll<Result<usize, E>> {
        let mut bytes = self.bytes.borrow_mut();
        let taken = write(&bytes[self.sent.get()..]);
        if let Poll::Ready(Ok(count)) = &taken {
            self.spares.release(*count);
            self.sent.set(self.sent.get() + count);
            if self.sent.get() == bytes.len() {
                self.sent.set(0);
                self.spares.buffers.give(std::mem::take(&mut bytes));
            }
        }
        taken
    }

    /// Drops what waits.
    pub fn clear(&self) {
        self.spares.release(self.len());
        self.sent.set(0);
        self.bytes.take();
    }
}

impl Drop for StreamQueue {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Datagrams on their way out of one socket.
#[derive(Default)]
pub struct Outgoing {
    queue: RefCell<Queue>,
    noted: RefCell<Vec<Rc<Conn>>>,
    task: Task,
    waiters: Waiters,
    options: RefCell<Option<Rc<dyn Options>>>,
    /// For what the peers have sent and waits.
    buffers: Buffers,
    /// Bytes that came in and wait to be handled.
    waiting: Cell<usize>,
}

/// The content of [`Outgoing`]: all bytes in one buffer, and who gets which part.
#[derive(Default)]
pub struct Queue {
    /// The datagrams, one behind the other.
    bytes: Vec<u8>,
    /// For each its peer, and where it ends.
    datagrams: Vec<(Rc<Conn>, usize)>,
}

impl Queue {
    /// How many datagrams wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// The peer and the content of the datagram at `index`, from 0.
    #[must_use]
    pub fn datagram(&self, index: usize) -> (&Conn, &[u8]) {
        let (peer, end) = &self.datagrams[index];
        (peer, &self.bytes[self.start(index)..*end])
    }

    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.datagrams[before].1)
    }

    /// Drops the first `count` datagrams.
    pub fn drop_first(&mut self, count: usize) {
        let bytes = self.start(count);
        self.bytes.drain(..bytes);
        self.datagrams.drain(..count);
        for (_, end) in &mut self.datagrams {
            *end -= bytes;
        }
    }
}

impl Outgoing {
    /// An empty queue of the socket with these options.
    #[must_use]
    pub fn new(options: Rc<dyn Options>) -> Self {
        Self { options: RefCell::new(Some(options)), ..Self::default() }
    }

    /// Where buffers for waiting datagrams are borrowed from.
    pub(super) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// The options of the socket.
    pub(super) fn options(&self) -> Option<Rc<dyn Options>> {
        self.options.borrow().clone()
    }

    /// The socket is done with: lets go of it, and of the connections that hold this.
    pub fn end(&self) {
        self.options.take();
        self.noted.take();
        self.queue.take();
    }

    /// Queues the parts as one datagram.
    pub(super) fn push(&self, peer: &Rc<Conn>, parts: [&[u8]; 3]) -> Result<(), SendError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length > MAX_DATAGRAM {
            return Err(SendError::TooLong);
        }
        if !self.has_room() {
            return Err(SendError::Full);
        }
        let mut queue = self.queue.borrow_mut();
        for part in parts {
            queue.bytes.extend_from_slice(part);
        }
        let end = queue.bytes.len();
        queue.datagrams.push((Rc::clone(peer), end));
        self.wake();
        Ok(())
    }

    /// Whether another datagram would be taken: the queue is bounded in bytes, and in datagrams
    /// because empty ones take room too.
    pub(super) fn has_room(&self) -> bool {
        let queue = self.queue.borrow();
        queue.bytes.len() < HIGH_WATER && queue.datagrams.len() < HIGH_WATER / 64
    }

    /// Whether so many bytes more may wait to be handled.
    pub(super) fn has_room_for_waiting(&self, count: usize) -> bool {
        self.waiting.get() + count <= MOST_WAITING
    }

    /// So many bytes more wait to be handled.
    pub(super) fn hold_waiting(&self, count: usize) {
        self.waiting.set(self.waiting.get() + count);
    }

    /// So many bytes wait no more.
    pub(super) fn release_waiting(&self, count: usize) {
        self.waiting.set(self.waiting.get() - count);
    }

    /// Those who wait for the queue to shrink.
    pub(super) fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// Something left the queue.
    pub fn progressed(&self) {
        self.waiters.wake();
    }

    /// Whether there is something new to do since this was last asked.
    pub fn take_missed(&self) -> bool {
        self.task.take_noted()
    }

    /// Wakes the socket's task, unless that is at work and will see what changed.
    pub fn wake(&self) {
        self.task.wake();
    }

    /// Something changed with the peer: it was closed, or what waits for it is to be looked at.
    pub(super) fn note(&self, peer: &Rc<Conn>) {
        self.noted.borrow_mut().push(Rc::clone(peer));
        self.wake();
    }

    /// The peers with which something changed since this was last asked.
    #[must_use]
    pub fn take_noted(&self) -> Vec<Rc<Conn>> {
        self.noted.take()
    }

    /// Says whether the socket's task is at work.
    pub fn set_at_work(&self, at_work: bool) {
        self.task.set_at_work(at_work);
    }

    /// The queue, for the task that empties it.
    pub fn queue(&self) -> &RefCell<Queue> {
        &self.queue
    }

    /// The task that empties the queue is to be woken by `waker`.
    pub fn register(&self, waker: &Waker) {
        self.task.register(waker);
    }
}
