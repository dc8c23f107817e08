//! The callbacks of a stream connection: run at once where they need not wait, else followed beside
//! the socket; and what their ends mean for the connection.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, sleep_until};

use super::{Call, Conversation, Progress, Session};
use crate::conn::{Lent, Reason};
use crate::handler::{Event, Handler, Kind, Outcome, Step, finish, serve_penalty};
use crate::net::Stream;
use crate::service::logs_messages;
use crate::turn::Pace;

impl<S: Stream + 'static, H: Handler + 'static> Session<S, H> {
    /// Goes on with the callback that waits; `None` while it does.
    pub(super) fn poll_call(
        &mut self,
        context: &mut Context<'_>,
        pace: &mut Pace,
    ) -> Option<Progress> {
        if let Some(call) = &mut self.aside
            && let Poll::Ready(outcome) = call.future.as_mut().poll(context)
        {
            self.aside = None;
            return Some(self.after(Kind::Idle, &outcome));
        }
        let mut call = self.call.take()?;
        self.lend(*pace);
        let polled = call.future.as_mut().poll(context);
        self.take_back(pace);
        let Poll::Ready(outcome) = polled else {
            self.call = Some(call);
            return None;
        };
        Some(self.after(call.kind, &outcome))
    }

    /// Lends what was read to the callback that is about to be polled; a message that is to be
    /// logged is not handed over so.
    fn lend(&mut self, pace: Pace) {
        if self.input.is_empty() || logs_messages() {
            return;
        }
        self.conn.lend(Lent {
            input: std::mem::take(&mut self.input),
            pace,
            last_look: Rc::clone(&self.service.last_look),
            counts_silence: self.idle_timeout().is_some(),
        });
    }

    fn take_back(&mut self, pace: &mut Pace) {
        if let Some(lent) = self.conn.take_back() {
            self.input = lent.input;
            *pace = lent.pace;
        }
    }

    /// Runs a callback: to its end, or to its first wait.
    pub(super) fn start(&mut self, event: Event<'_>) -> Progress {
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
    pub(super) fn keep(&self, kind: Kind, step: Step<H::Call>) -> Call {
        let (service, conn) = (Rc::clone(&self.service), Rc::clone(&self.conn));
        let failed_at = matches!(step, Step::Done(_)).then(|| self.handler().calls());
        let future = async move {
            let outcome = finish(&service.handler, &conn, step).await;
            if matches!(outcome, Outcome::Failed(_)) {
                serve_penalty(&service.handler, &conn, failed_at).await;
            }
            outcome
        };
        Call { kind, future: Box::pin(future) }
    }

    /// What a callback's end means for the connection.
    pub(super) fn after(&mut self, kind: Kind, outcome: &Outcome) -> Progress {
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

    pub(super) fn begin_conversation(&mut self) -> Progress {
        self.conversation = Conversation::Running;
        self.start(Event::Session)
    }

    /// Pending until the connection was silent for the idle timeout, if there is one; then has
    /// `on_idle` decide.
    pub(super) fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<Progress> {
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
