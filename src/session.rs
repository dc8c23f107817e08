//! One stream connection: reads messages, has the handler answer them one at a time, writes what
//! was sent, and ends as DESIGN says for each reason. Knows no socket type and no Lua.
//!
//! The fast path lives in one poll: bytes are read into a buffer that all sessions of the worker
//! share, the handler is called with them, and its replies are written, so that an idle
//! connection holds no buffer and a message costs one read and one write. Only a callback that
//! waits, or failed, leaves that path.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tracing::debug;

use crate::conn::{Conn, Reason};
use crate::handler::{Event, Handler, Kind, Outcome, Step, finish, serve_penalty};
use crate::net::Stream;
use crate::service::Service;

/// Reads that one wake-up handles before others get their turn: at 64 KiB each enough to keep a
/// loud connection busy, and few enough that the others wait microseconds.
const READS_PER_TURN: usize = 8;

/// A turn in which calls took longer than this ends after the one that is running, so that a
/// connection with slow calls holds others up by one of them and not by eight.
const LONGEST_TURN: Duration = Duration::from_millis(1);

/// How long and how much is read and thrown away after a close, so that a peer which is still
/// sending gets the last words and not a reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 * 1024;

/// Serves a connection until it is gone, `on_close` included.
pub async fn serve<S: Stream, H: Handler>(stream: S, conn: Rc<Conn>, service: Rc<Service<H>>) {
    let mut session =
        Session { stream, conn, service, input_ended: false, shut: false, idle: None, stall: None };
    let reason = session.converse().await;
    session.end(reason).await;
}

struct Session<S, H> {
    stream: S,
    conn: Rc<Conn>,
    service: Rc<Service<H>>,
    /// The peer half-closed, and `on_eof` kept the connection.
    input_ended: bool,
    /// Our side is half-closed.
    shut: bool,
    idle: Option<Pin<Box<Sleep>>>,
    stall: Option<Pin<Box<Sleep>>>,
}

/// Why the fast path was left.
enum Turn<C> {
    /// A callback waits, or failed.
    Call(Step<C>),
    Eof,
    Idle,
    Reload,
    End(Reason),
}

impl<S: Stream, H: Handler> Session<S, H> {
    /// The life of the connection between opening and end.
    async fn converse(&mut self) -> Reason {
        self.conn.enter_generation(self.handler().generation());
        if self.handler().wants(Kind::Connect) {
            match self.call(Event::Connect).await {
                Outcome::Done { .. } => {}
                Outcome::Rejected => return Reason::Rejected,
                Outcome::Failed(_) => return Reason::Error,
            }
        }
        loop {
            let turn = poll_fn(|context| {
                self.conn.set_at_work(true);
                let turn = self.poll_turn(context);
                self.conn.set_at_work(false);
                turn
            });
            let outcome = match turn.await {
                Turn::End(reason) => return reason,
                Turn::Call(step) => self.complete(step).await,
                Turn::Reload => self.call(Event::Reload).await,
                Turn::Eof => match self.call(Event::Eof).await {
                    Outcome::Done { keep: true } => {
                        self.input_ended = true;
                        continue;
                    }
                    _ => return self.conn.ordered_end().unwrap_or(Reason::Eof),
                },
                Turn::Idle => match self.call(Event::Idle).await {
                    Outcome::Done { keep: true } => {
                        self.conn.touch();
                        continue;
                    }
                    _ => return self.conn.ordered_end().unwrap_or(Reason::Idle),
                },
            };
            if matches!(outcome, Outcome::Failed(_)) && self.service.close_on_error {
                return Reason::Error;
            }
        }
    }

    fn handler(&self) -> &H {
        &self.service.handler
    }

    /// Does everything that needs no waiting callback.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Turn<H::Call>> {
        self.conn.register(context.waker());
        let mut begin = None;
        for _ in 0..READS_PER_TURN {
            // Most turns are one message and do not look at the clock at all.
            if begin.is_some_and(|begin: Instant| begin.elapsed() > LONGEST_TURN) {
                break;
            }
            if let Some(reason) = self.conn.ordered_end() {
                return Poll::Ready(Turn::End(reason));
            }
            match self.poll_flush(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(reason)) => return Poll::Ready(Turn::End(reason)),
                Poll::Pending => return Poll::Pending,
            }
            if self.service.is_draining() {
                return Poll::Ready(Turn::End(Reason::Shutdown));
            }
            // With both sides ended there is nothing to stay for.
            if self.input_ended && self.shut {
                return Poll::Ready(Turn::End(Reason::Eof));
            }
            if self.conn.generation() != self.handler().generation() {
                self.conn.enter_generation(self.handler().generation());
                self.idle = None;
                // The new rules may be the first that count silence.
                self.conn.touch();
                if self.handler().wants(Kind::Reload) {
                    return Poll::Ready(Turn::Reload);
                }
            }
            match self.poll_message(context) {
                Poll::Ready(Some(turn)) => return Poll::Ready(turn),
                Poll::Ready(None) => {
                    begin.get_or_insert_with(Instant::now);
                }
                Poll::Pending => return self.poll_idle(context),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Something arrived or left; the clock is asked only where silence counts.
    fn note_activity(&self) {
        if self.service.idle_timeout().is_some() {
            self.conn.touch();
        }
    }

    /// Reads one message and has it answered; `None` when it is done with.
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Turn<H::Call>>> {
        if self.input_ended {
            return Poll::Pending;
        }
        let mut scratch = self.service.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        if let Err(error) = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
            return Poll::Ready(Some(Turn::End(reason_of(&self.conn, &error))));
        }
        let message = buffer.filled();
        if message.is_empty() {
            return Poll::Ready(Some(Turn::Eof));
        }
        self.note_activity();
        self.service.log_message(&self.conn, message);
        match self.service.handler.start(&self.conn, Event::Message(message)) {
            Step::Done(Outcome::Done { .. } | Outcome::Rejected) => Poll::Ready(None),
            step => Poll::Ready(Some(Turn::Call(step))),
        }
    }

