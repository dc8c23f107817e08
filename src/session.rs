//! One stream connection: reads bytes, has the handler answer their messages one at a time, writes
//! what was sent, and ends as DESIGN says for each reason. Knows no socket type and no Lua.
//!
//! The fast path lives in one poll: bytes are read into a buffer that all sessions of the worker
//! share, the handler is called with the messages in them, and its replies are written, so that
//! an idle connection holds no buffer and a message costs one read and one write. Only a callback
//! that waits, or failed, leaves that path: it is polled here, and while it runs bytes are read
//! only where it asks for a message.

mod end;
mod input;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::conn::{Conn, IdleLimit, ReadEnd, Reason, Received};
use crate::frame::{FrameError, Framing};
use crate::handler::{Event, Handler, Kind, Outcome, Step, finish, serve_penalty};
use crate::net::Stream;
use crate::service::Service;
use crate::turn::Turn;
use end::reason_of;
use input::Input;

/// Steps that one wake-up takes before others get their turn, within [`LONGEST_TURN`]: each is a
/// read of 64 KiB with all its messages, or one message of a conversation.
const STEPS_PER_TURN: usize = 64;

/// A turn in which calls took longer than this ends after the one that is running, so that a
/// connection with slow calls holds others up by one of them and not by eight.
const LONGEST_TURN: Duration = Duration::from_millis(1);

/// Messages between two looks at the finer clock, which costs as much as a small call; between
/// them [`Turn`] tells of calls that are slow.
const MESSAGES_PER_LOOK: usize = 16;

/// Serves a connection that was accepted until it is gone, `on_close` included.
pub fn serve<S: Stream + 'static, H: Handler + 'static>(
    stream: S,
    conn: Rc<Conn>,
    service: Rc<Service<H>>,
) -> impl Future<Output = ()> {
    let mut session = Session::new(stream, conn, service);
    async move {
        let reason = session.converse().await;
        session.end(reason).await;
    }
}

