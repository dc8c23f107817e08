//! What a connection has for its reader: the one `read` that may be under way, and the datagrams
//! of a peer that wait for it or for `on_message`. The bytes of a stream wait in its session, see
//! `ahead`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::{Conn, Outbox, Reason};
use crate::frame::{Decoded, FrameError, Framing};

/// Datagrams of one peer that wait for a reader or a callback; more are dropped.
const MOST_WAITING: usize = 64;

/// What a waiting datagram counts beside its bytes.
const OVERHEAD: usize = 64;

/// Why a read gives no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadEnd {
    /// The peer ended its side, and everything before was read.
    Eof,
    /// The time given to the read has passed.
    Timeout,
    /// The connection is closed.
    Closed,
    /// The peer broke off.
    Reset,
    /// The message is larger than it may be.
    Oversize,
    /// What arrived is no message of the framing.
    Framing,
    /// The server stops.
    Shutdown,
}

impl ReadEnd {
    /// The word a script gets.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eof => "eof",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Oversize => "oversize",
            Self::Framing => "framing",
            Self::Shutdown => "shutdown",
        }
    }
}

impl From<Reason> for ReadEnd {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Eof => Self::Eof,
            Reason::Reset => Self::Reset,
            Reason::Oversize => Self::Oversize,
            Reason::Framing => Self::Framing,
            Reason::Shutdown => Self::Shutdown,
            _ => Self::Closed,
        }
    }
}

/// What a read gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A message.
    Message(Vec<u8>),
    /// None, and why.
    Ended(ReadEnd),
}

/// See the module.
#[derive(Default)]
pub(super) struct Inbox {
    slot: RefCell<Slot>,
    reader: RefCell<Option<Waker>>,
    /// A message of a stream that was taken for a read which was given up then.
    unseen: RefCell<Option<Vec<u8>>>,
    /// What every further read gives at once.
    over: Cell<Option<ReadEnd>>,
    datagrams: RefCell<Option<Box<Datagrams>>>,
}

/// The read that is under way.
#[derive(Default)]
enum Slot {
    #[default]
    Free,
    /// Asked for, by this framing or the one in force.
    Asked(Option<Rc<Framing>>),
    Answered(Received),
}

/// Datagrams in the order in which they arrived.
#[derive(Default)]
struct Datagrams {
    queue: VecDeque<Vec<u8>>,
    /// How much of the first was used.
    used: usize,
}

/// A read that was begun, until this is dropped.
pub struct Reading(Rc<Conn>);

impl Reading {
    /// Begins a read of `conn` by `framing`, else by the one in force; `None` where another is
    /// under way.
    #[must_use]
    pub fn begin(conn: &Rc<Conn>, framing: Option<Rc<Framing>>) -> Option<Self> {
        let mut slot = conn.inbox.slot.borrow_mut();
        if !matches!(*slot, Slot::Free) {
            return None;
        }
        *slot = Slot::Asked(framing);
        drop(slot);
        conn.wake_task();
        Some(Self(Rc::clone(conn)))
    }

    /// The connection that is read.
    #[must_use]
    pub fn conn(&self) -> &Rc<Conn> {
        &self.0
    }

    /// Resolves with what the read gives.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<Received> {
        let conn = &self.0;
        conn.serve_read_from_datagrams();
        let mut slot = conn.inbox.slot.borrow_mut();
        if let Slot::Answered(_) = *slot
            && let Slot::Answered(received) = std::mem::take(&mut *slot)
        {
            return Poll::Ready(received);
        }
        let mut reader = conn.inbox.reader.borrow_mut();
        if !reader.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            *reader = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let conn = &self.0;
        let slot = conn.inbox.slot.take();
        conn.inbox.reader.take();
        // Such as of a task that was cancelled before it saw its message.
        if let Slot::Answered(Received::Message(message)) = slot {
            if conn.is_stream() {
                conn.inbox.unseen.replace(Some(message));
            } else {
                conn.put_datagram_back(message, 0);
            }
        }
        // What this read has left is for whoever comes next.
        if conn.is_stream() || conn.has_datagrams() {
            conn.wake();
        }
    }
}

impl Conn {
    /// Whether a read waits for its answer.
    #[must_use]
    pub fn is_being_read(&self) -> bool {
        matches!(*self.inbox.slot.borrow(), Slot::Asked(_))
    }

    /// Whether a read is under way, answered or not.
    #[must_use]
    pub fn has_reader(&self) -> bool {
        !matches!(*self.inbox.slot.borrow(), Slot::Free)
    }

    /// The message that a read was given up behind: it comes before all others.
    #[must_use]
    pub fn take_unseen(&self) -> Option<Vec<u8>> {
        self.inbox.unseen.take()
    }

    /// Whether there is such a message.
    #[must_use]
    pub fn has_unseen(&self) -> bool {
        self.inbox.unseen.borrow().is_some()
    }

    /// Whether a read was answered and whoever waits for it has not seen that yet.
    #[must_use]
    pub fn holds_answer(&self) -> bool {
        matches!(*self.inbox.slot.borrow(), Slot::Answered(_))
    }

    /// The framing that the waiting read asks for, or the one in force; `None` where no read
    /// waits.
    #[must_use]
    pub fn wanted_framing(&self) -> Option<Rc<Framing>> {
        match &*self.inbox.slot.borrow() {
            Slot::Asked(Some(framing)) => Some(Rc::clone(framing)),
            Slot::Asked(None) => Some(self.framing()),
            _ => None,
        }
    }

