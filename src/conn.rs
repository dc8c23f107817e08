//! A connection as both sides see it: what the session serves and what a script holds as `conn`.
//! Owns identity and the orders a script gives (close, reset, half-close); what waits to be sent
//! is in `outbox`. Knows no socket and no Lua.

mod outbox;
mod task;

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

pub use outbox::{HIGH_WATER, MAX_DATAGRAM, Outbox, Outgoing, SendError, Spares, StreamQueue};

use crate::net::{Endpoint, Listener};
use task::{Task, Waiters};

/// The kind of socket a connection came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A TCP connection.
    Tcp,
    /// A peer of a UDP socket.
    Udp,
    /// A Unix stream connection.
    Unix,
    /// A peer of a Unix datagram socket.
    Unixgram,
}

impl Transport {
    /// The scheme of the URL that it is listened on with.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Unix => "unix",
            Self::Unixgram => "unixgram",
        }
    }
}

/// Why a connection is gone, as `on_close` and the log tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The peer ended its side.
    Eof,
    /// The script closed it.
    Closed,
    /// Reset, by the peer or by the script.
    Reset,
    /// Silent for longer than the idle or peer timeout.
    Idle,
    /// The handler failed, and `--on-error close` is set or the connection was just opening.
    Error,
    /// The peer did not take what was sent within the send timeout.
    Slow,
    /// The server stops.
    Shutdown,
    /// `on_connect` refused it.
    Rejected,
    /// A newer datagram peer took its place.
    Limit,
}

impl Reason {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eof => "eof",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Idle => "idle",
            Self::Error => "error",
            Self::Slow => "slow",
            Self::Shutdown => "shutdown",
            Self::Rejected => "rejected",
            Self::Limit => "limit",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a script, or the end of the connection, has ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The sending side is to be ended once flushed; reading goes on.
    HalfClosing,
    /// Flush, then end.
    Closing,
    /// Drop what is queued and end at once, for this reason.
    Breaking(Reason),
    /// Nothing can be sent any more.
    Gone,
}

/// One connection: a stream, or a peer of a datagram socket.
pub struct Conn {
    /// Unique in the process, from 1.
    pub id: u64,
    /// What it came over.
    pub transport: Transport,
    /// The other end.
    pub peer: Endpoint,
    /// Our end.
    pub local: Endpoint,
    /// Where it was accepted.
    pub listener: Arc<Listener>,
    outbox: Outbox,
    phase: Cell<Phase>,
    task: Task,
    generation: Cell<u64>,
    active: Cell<Instant>,
    waiters: Waiters,
    penalty: Cell<Option<Duration>>,
}

impl Conn {
    /// A connection that was just accepted, for the generation numbered `generation`.
    #[must_use]
    pub fn new(
        id: u64,
        transport: Transport,
        (peer, local): (Endpoint, Endpoint),
        listener: Arc<Listener>,
        outbox: Outbox,
        generation: u64,
    ) -> Rc<Self> {
        Rc::new(Self {
            id,
            transport,
            peer,
            local,
            listener,
            outbox,
            phase: Cell::new(Phase::Open),
            task: Task::default(),
            generation: Cell::new(generation),
            active: Cell::new(Instant::now()),
            waiters: Waiters::default(),
            penalty: Cell::new(None),
        })
    }

    /// Queues `data`: as bytes of the stream, or as one datagram.
    ///
    /// # Errors
    /// The connection is closing, or its queue is full (unless `force`d, as replies are, whose
    /// session does not read on before they have left).
    pub fn send(self: &Rc<Self>, data: &[u8], force: bool) -> Result<(), SendError> {
        if self.phase.get() != Phase::Open {
            return Err(SendError::Closed);
        }
        match &self.outbox {
            Outbox::Stream(queue) => {
                if !force && queue.len() >= HIGH_WATER {
                    return Err(SendError::Full);
                }
                queue.push(data)?;
                self.wake();
                Ok(())
            }
            Outbox::Datagrams(outgoing) => outgoing.push(self, data),
        }
    }

    /// The queued bytes of a stream; none for a datagram peer, whose socket has them.
    pub fn queued(&self) -> Option<&StreamQueue> {
        match &self.outbox {
            Outbox::Stream(queue) => Some(queue),
            Outbox::Datagrams(_) => None,
        }
    }

