//! The tasks around a queue: the one that empties it, and those that wait for it to shrink.

use std::cell::{Cell, RefCell};
use std::task::Waker;

/// The task that serves a connection or a socket. It is not woken while it is at work, because
/// then every reply would have its own session polled once more. That there is something new to
/// look at is noted in any case.
#[derive(Default)]
pub(super) struct Task {
    waker: RefCell<Option<Waker>>,
    at_work: Cell<bool>,
    noted: Cell<bool>,
}

impl Task {
    /// The task is to be woken by `waker` from now on.
    pub(super) fn register(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// Whether the task is at work, and `waker` is its own.
    pub(super) fn is_at_work_with(&self, waker: &Waker) -> bool {
        let own = self.waker.borrow();
        self.at_work.get() && own.as_ref().is_some_and(|own| own.will_wake(waker))
    }

    /// Says whether the task is at work.
    pub(super) fn set_at_work(&self, at_work: bool) {
        self.at_work.set(at_work);
    }

    /// Whether there is something new since [`Task::take_noted`].
    pub(super) fn is_noted(&self) -> bool {
        self.noted.get()
    }

    /// Whether there was something new since this was last asked.
    pub(super) fn take_noted(&self) -> bool {
        self.noted.take()
    }

    /// There is something new: notes it, and wakes the task unless it is at work.
    pub(super) fn wake(&self) {
        self.noted.set(true);
        self.nudge();
    }

    /// Wakes the task for what it looks at each time, unless it is at work.
    pub(super) fn nudge(&self) {
        if !self.at_work.get()
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }
}

/// Tasks that wait for progress.
#[derive(Default)]
pub(super) struct Waiters(RefCell<Vec<Waker>>);

impl Waiters {
    /// Adds a task, to be woken at the next progress.
    pub(super) fn add(&self, waker: &Waker) {
        let mut waiters = self.0.borrow_mut();
        if !waiters.iter().any(|known| known.will_wake(waker)) {
            waiters.push(waker.clone());
        }
    }

    /// There was progress.
    pub(super) fn wake(&self) {
        // Most often nobody waits, and this is on the way of every message.
        if !self.0.borrow().is_empty() {
            self.0.take().into_iter().for_each(Waker::wake);
        }
    }
}
