//! How a stream connection ends: the last words, `on_close`, and a while of throwing away what the
//! peer still sends.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::time::timeout;
use tracing::debug;

use super::Session;
use crate::conn::Reason;
use crate::handler::{Event, Handler, Outcome, Step, finish};
use crate::net::Stream;
use crate::net::option::Options;
use crate::service::Service;
use crate::tap::End;

/// How long and how much is read and thrown away after a close, so that a peer which is still
/// sending gets the last words and not a reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 * 1024;

impl<S: Stream + 'static, H: Handler + 'static> Session<S, H> {
    /// As [`Self::end`], which needs much room: in a box, else a connection would hold it all its
    /// life.
    pub(super) fn end_in_a_box(self, reason: Reason) -> Pin<Box<impl Future<Output = ()>>> {
        Box::pin(self.end(reason))
    }

    /// Flushes, closes, and tells the script.
    async fn end(mut self, reason: Reason) {
        let resetting = matches!(reason, Reason::Reset | Reason::Slow);
        // A callback beside the conversation has nothing to decide any more.
        self.aside = None;
        self.service.handler.release(&self.conn);
        if !resetting {
            self.say_goodbye().await;
        }
        if self.conn.is_outgoing() {
            // Nobody else tells the script how it ended.
            self.conn.end_reads(reason.into());
        }
        self.conn.mark_gone();
        debug!(conn = %self.conn, %reason, "connection closed");
        self.tell_end(End::Gone { reason, reset: resetting });
        let Self { stream, conn, service, .. } = self;
        let stream = if resetting {
            stream.borrow().reset_on_close();
            drop(stream);
            None
        } else {
            Some(stream)
        };
        if !conn.is_outgoing() {
            match service.handler.start(&conn, Event::Close(reason)) {
                Step::Done(Outcome::Done { .. } | Outcome::Rejected) => {}
                step => drop(Box::pin(finish(&service.handler, &conn, step)).await),
            }
            service.departures.see_off_late();
        }
        let Some(stream) = stream else { return };
        stream.close_without_waiting();
        match reason {
            Reason::Eof => {}
            // Nobody waits for peers when the server stops; only what is there already is read.
            Reason::Shutdown => linger(&stream, &service, Duration::ZERO).await,
            _ => linger(&stream, &service, LINGER).await,
        }
    }

    /// Sends what is queued and ends our side.
    async fn say_goodbye(&mut self) {
        let flushed = poll_fn(|context| {
            self.conn.register(context.waker());
            ready!(self.poll_flush(context))?;
            Poll::Ready(Ok::<(), Reason>(()))
        })
        .await;
        if flushed.is_ok() && !self.shut {
            // The peer may be gone already, which is what was wanted.
            let _ =
                poll_fn(|context| Pin::new(&mut *self.stream.borrow_mut()).poll_shutdown(context))
                    .await;
            self.tell_end(End::Own);
        }
    }
}

/// Reads and throws away, until the peer ends too or the bounds are reached.
async fn linger<S: Stream, H>(stream: &RefCell<S>, service: &Rc<Service<H>>, limit: Duration) {
    let mut left = LINGER_BYTES;
    let discard = poll_fn(|context| {
        while left > 0 {
            let mut scratch = service.scratch.borrow_mut();
            let mut buffer = ReadBuf::new(&mut scratch);
            let mut stream = stream.borrow_mut();
            match ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer)) {
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