    /// Whether nothing waits to be sent.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        match &self.outbox {
            Outbox::Stream(queue) => queue.is_empty(),
            Outbox::Datagrams(outgoing) => outgoing.queue().borrow().datagrams.is_empty(),
        }
    }

    /// Whether a send would be taken.
    #[must_use]
    pub fn has_room(&self) -> bool {
        match &self.outbox {
            Outbox::Stream(queue) => queue.len() < HIGH_WATER,
            Outbox::Datagrams(outgoing) => outgoing.has_room(),
        }
    }

    /// Flush and close; nothing more is sent or handled.
    pub fn close(self: &Rc<Self>) {
        if matches!(self.phase.get(), Phase::Open | Phase::HalfClosing) {
            self.order(Phase::Closing);
        }
    }

    /// Drop what is queued and close with a reset.
    pub fn reset(self: &Rc<Self>) {
        self.break_off(Reason::Reset);
    }

    /// Drop what is queued and end: the script wants a reset, or nothing can be written any more.
    pub fn break_off(self: &Rc<Self>, reason: Reason) {
        if matches!(self.phase.get(), Phase::Breaking(_) | Phase::Gone) {
            return;
        }
        if let Outbox::Stream(queue) = &self.outbox {
            queue.clear();
        }
        self.order(Phase::Breaking(reason));
        self.progressed();
    }

    fn order(self: &Rc<Self>, phase: Phase) {
        self.phase.set(phase);
        match &self.outbox {
            Outbox::Stream(_) => self.wake(),
            Outbox::Datagrams(outgoing) => outgoing.push_closing(self),
        }
    }

    /// Flush, then end the sending side; messages of the peer are still handled.
    /// A datagram peer has no such thing.
    pub fn shutdown(&self) {
        if self.queued().is_some() && self.phase.get() == Phase::Open {
            self.phase.set(Phase::HalfClosing);
            self.wake();
        }
    }

    /// Whether sends are taken.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase.get() == Phase::Open
    }

    /// Whether the script half-closed it.
    #[must_use]
    pub fn is_half_closing(&self) -> bool {
        self.phase.get() == Phase::HalfClosing
    }

    /// The end that is due: by the script's close or reset, or because writing failed.
    #[must_use]
    pub fn ordered_end(&self) -> Option<Reason> {
        match self.phase.get() {
            Phase::Closing => Some(Reason::Closed),
            Phase::Breaking(reason) => Some(reason),
            Phase::Open | Phase::HalfClosing | Phase::Gone => None,
        }
    }

    /// From here on every method a script calls returns "closed".
    pub fn mark_gone(&self) {
        self.phase.set(Phase::Gone);
        self.wake();
        self.progressed();
    }

    /// Whether it was marked gone.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.phase.get() == Phase::Gone
    }

    /// Whether what is queued will still be sent.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        !matches!(self.phase.get(), Phase::Breaking(_) | Phase::Gone)
    }

    /// The task that serves it is to be woken by `waker`.
    pub fn register(&self, waker: &Waker) {
        self.task.register(waker);
    }

    /// Wakes the task that serves it, unless that is at work on it and will see what changed.
    pub fn wake(&self) {
        self.task.wake();
    }

    /// Says whether its task is at work on it, see [`Conn::wake`].
    pub fn set_at_work(&self, at_work: bool) {
        self.task.set_at_work(at_work);
    }

    /// Adds a task that waits for the queue to shrink, or for the connection to end.
    pub fn await_progress(&self, waker: &Waker) {
        self.waiters.add(waker);
        if let Outbox::Datagrams(outgoing) = &self.outbox {
            outgoing.waiters().add(waker);
        }
    }

    /// Something left the queue, or the connection ends: wakes those who wait for that.
    pub fn progressed(&self) {
        self.waiters.wake();
    }

    /// The number of the generation that it has entered: the one it opened in, or the last whose
    /// going live it was told of.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// It is about to be told of generation `number`, or opens in it.
    pub fn enter_generation(&self, number: u64) {
        self.generation.set(number);
    }

    /// Something arrived or left.
    pub fn touch(&self) {
        self.active.set(Instant::now());
    }

    /// When something last arrived or left.
    #[must_use]
    pub fn last_active(&self) -> Instant {
        self.active.get()
    }

    /// A call ran over its budget: its next message waits `pause` when others are waiting.
    pub fn penalise(&self, pause: Duration) {
        self.penalty.set(Some(pause));
    }

    /// The pause that is due, once.
    #[must_use]
    pub fn take_penalty(&self) -> Option<Duration> {
        self.penalty.take()
    }
}

impl fmt::Display for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conn {} {} {}", self.id, self.transport.name(), self.peer)
    }
}
