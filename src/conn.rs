//! A connection as both sides see it: what the session serves and what a script holds as `conn`.
//! Owns identity, the framing in force and the orders a script gives (close, reset, half-close);
//! what waits to be sent is in `outbox`, what waits to be read in `inbox`, and in `input` where
//! it is bytes of a stream. Knows no socket and no Lua.

mod ahead;
mod buffers;
mod identity;
mod inbox;
mod input;
mod outbox;
mod send;
mod task;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

pub use ahead::Lent;
pub use identity::{Framings, Identity, IdleLimit, Reason, Version};
pub use inbox::{ReadEnd, Reading, Received};
pub use input::Input;
pub use outbox::{MAX_DATAGRAM, Outbox, Outgoing, SendError, Spares, StreamQueue};

use crate::frame::{FrameError, Framing};
use crate::net::option::Options;
use crate::net::{Endpoint, Listener, Transport};
use inbox::Inbox;
use task::{Task, Waiters};

/// What a script, or the end of the connection, has ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The sending side is to be ended once flushed; reading goes on.
    HalfClosing,
    /// Flush, then end for this reason.
    Closing(Reason),
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
    /// Where it was accepted; none where the script connected to it.
    pub listener: Option<Arc<Listener>>,
    outbox: Outbox,
    inbox: Inbox,
    framings: RefCell<Framings>,
    /// The script has set them for this connection.
    has_own_framings: Cell<bool>,
    idle_limit: Cell<IdleLimit>,
    options: RefCell<Option<Rc<dyn Options>>>,
    phase: Cell<Phase>,
    /// Nothing that arrives has a meaning any more: it ends so once its callback has.
    spoiled: Cell<Option<Reason>>,
    task: Task,
    version: RefCell<Version>,
    active: Cell<Instant>,
    waiters: Waiters,
    /// What is queued leaves with that of others.
    departing: Cell<bool>,
    penalty: Cell<Option<Duration>>,
}

impl Conn {
    /// A connection that was just opened, and what is sent to it goes to.
    #[must_use]
    pub fn new(identity: Identity, outbox: Outbox) -> Rc<Self> {
        let Identity { id, transport, ends: (peer, local), listener, framings, version } = identity;
        Rc::new(Self {
            id,
            transport,
            peer,
            local,
            listener,
            outbox,
            inbox: Inbox::default(),
            framings: RefCell::new(framings),
            has_own_framings: Cell::new(false),
            idle_limit: Cell::new(IdleLimit::Rule),
            options: RefCell::default(),
            phase: Cell::new(Phase::Open),
            spoiled: Cell::new(None),
            task: Task::default(),
            version: RefCell::new(version),
            active: Cell::new(Instant::now()),
            waiters: Waiters::default(),
            departing: Cell::new(false),
            penalty: Cell::new(None),
        })
    }

    /// Whether the script connected to it.
    #[must_use]
    pub fn is_outgoing(&self) -> bool {
        self.listener.is_none()
    }