/// Serves a connection that the script made: no callback is run for it, its messages are read
/// where they are asked for.
pub fn serve_outgoing<S: Stream + 'static, H: Handler + 'static>(
    stream: S,
    conn: Rc<Conn>,
    service: Rc<Service<H>>,
) -> impl Future<Output = ()> {
    let mut session = Session::new(stream, conn, service);
    async move {
        let reason = session.run().await;
        session.end(reason).await;
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

/// Why no more messages of what was read are answered.
enum Pause<C> {
    /// More bytes are needed.
    Empty,
    /// Others are to have their turn, or there is something to do first.
    Turn,
    /// A callback waits, or failed.
    Call(Step<C>),
    /// What arrived has no meaning.
    Spoiled(Reason),
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
            idle: None,
            stall: None,
        }
    }

    /// The life of an accepted connection between opening and end.
    async fn converse(&mut self) -> Reason {
        self.conn.enter_generation(self.handler().generation(), self.handler().framings());
        let opened = if self.handler().wants(Kind::Connect) {
            self.start(Event::Connect)
        } else {
            self.after(Kind::Connect, &Outcome::NOTHING)
        };
        match opened {
            Progress::Made => self.run().await,
            Progress::End(reason) => reason,
        }
    }

    /// The life of a connection until an end is due.
    async fn run(&mut self) -> Reason {
        poll_fn(|context| {
            self.conn.set_at_work(true);
            let turn = self.poll_turn(context);
            self.conn.set_at_work(false);
            turn
        })
        .await
    }

    fn handler(&self) -> &H {
        &self.service.handler
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Reason> {
        self.conn.register(context.waker());
        let turn = Turn::begin();
        let mut begin = None;
        for _ in 0..STEPS_PER_TURN {
            // Most turns are one message and do not look at the finer clock at all.
            if begin.is_some_and(|begin: Instant| begin.elapsed() > LONGEST_TURN) {
                break;
            }
            match ready!(self.poll_step(context)) {
                Progress::Made if turn.is_over() => break,
                Progress::Made => {
                    begin.get_or_insert_with(Instant::now);
                }
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
    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Progress> {
        if self.service.is_draining() {
            self.conn.end_reads(ReadEnd::Shutdown);
        }
        if let Some(progress) = self.poll_call(context) {
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
        if !busy {
            if let Some(reason) = self.conn.ordered_end() {
                return Poll::Ready(Progress::End(reason));
            }
            if flushed {
                if let Some(reason) = self.due_end() {
                    return Poll::Ready(Progress::End(reason));
                }
                if self.is_new_generation() {
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
            self.poll_messages(context)
        } else {
            Poll::Pending
        }
    }

    /// Whether a read waits and there are bytes for it: then replies collect, as they do for
    /// messages that no callback has to ask for.
    fn serves_from_input(&self) -> bool {
        !self.input.is_empty()
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
        self.conn.enter_generation(self.handler().generation(), self.handler().framings());
        self.idle = None;
        // The new rules may be the first that count silence.
        self.conn.touch();
        if self.handler().wants(Kind::Reload) { self.start(Event::Reload) } else { Progress::Made }
    }

    /// Goes on with the callback that waits; `None` while it does.
    fn poll_call(&mut self, context: &mut Context<'_>) -> Option<Progress> {
        if let Some(call) = &mut self.aside
            && let Poll::Ready(outcome) = call.future.as_mut().poll(context)
        {
            self.aside = None;
            return Some(self.after(Kind::Idle, &outcome));
        }
        let call = self.call.as_mut()?;
        let Poll::Ready(outcome) = call.future.as_mut().poll(context) else { return None };
        let kind = call.kind;
        self.call = None;
        Some(self.after(kind, &outcome))
    }

    /// Runs a callback: to its end, or to its first wait.
    fn start(&mut self, event: Event<'_>) -> Progress {
        let kind = event.kind();
        match self.handler().start(&self.conn, event) {
            Step::Done(outcome @ (Outcome::Done { .. } | Outcome::Rejected)) => {
                self.after(kind, &outcome)
            }
            step => {
                self.call = Some(self.keep(kind, step));
                Progress::Made
            }
        }
    }

    /// A callback that waits or failed, to be followed beside the socket.
    fn keep(&self, kind: Kind, step: Step<H::Call>) -> Call {
        let (service, conn) = (Rc::clone(&self.service), Rc::clone(&self.conn));
        let future = async move {
            let outcome = finish(&service.handler, &conn, step).await;
            if matches!(outcome, Outcome::Failed(_)) {
                serve_penalty(&service.handler, &conn).await;
            }
            outcome
        };
        Call { kind, future: Box::pin(future) }
    }

    /// What a callback's end means for the connection.
    fn after(&mut self, kind: Kind, outcome: &Outcome) -> Progress {
        let kept = *outcome == Outcome::Done { keep: true };
        let failed = matches!(outcome, Outcome::Failed(_));
        let ordered = self.conn.ordered_end();
        match kind {
            Kind::Connect if *outcome == Outcome::Rejected => Progress::End(Reason::Rejected),
            Kind::Connect if failed => Progress::End(Reason::Error),
            Kind::Connect if ordered.is_none() && self.handler().wants(Kind::Session) => {
                self.begin_conversation()
            }
            Kind::Session => {
                self.conversation = Conversation::Ended;
                if failed { Progress::End(Reason::Error) } else { Progress::Made }
            }
            Kind::Eof if kept => {
                self.input_ended = true;
                Progress::Made
            }
            Kind::Eof => Progress::End(ordered.unwrap_or(Reason::Eof)),
            Kind::Idle if kept => {
                self.conn.touch();
                Progress::Made
            }
            // The conversation gets to know by its read, and comes to its end.
            Kind::Idle if self.call.is_some() => {
                self.conn.end(Reason::Idle);
                Progress::Made
            }
            Kind::Idle => Progress::End(ordered.unwrap_or(Reason::Idle)),
            _ if failed && self.service.close_on_error => Progress::End(Reason::Error),
            _ => Progress::Made,
        }
    }

    fn begin_conversation(&mut self) -> Progress {
        self.conversation = Conversation::Running;
        self.start(Event::Session)
    }

    /// Something arrived or left; the clock is asked only where silence counts.
    fn note_activity(&self) {
        if self.idle_timeout().is_some() {
            self.conn.touch();
        }
    }

    fn idle_timeout(&self) -> Option<Duration> {
        match self.conn.idle_limit() {
            _ if self.conn.is_outgoing() => None,
            IdleLimit::Rule => self.service.idle_timeout(),
            IdleLimit::Own(limit) => limit,
        }
    }

    /// Reads what is there, has the messages in it answered, and keeps the rest.
    fn poll_messages(&mut self, context: &mut Context<'_>) -> Poll<Progress> {
        if self.input_ended {
            return Poll::Pending;
        }
        // A script whose callbacks all are there before the first bytes enters here at once.
        if self.handler().wants(Kind::Session) {
            return self.poll_first_message(context);
        }
        if self.input.is_empty() && !self.input.has_ended() {
            return self.poll_fresh_messages(context);
        }
        let bytes = self.input.take();
        let (used, pause) = self.answer(&bytes);
        self.input.put_back(bytes, used);
        match pause {
            // Replies leave before more is read.
            Pause::Empty if used > 0 => Poll::Ready(Progress::Made),
            Pause::Empty if self.input.has_ended() => {
                self.input.drop_rest(&self.conn);
                Poll::Ready(self.start(Event::Eof))
            }
            Pause::Empty => match ready!(self.poll_fill(context)) {
                Ok(()) => Poll::Ready(Progress::Made),
                Err(reason) => Poll::Ready(Progress::End(reason)),
            },
            pause => Poll::Ready(self.pause(pause)),
        }
    }

    /// As [`Self::poll_messages`] where nothing was kept: the buffer of the worker is enough.
    fn poll_fresh_messages(&mut self, context: &mut Context<'_>) -> Poll<Progress> {
        let service = Rc::clone(&self.service);
        let mut scratch = service.scratch.borrow_mut();
        let length = match self.poll_read(context, &mut scratch) {
            Poll::Ready(Ok(length)) => length,
            Poll::Ready(Err(reason)) => return Poll::Ready(Progress::End(reason)),
            Poll::Pending => {
                drop(scratch);
                return self.poll_idle(context);
            }
        };
        if length == 0 {
            self.input.end();
            return Poll::Ready(self.start(Event::Eof));
        }
        let bytes = &scratch[..length];
        let (used, pause) = self.answer(bytes);
        self.input.keep(&bytes[used..], &self.conn);
        Poll::Ready(self.pause(pause))
    }

    fn pause(&mut self, pause: Pause<H::Call>) -> Progress {
        match pause {
            Pause::Empty | Pause::Turn => Progress::Made,
            Pause::Call(step) => {
                self.call = Some(self.keep(Kind::Message, step));
                Progress::Made
            }
            Pause::Spoiled(reason) => Progress::End(reason),
        }
    }

    /// Has the messages at the front of `bytes` answered; says how many bytes are done with.
    fn answer(&mut self, bytes: &[u8]) -> (usize, Pause<H::Call>) {
        let mut used = 0;
        let turn = Turn::begin();
        let mut begin = None;
        for count in 1.. {
            let framing = self.conn.framing();
            let rest = &bytes[used..];
            let decoded = match self.input.decode(&framing, rest) {
                Ok(Some(decoded)) => decoded,
                Ok(None) => return (used + self.input.take_skipped(), Pause::Empty),
                // The end comes next, as it does behind a whole message.
                Err(error @ FrameError::Cut { .. }) => {
                    self.conn.note_frame_error(&error);
                    return (bytes.len(), Pause::Empty);
                }
                Err(error) => return (used, Pause::Spoiled(self.conn.note_frame_error(&error))),
            };
            let message = decoded.message.bytes(rest);
            self.note_activity();
            self.service.log_message(&self.conn, message);
            if framing.is_raw() {
                self.service.hint_at_lines(message);
            }
            let step = self.service.handler.start(&self.conn, Event::Message(message));
            used += decoded.consumed;
            match step {
                Step::Done(Outcome::Done { .. } | Outcome::Rejected) => {}
                step => return (used, Pause::Call(step)),
            }
            // What is behind a close is dropped, what is behind a full queue waits.
            if self.conn.ordered_end().is_some() || !self.conn.has_room() || turn.is_over() {
                return (used, Pause::Turn);
            }
            if count % MESSAGES_PER_LOOK == 0
                && begin.get_or_insert_with(Instant::now).elapsed() > LONGEST_TURN
            {
                return (used, Pause::Turn);
            }
        }
        (used, Pause::Turn)
    }

    /// Begins a conversation once its first message is there.
    fn poll_first_message(&mut self, context: &mut Context<'_>) -> Poll<Progress> {
        match self.input.has_message(&self.conn.framing()) {
            Ok(true) => return Poll::Ready(self.begin_conversation()),
            Ok(false) | Err(FrameError::Cut { .. }) if self.input.has_ended() => {
                self.input.drop_rest(&self.conn);
                return Poll::Ready(self.start(Event::Eof));
            }
            Ok(false) => {}
            Err(error) => {
                return Poll::Ready(Progress::End(self.conn.note_frame_error(&error)));
            }
        }
        match ready!(self.poll_fill(context)) {
            Ok(()) => Poll::Ready(Progress::Made),
            Err(reason) => Poll::Ready(Progress::End(reason)),
        }
    }

    /// Answers the read that waits, once a message is there.
    fn poll_read_request(&mut self, context: &mut Context<'_>) -> Poll<Progress> {
        if self.answer_read() {
            return Poll::Ready(Progress::Made);
        }
        match ready!(self.poll_fill(context)) {
            Ok(()) => {}
            // The callback sees it, and comes to its end.
            Err(reason) => self.conn.break_off(reason),
        }
        Poll::Ready(Progress::Made)
    }

    /// Answers the read that waits from what is kept; says whether it could.
    fn answer_read(&mut self) -> bool {
        let Some(framing) = self.conn.wanted_framing() else { return true };
        match self.message_for(&framing) {
            Ok(Some(message)) => {
                self.note_activity();
                self.service.log_message(&self.conn, &message);
                self.conn.answer_read(Received::Message(message));
            }
            Ok(None) if self.input.has_ended() => {
                self.input.drop_rest(&self.conn);
                self.conn.end_reads(ReadEnd::Eof);
            }
            Ok(None) => return false,
            Err(reason) => {
                self.conn.spoil(reason);
                self.conn.end_reads(reason.into());
            }
        }
        true
    }

    /// Takes one message of what is kept, in a buffer of its own.
    fn message_for(&mut self, framing: &Rc<Framing>) -> Result<Option<Vec<u8>>, Reason> {
        let mut buffer = self.conn.buffer();
        match self.input.take_message(framing, &self.conn, &mut buffer) {
            Ok(true) => Ok(Some(buffer)),
            // Of a cut message the rest is dropped with the end.
            Ok(false) | Err(FrameError::Cut { .. }) => {
                self.conn.recycle(buffer);
                Ok(None)
            }
            Err(error) => Err(self.conn.note_frame_error(&error)),
        }
    }

    /// Reads what is there into what is kept; pending where nothing is.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        let service = Rc::clone(&self.service);
        let mut scratch = service.scratch.borrow_mut();
        match self.poll_read(context, &mut scratch) {
            Poll::Ready(Ok(0)) => self.input.end(),
            Poll::Ready(Ok(length)) => self.input.keep(&scratch[..length], &self.conn),
            Poll::Ready(Err(reason)) => return Poll::Ready(Err(reason)),
            Poll::Pending => {
                drop(scratch);
                return match ready!(self.poll_idle(context)) {
                    Progress::Made => Poll::Ready(Ok(())),
                    Progress::End(reason) => Poll::Ready(Err(reason)),
                };
            }
        }
        self.note_activity();
        Poll::Ready(Ok(()))
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<Result<usize, Reason>> {
        let mut buffer = ReadBuf::new(scratch);
        let mut stream = self.stream.borrow_mut();
        match ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer)) {
            Ok(()) => Poll::Ready(Ok(buffer.filled().len())),
            Err(error) => Poll::Ready(Err(reason_of(&self.conn, &error))),
        }
    }

    /// Writes what is queued; pending while the peer does not take it, an error once that has
    /// lasted for the send timeout.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        let Some(queue) = self.conn.queued() else { return Poll::Ready(Ok(())) };
        while !queue.is_empty() {
            let mut stream = self.stream.borrow_mut();
            match queue.write(|bytes| Pin::new(&mut *stream).poll_write(context, bytes)) {
                Poll::Ready(Ok(_)) => {
                    drop(stream);
                    self.stall = None;
                    self.note_activity();
                    self.conn.progressed();
                }
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(reason_of(&self.conn, &error)));
                }
                Poll::Pending => {
                    let limit = self.service.send_timeout;
                    let stall = self
                        .stall
                        .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
                    ready!(stall.as_mut().poll(context));
                    return Poll::Ready(Err(Reason::Slow));
                }
            }
        }
        if self.conn.is_half_closing() && !self.shut {
            self.shut = true;
            let mut stream = self.stream.borrow_mut();
            if let Err(error) = ready!(Pin::new(&mut *stream).poll_shutdown(context)) {
                return Poll::Ready(Err(reason_of(&self.conn, &error)));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Pending until the connection was silent for the idle timeout, if there is one; then has
    /// `on_idle` decide.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<Progress> {
        let Some(limit) = self.idle_timeout().filter(|_| self.aside.is_none()) else {
            return Poll::Pending;
        };
        loop {
            let due = self.conn.last_active() + limit;
            if due <= Instant::now() {
                self.idle = None;
                return Poll::Ready(self.tell_idle());
            }
            // One timer for the whole silence: it is set anew only when it fires.
            let timer = self.idle.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(context));
            timer.as_mut().reset(due);
        }
    }

    fn tell_idle(&mut self) -> Progress {
        if self.call.is_none() {
            return self.start(Event::Idle);
        }
        match self.handler().start(&self.conn, Event::Idle) {
            Step::Done(outcome @ (Outcome::Done { .. } | Outcome::Rejected)) => {
                self.after(Kind::Idle, &outcome)
            }
            step => {
                self.aside = Some(self.keep(Kind::Idle, step));
                Progress::Made
            }
        }
    }
}

#[cfg(test)]
mod tests;
