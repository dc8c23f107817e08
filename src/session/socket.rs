//! Bytes in and out of the socket of a stream connection, and how long it has been silent.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::{Progress, Session};
use crate::conn::{IdleLimit, Reason};
use crate::handler::Handler;
use crate::net::Stream;
use crate::tap::{End, Tap};

impl<S: Stream + 'static, H: Handler + 'static> Session<S, H> {
    /// Who is told of what comes and goes; of what a script connects to nobody is.
    fn tap(&self) -> Option<&dyn Tap> {
        self.service.tap.as_deref().filter(|_| !self.conn.is_outgoing())
    }

    pub(super) fn tell_end(&self, end: End) {
        if let Some(tap) = self.tap() {
            tap.ended(&self.conn, end);
        }
    }

    /// What an error of the socket means; almost always that the peer is gone.
    fn broken_by(&self, error: &io::Error) -> Reason {
        debug!(conn = %self.conn, %error, "the peer broke off");
        self.tell_end(End::PeerReset);
        Reason::Reset
    }

    /// Something arrived or left; the clock is asked only where silence counts.
    pub(super) fn note_activity(&self) {
        if self.idle_timeout().is_some() {
            self.conn.touch();
        }
    }

    pub(super) fn idle_timeout(&self) -> Option<Duration> {
        match self.conn.idle_limit() {
            _ if self.conn.is_outgoing() => None,
            IdleLimit::Rule => self.service.idle_timeout(),
            IdleLimit::Own(limit) => limit,
        }
    }

    /// Reads what is there into what is kept; pending where nothing is.
    pub(super) fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        if let Poll::Ready(arrived) = self.poll_arrival(context) {
            return Poll::Ready(arrived);
        }
        match ready!(self.poll_idle(context)) {
            Progress::Made => Poll::Ready(Ok(())),
            Progress::End(reason) => Poll::Ready(Err(reason)),
        }
    }

    /// As [`Self::poll_fill`], without a look at how long it has been silent.
    pub(super) fn poll_arrival(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        let service = Rc::clone(&self.service);
        let mut scratch = service.scratch.borrow_mut();
        match self.poll_read(context, &mut scratch) {
            Poll::Ready(Ok(0)) => self.input.end(),
            Poll::Ready(Ok(length)) => self.input.keep(&scratch[..length], &self.conn),
            Poll::Ready(Err(reason)) => return Poll::Ready(Err(reason)),
            Poll::Pending => return Poll::Pending,
        }
        self.note_activity();
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<Result<usize, Reason>> {
        let mut buffer = ReadBuf::new(scratch);
        let mut stream = self.stream.borrow_mut();
        match ready!(stream.poll_receive(context, &mut buffer)) {
            Ok(()) => {
                let bytes = buffer.filled();
                if let Some(tap) = self.tap() {
                    match bytes {
                        [] => tap.ended(&self.conn, End::Peer),
                        bytes => tap.received(&self.conn, bytes),
                    }
                }
                Poll::Ready(Ok(bytes.len()))
            }
            Err(error) => Poll::Ready(Err(self.broken_by(&error))),
        }
    }

    /// Writes what is queued; pending while the peer does not take it, an error once that has
    /// lasted for the send timeout.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        let Some(queue) = self.conn.queued() else { return Poll::Ready(Ok(())) };
        while !queue.is_empty() {
            let mut stream = self.stream.borrow_mut();
            // To try first costs less than half of what a poll does.
            match queue.write(|bytes| {
                let written = match stream.try_write(bytes) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        Pin::new(&mut *stream).poll_write(context, bytes)
                    }
                    written => Poll::Ready(written),
                };
                if let (Some(tap), Poll::Ready(Ok(count))) = (self.tap(), &written) {
                    tap.sent(&self.conn, &bytes[..*count]);
                }
                written
            }) {
                Poll::Ready(Ok(_)) => {
                    drop(stream);
                    self.stall = None;
                    self.note_activity();
                    self.conn.progressed();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.broken_by(&error))),
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
                return Poll::Ready(Err(self.broken_by(&error)));
            }
            self.tell_end(End::Own);
        }
        Poll::Ready(Ok(()))
    }
}