    /// Whether it is a stream, and no peer of a datagram socket.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        matches!(self.outbox, Outbox::Stream(_))
    }

    /// The framing in force of what it receives.
    #[must_use]
    pub fn framing(&self) -> Rc<Framing> {
        Rc::clone(&self.framings.borrow().read)
    }

    /// The framing in force of what is sent to it.
    #[must_use]
    pub fn reply_framing(&self) -> Rc<Framing> {
        Rc::clone(&self.framings.borrow().reply)
    }

    /// The script sets the framing of this connection; it stays so through reloads.
    pub fn set_own_framing(&self, framing: &Rc<Framing>) {
        self.has_own_framings.set(true);
        self.change_framings(Framings { read: Rc::clone(framing), reply: Rc::clone(framing) });
    }

    /// The framings of the script are in force again.
    pub fn drop_own_framing(&self, script: Framings) {
        self.has_own_framings.set(false);
        self.change_framings(script);
    }

    /// The VM is gone that functions among its framings belong to: those of the script are in
    /// force, unless it has others of its own.
    pub fn leave_vm(&self, script: Framings) {
        let framings = self.framings.borrow();
        let has_function = framings.read.is_function() || framings.reply.is_function();
        drop(framings);
        if has_function || !self.has_own_framings.get() {
            self.drop_own_framing(script);
        }
    }

    fn change_framings(&self, framings: Framings) {
        if self.is_gone() {
            return;
        }
        self.framings.replace(framings);
        self.wake_task();
    }

    /// Logs what is wrong with what arrived; the reason to end for.
    pub fn note_frame_error(&self, error: &FrameError) -> Reason {
        let Version { number, hash } = &*self.version.borrow();
        info!(conn = %self, generation = number, hash = &**hash, "{error}");
        match error {
            FrameError::Oversize { .. } => Reason::Oversize,
            FrameError::Malformed(_) | FrameError::Fault(_) => Reason::Framing,
            FrameError::Cut { .. } => Reason::Eof,
        }
    }

    /// Nothing that arrives from here on has a meaning: the connection is to end for `reason`
    /// once the callback that runs has ended.
    pub fn spoil(&self, reason: Reason) {
        self.spoiled.set(Some(reason));
    }

    /// When it is closed for being silent.
    #[must_use]
    pub fn idle_limit(&self) -> IdleLimit {
        self.idle_limit.get()
    }

    /// The script says when it is closed for being silent.
    pub fn set_idle_limit(&self, limit: IdleLimit) {
        self.idle_limit.set(limit);
        self.touch();
        self.wake_task();
    }

    /// The options of its socket can be reached through `options` until it is gone.
    pub fn attach_options(&self, options: Rc<dyn Options>) {
        self.options.replace(Some(options));
    }

    /// The options of its socket.
    #[must_use]
    pub fn options(&self) -> Option<Rc<dyn Options>> {
        match &self.outbox {
            Outbox::Stream(_) => self.options.borrow().clone(),
            Outbox::Datagrams(outgoing) => outgoing.options(),
        }
    }

    /// Flush and close; nothing more is sent or handled.
    pub fn close(self: &Rc<Self>) {
        self.end(Reason::Closed);
    }

    /// As [`Conn::close`], for this reason.
    pub fn end(self: &Rc<Self>, reason: Reason) {
        if matches!(self.phase.get(), Phase::Open | Phase::HalfClosing) {
            self.order(Phase::Closing(reason));
            self.end_reads(ReadEnd::Closed);
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
        self.end_reads(reason.into());
        self.progressed();
    }

    fn order(self: &Rc<Self>, phase: Phase) {
        self.phase.set(phase);
        self.wake();
    }

    /// Flush, then end the sending side; messages of the peer are still handled.
    /// A datagram peer has no such thing.
    pub fn shutdown(&self) {
        if self.queued().is_some() && self.phase.get() == Phase::Open {
            self.phase.set(Phase::HalfClosing);
            self.wake_task();
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
            Phase::Closing(reason) | Phase::Breaking(reason) => Some(reason),
            Phase::Open | Phase::HalfClosing | Phase::Gone => None,
        }
    }

    /// The end that is due once no callback runs: an ordered one, or because what arrives has no
    /// meaning any more.
    #[must_use]
    pub fn due_end(&self) -> Option<Reason> {
        self.ordered_end().or(self.spoiled.get())
    }

    /// From here on every method a script calls returns "closed".
    pub fn mark_gone(self: &Rc<Self>) {
        self.phase.set(Phase::Gone);
        self.options.take();
        self.drop_datagrams();
        // A function among them may know this connection, and then neither would ever be freed.
        let raw = Rc::new(Framing::raw());
        self.framings.replace(Framings { read: Rc::clone(&raw), reply: raw });
        self.end_reads(ReadEnd::Closed);
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

    /// Has whoever serves it look at it.
    pub fn wake(self: &Rc<Self>) {
        match &self.outbox {
            Outbox::Stream(_) => self.task.wake(),
            // Of one that is gone there is nothing to look at, and nobody who would.
            Outbox::Datagrams(outgoing) if self.is_gone() => outgoing.wake(),
            Outbox::Datagrams(outgoing) => outgoing.note(self),
        }
    }

    /// Wakes the task that serves it, unless that is at work on it and will see what changed. A
    /// datagram peer has none of its own.
    pub fn wake_task(&self) {
        self.task.wake();
    }

    /// Whether something changed that its task is to look at: an order of the script, the framing,
    /// a read that was begun, the generation, or a drain. What was queued to be sent is not noted.
    #[must_use]
    pub fn is_noted(&self) -> bool {
        self.task.is_noted()
    }

    /// Its task looks at everything that was noted.
    pub fn take_noted(&self) {
        self.task.take_noted();
    }

    /// Says whether its task is at work on it, see [`Conn::wake_task`].
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

    /// Whether somebody else than its task is about to write what is queued.
    #[must_use]
    pub fn is_departing(&self) -> bool {
        self.departing.get()
    }

    /// Says whether somebody else than its task is about to write what is queued.
    pub fn set_departing(&self, departing: bool) {
        self.departing.set(departing);
    }

    /// The number of the generation that it has entered: the one it opened in, or the last whose
    /// going live it was told of.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.version.borrow().number
    }

    /// It is about to be told of a generation, whose framings are in force unless it has
    /// its own.
    pub fn enter_generation(&self, version: Version, framings: Framings) {
        self.version.replace(version);
        if !self.has_own_framings.get() {
            self.change_framings(framings);
        }
    }

    /// Something arrived or left.
    pub fn touch(&self) {
        self.touch_at(Instant::now());
    }

    /// Something arrived just now, for whoever has asked the clock already.
    pub fn touch_at(&self, now: Instant) {
        self.active.set(now);
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
