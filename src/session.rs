//! One stream connection: reads bytes, has the handler answer their messages one at a time, writes
//! what was sent, and ends as DESIGN says for each reason. Knows no socket type and no Lua.
//!
//! The fast path lives in one poll: bytes are read into a buffer that all sessions of the worker
//! share, the handler is called with the messages in them, and its replies are written, so that
//! an idle connection holds no buffer and a message costs one read and one write. Only a callback
//! that waits, or failed, leaves that path: it is polled here, and while it runs bytes are read
//! only where it asks for a message.

mod calls;
mod end;
mod messages;
mod socket;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::task::yield_now;
use tokio::time::Sleep;

use crate::conn::{Conn, Input, ReadEnd, Reason, StreamQueue};
use crate::handler::{Event, Handler, Kind, Outcome};
use crate::net::Stream;
use crate::service::Service;
use crate::turn::Pace;

/// Steps that one wake-up takes before others get their turn, within what [`Pace`] allows: each is
/// a read of 64 KiB with all its messages, or one message of a conversation.
const STEPS_PER_TURN: usize = 64;

/// Replies that are larger leave at once.
const LARGEST_DEPARTURE: usize = 4096;

/// Serves a connection that was accepted until it is gone, `on_close` included; then drops `held`.
pub fn serve<S: Stream + 'static, H: Handler + 'static>(
    stream: S,
    conn: Rc<Conn>,
    service: Rc<Service<H>>,
    held: impl Sized + 'static,
) -> impl Future<Output = ()> {
    let mut session = Session::new(stream, conn, service);
    async move {
        let reason = match session.open() {
            Progress::Made => session.run().await,
            Progress::End(reason) => reason,
        };
        session.end_in_a_box(reason).await;
        drop(held);
    }
}

/// Serves a connection that the script made: no callback is run for it, its messages are read
/// where they are asked for.
pub fn serve_outgoing<S: Stream + 'static, H: Handler + 'static>(
    stream: S,
    conn: Rc<Conn>,
    service: Rc<Service<H>>,
    held: impl Sized + 'static,
) -> impl Future<Output = ()> {
    let mut session = Session::new(stream, conn, service);
    async move {
        let reason = session.run().await;
        session.end_in_a_box(reason).await;
        drop(held);
    }
}

struct Session<S, H> {
    /// Shared with the connection, for its options.
    stream: Rc<RefCell<S>>,
    conn: Rc<Conn>,
    service: Rc<Service<H>>,
    input: Input,
    /// The callback that waits.
    call: Option<Call>,
    /// `on_idle` beside a conversation that waits for a message.
    aside: Option<Call>,
    conversation: Conversation,
    /// The peer half-closed, and `on_eof` kept the connection, or it has none.
    input_ended: bool,
    /// Our side is half-closed.
    shut: bool,
    /// The last look at everything found nothing to do but to read, and nothing is kept of what
    /// was read. It stays so until something is noted of the connection.
    quiet: bool,
    idle: Option<Pin<Box<Sleep>>>,
    stall: Option<Pin<Box<Sleep>>>,
}

/// A callback that goes on in the background of the session.
struct Call {
    kind: Kind,
    future: Pin<Box<dyn Future<Output = Outcome>>>,
}

/// How far an `on_session` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conversation {
    None,
    Running,
    /// It has ended; tasks of it may be at work.
    Ended,
}

/// What a step came to, unless there is nothing to do.
enum Progress {
    /// There may be more to do.
    Made,
    /// The connection is to end.
    End(Reason),
}

impl<S: Stream + 'static, H: Handler + 'static> Session<S, H> {
    fn new(stream: S, conn: Rc<Conn>, service: Rc<Service<H>>) -> Self {
        let stream = Rc::new(RefCell::new(stream));
        conn.attach_options(Rc::clone(&stream) as _);
        Self {
            stream,
            conn,
            service,
            input: Input::default(),
            call: None,
            aside: None,
            conversation: Conversation::None,
            input_ended: false,
            shut: false,
            quiet: false,
            idle: None,
            stall: None,
        }
    }

    /// An accepted connection begins.
    fn open(&mut self) -> Progress {
        if let Some(tap) = &self.service.tap {
            tap.opened(&self.conn);
        }
        self.conn.enter_generation(self.handler().version(), self.handler().framings());
        if self.handler().wants(Kind::Connect) {
            self.start(Event::Connect)
        } else {
            self.after(Kind::Connect, &Outcome::NOTHING)
        }
    }

    /// The life of a connection until an end is due.
    fn run(&mut self) -> impl Future<Output = Reason> {
        poll_fn(|context| {
            if !self.quiet {
                // A call goes on, or messages are left of a turn that was too long.
                self.service.departures.see_off();
            }
            self.conn.set_at_work(true);
            let turn = self.poll_turn(context);
            self.conn.set_at_work(false);
            self.service.departures.see_off_late();
            turn
        })
    }