    /// Answers the read that waits, if one does.
    pub fn answer_read(&self, received: Received) {
        let mut slot = self.inbox.slot.borrow_mut();
        if !matches!(*slot, Slot::Asked(_)) {
            return;
        }
        *slot = Slot::Answered(received);
        drop(slot);
        self.wake_reader();
    }

    /// From here on every read gives `end`, and so does the one that waits.
    pub fn end_reads(&self, end: ReadEnd) {
        if self.inbox.over.get().is_none() {
            self.inbox.over.set(Some(end));
        }
        self.answer_read(Received::Ended(end));
    }

    /// What every read gives, once there is nothing more to read.
    #[must_use]
    pub fn reads_over(&self) -> Option<ReadEnd> {
        self.inbox.over.get()
    }

    /// The session of a stream polls its own callback again anyway.
    fn wake_reader(&self) {
        let reader = self.inbox.reader.take();
        if let Some(reader) = reader.filter(|reader| !self.task.is_at_work_with(reader)) {
            reader.wake();
        }
    }

    /// Queues a datagram of the peer; refuses it where too many wait.
    ///
    /// # Errors
    /// As many as may are waiting.
    pub fn queue_datagram(&self, data: &[u8]) -> Result<(), TooManyWaiting> {
        let mut datagrams = self.inbox.datagrams.borrow_mut();
        let queue = &mut datagrams.get_or_insert_default().queue;
        if queue.len() >= MOST_WAITING || !self.claim_waiting(data.len()) {
            return Err(TooManyWaiting);
        }
        let mut buffer = self.buffer();
        buffer.extend_from_slice(data);
        queue.push_back(buffer);
        drop(datagrams);
        if self.is_being_read() {
            self.wake_reader();
        }
        Ok(())
    }

    /// Whether datagrams wait.
    #[must_use]
    pub fn has_datagrams(&self) -> bool {
        self.inbox.datagrams.borrow().as_ref().is_some_and(|waiting| !waiting.queue.is_empty())
    }

    /// Takes the next message from the datagrams that wait.
    ///
    /// # Errors
    /// What waits is no message of the framing; it is dropped.
    pub fn next_datagram_message(&self, framing: &Framing) -> Result<Option<Vec<u8>>, FrameError> {
        loop {
            // The framing may be a function of the script: nothing is borrowed while it runs.
            let Some((data, used)) = self.take_datagram() else { return Ok(None) };
            let rest = &data[used..];
            match framing.decode_datagram(rest, used == 0)? {
                None => self.recycle(data),
                Some(Decoded { consumed, message }) => {
                    let mut bytes = self.buffer();
                    bytes.extend_from_slice(message.bytes(rest));
                    if used + consumed < data.len() {
                        self.put_datagram_back(data, used + consumed);
                    } else {
                        self.recycle(data);
                    }
                    return Ok(Some(bytes));
                }
            }
        }
    }

    fn take_datagram(&self) -> Option<(Vec<u8>, usize)> {
        let mut datagrams = self.inbox.datagrams.borrow_mut();
        let waiting = datagrams.as_mut()?;
        let data = waiting.queue.pop_front()?;
        self.release_waiting(data.len());
        Some((data, std::mem::take(&mut waiting.used)))
    }

    /// Puts a datagram in front of those that wait; its first `used` bytes are done with.
    pub fn put_datagram_back(&self, data: Vec<u8>, used: usize) {
        let mut datagrams = self.inbox.datagrams.borrow_mut();
        let waiting = datagrams.get_or_insert_default();
        self.hold_waiting(data.len());
        waiting.queue.push_front(data);
        waiting.used = used;
    }

    /// Drops the datagrams that wait.
    pub(super) fn drop_datagrams(&self) {
        let waiting = self.inbox.datagrams.take();
        for data in waiting.into_iter().flat_map(|waiting| waiting.queue) {
            self.release_waiting(data.len());
        }
    }

    /// Counts a datagram that is to wait, if its socket has room for it.
    fn claim_waiting(&self, length: usize) -> bool {
        let room = match &self.outbox {
            Outbox::Stream(_) => true,
            Outbox::Datagrams(outgoing) => outgoing.has_room_for_waiting(length + OVERHEAD),
        };
        if room {
            self.hold_waiting(length);
        }
        room
    }

    fn hold_waiting(&self, length: usize) {
        if let Outbox::Datagrams(outgoing) = &self.outbox {
            outgoing.hold_waiting(length + OVERHEAD);
        }
    }

    fn release_waiting(&self, length: usize) {
        if let Outbox::Datagrams(outgoing) = &self.outbox {
            outgoing.release_waiting(length + OVERHEAD);
        }
    }

    fn serve_read_from_datagrams(self: &Rc<Self>) {
        if !self.has_datagrams() {
            return;
        }
        let Some(framing) = self.wanted_framing() else { return };
        match self.next_datagram_message(&framing) {
            // Who receives for an outgoing connection looks for more only when asked.
            Ok(None) => self.wake_task(),
            Ok(Some(message)) => self.answer_read(Received::Message(message)),
            Err(error) => {
                let reason = self.note_frame_error(&error);
                self.spoil(reason);
                self.end_reads(reason.into());
                self.wake();
            }
        }
    }
}

/// As many datagrams of a peer wait as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyWaiting;
