//! Tells when a runtime has nothing left to do but to wait for time to pass.

use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Whether the runtime has come to rest since it was last asked.
#[derive(Default)]
pub(super) struct Idle(Mutex<State>);

#[derive(Default)]
struct State {
    rests: u64,
    waker: Option<Waker>,
}

impl Idle {
    /// The runtime is about to wait; called by it.
    pub(super) fn note(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.rests += 1;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Resolves when the runtime next comes to rest; no time passes before.
    pub(super) async fn rest(&self) {
        let mut since = None;
        poll_fn(|context| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if *since.get_or_insert(state.rests) != state.rests {
                return Poll::Ready(());
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
