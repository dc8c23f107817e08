//! From bytes to messages: those that the handler is called with, and those that a read asks for.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::{Pace, Progress, Session};
use crate::conn::{ReadEnd, Reason, Received};
use crate::frame::{FrameError, Framing};
use crate::handler::{Event, Handler, Kind, Outcome, Step};
use crate::net::Stream;

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
    /// Reads what is there, has the messages in it answered, and keeps the rest.
    pub(super) fn poll_messages(
        &mut self,
        context: &mut Context<'_>,
        pace: &mut Pace,
    ) -> Poll<Progress> {
        if self.input_ended {
            return Poll::Pending;
        }
        if let Some(message) = self.conn.take_unseen() {
            pace.note_call();
            return Poll::Ready(self.start(Event::Message(&message)));
        }
        // A script whose callbacks all are there before the first bytes enters here at once.
        if self.handler().wants(Kind::Session) {
            return self.poll_first_message(context);
        }
        if self.input.is_empty() && !self.input.has_ended() {
            self.quiet = true;
            return self.poll_fresh_messages(context, pace);
        }
        let bytes = self.input.take();
        let (used, pause) = self.answer(&bytes, pace);
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
    pub(super) fn poll_fresh_messages(
        &mut self,
        context: &mut Context<'_>,
        pace: &mut Pace,
    ) -> Poll<Progress> {
        let service = Rc::clone(&self.service);
        let mut scratch = service.scratch.borrow_mut();
        let length = match self.poll_read(context, &mut scratch) {
            Poll::Ready(Ok(length)) => length,
            Poll::Ready(Err(reason)) => return Poll::Ready(Progress::End(reason)),
            Poll::Pending => {
                drop(scratch);
                let idle = ready!(self.poll_idle(context));
                // `on_idle` may wait, or have failed.
                self.quiet = false;
                return Poll::Ready(idle);
            }
        };
        if length == 0 {
            self.quiet = false;
            self.input.end();
            return Poll::Ready(self.start(Event::Eof));
        }
        let bytes = &scratch[..length];
        let (used, pause) = self.answer(bytes, pace);
        if used == length && matches!(pause, Pause::Empty) {
            return Poll::Ready(Progress::Made);
        }
        self.quiet = false;
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
    fn answer(&mut self, bytes: &[u8], pace: &mut Pace) -> (usize, Pause<H::Call>) {
        let mut used = 0;
        let framing = self.conn.framing();
        loop {
            let rest = &bytes[used..];
            if rest.is_empty() {
                return (used, Pause::Empty);
            }
            if !pace.admits_message(&self.service.last_look) {
                return (used, Pause::Turn);
            }
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
                self.service.hint_at_lines(&self.conn, message);
            }
            let step = self.service.handler.start(&self.conn, Event::Message(message));
            used += decoded.consumed;
            match step {
                Step::Done(Outcome::Done { .. } | Outcome::Rejected) => {}
                step => return (used, Pause::Call(step)),
            }
            // What is behind a close is dropped, what is behind a full queue waits; and another
            // framing may be in force.
            if self.conn.is_noted() || !self.conn.has_room() {
                return (used, Pause::Turn);
            }
        }
    }

    /// Begins a conversation once its first message is there.
    fn poll_first_message(&mut self, context: &mut Context<'_>) -> Poll<Progress> {
        match self.input.has_message(&self.conn.framing()) {
            Ok(true) => return Poll::Ready(self.begin_conversation()),
            Ok(false) if self.input.has_skipped() => return Poll::Ready(Progress::Made),
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

    /// Whether a callback waits, a read does, and nothing is kept for it.
    pub(super) fn is_read_dry(&self) -> bool {
        self.call.is_some()
            && self.input.is_empty()
            && self.conn.is_being_read()
            && self.conn.ordered_end().is_none()
    }

    /// Reads for that and answers it: mostly a session is woken for this, and its callback has
    /// nothing to do before. Says whether something has arrived.
    pub(super) fn poll_dry_read(&mut self, context: &mut Context<'_>) -> bool {
        match self.poll_arrival(context) {
            Poll::Pending => return false,
            Poll::Ready(Ok(())) if self.conn.has_room() => drop(self.answer_read()),
            Poll::Ready(Ok(())) => {}
            // The callback sees it, and comes to its end.
            Poll::Ready(Err(reason)) => self.conn.break_off(reason),
        }
        true
    }

    /// Answers the read that waits, once a message is there.
    pub(super) fn poll_read_request(&mut self, context: &mut Context<'_>) -> Poll<Progress> {
        if self.answer_read() {
            return Poll::Ready(Progress::Made);
        }
        match ready!(self.poll_fill(context)) {
            // Most often it is there now; if not, the next step waits for more.
            Ok(()) if self.conn.has_room() => drop(self.answer_read()),
            Ok(()) => {}
            // The callback sees it, and comes to its end.
            Err(reason) => self.conn.break_off(reason),
        }
        Poll::Ready(Progress::Made)
    }

    /// Answers the read that waits from what is kept; says whether it could.
    pub(super) fn answer_read(&mut self) -> bool {
        let Some(framing) = self.conn.wanted_framing() else { return true };
        if let Some(message) = self.conn.take_unseen() {
            self.conn.answer_read(Received::Message(message));
            return true;
        }
        match self.message_for(&framing) {
            Ok(Some(message)) => {
                self.note_activity();
                self.service.log_message(&self.conn, &message);
                self.conn.answer_read(Received::Message(message));
            }
            Ok(None) if self.input.has_skipped() => {}
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
        if self.input.lacks_bytes(framing) {
            return Ok(None);
        }
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
}