    fn handler(&self) -> &H {
        &self.service.handler
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Reason> {
        self.conn.register(context.waker());
        let mut pace = Pace::begin(&self.service.last_look);
        for step in 0..STEPS_PER_TURN {
            match ready!(self.poll_step(context, &mut pace)) {
                // Most turns are one message, and do not look at a clock at all.
                Progress::Made if step > 0 && pace.is_over(&self.service.last_look) => break,
                Progress::Made => {}
                Progress::End(reason) => return Poll::Ready(reason),
            }
        }
        // What the calls have sent does not wait for the others.
        let _ = self.poll_flush(context);
        // Woken once the runtime has looked for new input: with a mere wake it would look only
        // after some sixty such turns.
        let _ = pin!(yield_now()).poll(context);
        Poll::Pending
    }

    /// Does one thing that is due.
    fn poll_step(&mut self, context: &mut Context<'_>, pace: &mut Pace) -> Poll<Progress> {
        if self.quiet
            && !self.conn.is_noted()
            && (self.conn.is_departing() || self.is_flushed(context))
        {
            let step = self.poll_fresh_messages(context, pace);
            if self.quiet && step.is_ready() {
                self.depart();
            }
            return step;
        }
        self.quiet = false;
        self.conn.take_noted();
        self.poll_due(context, pace)
    }

    /// Has a reply leave with those of others, unless it is so large that it would not wait in a
    /// cache.
    fn depart(&self) {
        let waits = |queue: &StreamQueue| (1..=LARGEST_DEPARTURE).contains(&queue.len());
        if self.conn.queued().is_some_and(waits) && !self.conn.is_departing() {
            self.service.departures.add(&self.conn, Rc::clone(&self.stream) as _);
        }
    }

    fn is_flushed(&mut self, context: &mut Context<'_>) -> bool {
        matches!(self.poll_flush(context), Poll::Ready(Ok(())))
    }

    /// Looks at everything that may be due, and does the first that is.
    fn poll_due(&mut self, context: &mut Context<'_>, pace: &mut Pace) -> Poll<Progress> {
        if self.service.is_draining() {
            self.conn.end_reads(ReadEnd::Shutdown);
        }
        if self.is_read_dry() && self.poll_dry_read(context) {
            return Poll::Ready(Progress::Made);
        }
        if let Some(progress) = self.poll_call(context, pace) {
            pace.note_call();
            return Poll::Ready(progress);
        }
        if self.serves_from_input() && self.answer_read() {
            return Poll::Ready(Progress::Made);
        }
        let flushed = match self.poll_flush(context) {
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(reason)) => {
                // Whoever waits for this queue or for a message is told, so that the callback comes
                // to its end.
                self.conn.break_off(reason);
                return Poll::Ready(Progress::Made);
            }
            Poll::Pending => false,
        };
        let busy = self.call.is_some();
        if !busy && self.conn.holds_answer() {
            // A task that reads comes before the next message, and is told of the end.
            return Poll::Pending;
        }
        if !busy {
            if let Some(reason) = self.conn.ordered_end() {
                return Poll::Ready(Progress::End(reason));
            }
            if flushed {
                if let Some(reason) = self.due_end() {
                    return Poll::Ready(Progress::End(reason));
                }
                if self.is_new_generation() {
                    pace.note_call();
                    return Poll::Ready(self.enter_generation());
                }
            } else if !self.conn.is_being_read() {
                return Poll::Pending;
            }
        }
        if self.conn.ordered_end().is_some() {
            return Poll::Pending;
        }
        if self.conn.is_being_read() {
            self.poll_read_request(context)
        } else if !busy && self.conversation == Conversation::None && !self.conn.is_outgoing() {
            self.poll_messages(context, pace)
        } else {
            Poll::Pending
        }
    }

    /// Whether a read waits and there are bytes for it: then replies collect, as they do for
    /// messages that no callback has to ask for.
    fn serves_from_input(&self) -> bool {
        (!self.input.is_empty() || self.conn.has_unseen())
            && self.conn.is_being_read()
            && self.conn.has_room()
            && self.conn.ordered_end().is_none()
    }

    /// The end that is due while no callback runs and everything is flushed.
    fn due_end(&self) -> Option<Reason> {
        if let Some(reason) = self.conn.due_end() {
            return Some(reason);
        }
        if self.service.is_draining() && !self.conn.is_outgoing() {
            return Some(Reason::Shutdown);
        }
        let tasks = || self.handler().has_tasks(&self.conn);
        match self.conversation {
            Conversation::Ended if !tasks() && self.input.has_ended() => Some(Reason::Eof),
            Conversation::Ended if !tasks() => Some(Reason::Closed),
            // With both sides ended there is nothing to stay for.
            Conversation::None if self.is_input_over() && self.shut && !tasks() => {
                Some(Reason::Eof)
            }
            _ => None,
        }
    }

    /// Whether nothing more can arrive, and whoever is to know of that does.
    fn is_input_over(&self) -> bool {
        self.input_ended || self.conn.is_outgoing() && self.input.has_ended()
    }

    fn is_new_generation(&self) -> bool {
        self.conversation == Conversation::None
            && !self.conn.is_outgoing()
            && self.conn.generation() != self.handler().generation()
    }

    fn enter_generation(&mut self) -> Progress {
        self.conn.enter_generation(self.handler().version(), self.handler().framings());
        self.idle = None;
        // The new rules may be the first that count silence.
        self.conn.touch();
        if self.handler().wants(Kind::Reload) { self.start(Event::Reload) } else { Progress::Made }
    }
}

#[cfg(test)]
mod tests;
