//! Replies that leave together: those of the connections that one look of the runtime found input
//! for. Each system call of a kind finds the kernel's code and data as the one before left them,
//! and a client that is served by one thread is woken once for all of them, which saves some per
//! cent of a worker's time. Decides nothing: who may leave later than at once, the session says.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::conn::Conn;
use crate::net::Stream;
use crate::tap::Tap;
use crate::turn::Turn;

/// Replies that wait for each other at most.
const MOST: usize = 64;

/// What the queue of a connection is written to.
pub trait Gate {
    /// Writes what is queued, and tells `tap`; where not all of it is taken, has the task of the
    /// connection go on.
    fn write_queue_of(&self, conn: &Conn, tap: Option<&dyn Tap>);
}

impl<S: Stream> Gate for RefCell<S> {
    fn write_queue_of(&self, conn: &Conn, tap: Option<&dyn Tap>) {
        let Some(queue) = conn.queued() else { return };
        let stream = self.borrow();
        while !queue.is_empty() {
            match queue.write(|bytes| {
                let written = stream.try_write(bytes);
                if let (Some(tap), Ok(count)) = (tap, &written) {
                    tap.sent(conn, &bytes[..*count]);
                }
                Poll::Ready(written)
            }) {
                Poll::Ready(Ok(_)) => conn.progressed(),
                Poll::Ready(Err(_)) | Poll::Pending => return conn.wake_task(),
            }
        }
    }
}

/// A connection, and what its queue is written to.
type Departure = (Rc<Conn>, Rc<dyn Gate>);

/// See the module.
#[derive(Default)]
pub struct Departures {
    waiting: RefCell<Vec<Departure>>,
    /// When the first of them began to wait.
    since: Cell<Option<Turn>>,
    /// The task that sees them off, which runs once those are through that were woken before it.
    task: RefCell<Option<Waker>>,
    tap: Option<Rc<dyn Tap>>,
}

impl Departures {
    /// None yet; `tap` is told of what leaves.
    #[must_use]
    pub fn new(tap: Option<Rc<dyn Tap>>) -> Self {
        Self { tap, ..Self::default() }
    }

    /// Has what is queued for a connection leave with that of others.
    pub fn add(&self, conn: &Rc<Conn>, gate: Rc<dyn Gate>) {
        let task = self.task.borrow();
        let Some(task) = &*task else { return gate.write_queue_of(conn, self.tap()) };
        conn.set_departing(true);
        let mut waiting = self.waiting.borrow_mut();
        waiting.push((Rc::clone(conn), gate));
        let count = waiting.len();
        drop(waiting);
        if count == 1 {
            self.since.set(Some(Turn::begin()));
            task.wake_by_ref();
        } else if count == MOST {
            self.see_off();
        }
    }

    /// Calls have run, and may have been slow: the replies of others do not wait for more of them.
    pub fn see_off_late(&self) {
        if !self.waiting.borrow().is_empty() && self.since.get().is_some_and(Turn::is_over) {
            self.see_off();
        }
    }

    /// Has all of them leave now: what comes next may take long.
    pub fn see_off(&self) {
        for (conn, gate) in self.waiting.borrow_mut().drain(..) {
            conn.set_departing(false);
            gate.write_queue_of(&conn, self.tap());
        }
    }

    fn tap(&self) -> Option<&dyn Tap> {
        self.tap.as_deref()
    }

    /// Sees them off for as long as the worker lives.
    pub async fn serve(&self) -> Infallible {
        poll_fn(|context| {
            self.task.replace(Some(context.waker().clone()));
            self.see_off();
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
mod tests;