    /// Writes what is queued; pending while the peer does not take it, an error once that has
    /// lasted for the send timeout.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        let Some(queue) = self.conn.queued() else { return Poll::Ready(Ok(())) };
        while !queue.is_empty() {
            match queue.write(|bytes| Pin::new(&mut self.stream).poll_write(context, bytes)) {
                Poll::Ready(Ok(_)) => {
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
            if let Err(error) = ready!(Pin::new(&mut self.stream).poll_shutdown(context)) {
                return Poll::Ready(Err(reason_of(&self.conn, &error)));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Pending until the connection was silent for the idle timeout, if there is one.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<Turn<H::Call>> {
        let Some(limit) = self.service.idle_timeout() else { return Poll::Pending };
        loop {
            let due = self.conn.last_active() + limit;
            if due <= Instant::now() {
                self.idle = None;
                return Poll::Ready(Turn::Idle);
            }
            // One timer for the whole silence: it is set anew only when it fires.
            let timer = self.idle.get_or_insert_with(|| Box::pin(sleep_until(due)));
            ready!(timer.as_mut().poll(context));
            timer.as_mut().reset(due);
        }
    }

    /// Runs a callback to its end.
    async fn call(&mut self, event: Event<'_>) -> Outcome {
        match self.handler().start(&self.conn, event) {
            Step::Done(outcome @ (Outcome::Done { .. } | Outcome::Rejected)) => outcome,
            step => self.complete(step).await,
        }
    }

    /// Goes on with a callback to its end, and writes what it sends meanwhile.
    async fn complete(&mut self, step: Step<H::Call>) -> Outcome {
        let service = Rc::clone(&self.service);
        let conn = Rc::clone(&self.conn);
        let mut call = Box::pin(finish(&service.handler, &conn, step));
        let outcome = poll_fn(|context| {
            self.conn.register(context.waker());
            self.conn.set_at_work(true);
            let outcome = call.as_mut().poll(context);
            self.conn.set_at_work(false);
            if let Poll::Ready(Err(reason)) = self.poll_flush(context) {
                // Whoever waits for this queue is told, so that the callback comes to its end.
                self.conn.break_off(reason);
            }
            outcome
        })
        .await;
        drop(call);
        if matches!(outcome, Outcome::Failed(_)) {
            serve_penalty(&service.handler, &self.conn).await;
        }
        outcome
    }

    /// Flushes, closes, and tells the script.
    async fn end(mut self, reason: Reason) {
        let resetting = matches!(reason, Reason::Reset | Reason::Slow);
        if !resetting {
            self.say_goodbye().await;
        }
        self.conn.mark_gone();
        debug!(conn = %self.conn, %reason, "connection closed");
        let Self { stream, conn, service, .. } = self;
        let stream = if resetting {
            stream.reset_on_close();
            drop(stream);
            None
        } else {
            Some(stream)
        };
        match service.handler.start(&conn, Event::Close(reason)) {
            Step::Done(Outcome::Done { .. } | Outcome::Rejected) => {}
            step => drop(Box::pin(finish(&service.handler, &conn, step)).await),
        }
        let Some(stream) = stream else { return };
        match reason {
            Reason::Eof => {}
            // Nobody waits for peers when the server stops; only what is there already is read.
            Reason::Shutdown => linger(stream, &service, Duration::ZERO).await,
            _ => linger(stream, &service, LINGER).await,
        }
    }

    /// Sends what is queued and ends our side.
    async fn say_goodbye(&mut self) {
        let flushed = poll_fn(|context| {
            ready!(self.poll_flush(context))?;
            Poll::Ready(Ok::<(), Reason>(()))
        })
        .await;
        if flushed.is_ok() && !self.shut {
            // The peer may be gone already, which is what was wanted.
            let _ = poll_fn(|context| Pin::new(&mut self.stream).poll_shutdown(context)).await;
        }
    }
}

/// Reads and throws away, until the peer ends too or the bounds are reached.
async fn linger<S: Stream, H>(mut stream: S, service: &Service<H>, limit: Duration) {
    let mut left = LINGER_BYTES;
    let discard = poll_fn(|context| {
        while left > 0 {
            let mut scratch = service.scratch.borrow_mut();
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    left = left.saturating_sub(buffer.filled().len());
                }
                _ => break,
            }
        }
        Poll::Ready(())
    });
    // Running out of time is one of the expected ends.
    let _ = timeout(limit, discard).await;
}

/// What an error of the socket means; almost always that the peer is gone.
fn reason_of(conn: &Conn, error: &io::Error) -> Reason {
    debug!(%conn, %error, "the peer broke off");
    Reason::Reset
}

#[cfg(test)]
mod tests;
