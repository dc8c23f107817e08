//! How a play waits: whatever it waits for, what arrives for anyone is taken in meanwhile, and a
//! handler that is loaded goes on.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::sleep;

use super::{Play, Stage};

impl<S: Stage> Play<'_, S> {
    /// Waits until what was done has had its effect.
    pub(super) async fn settle(&mut self) {
        let mut settled = self.stage.settle();
        poll_fn(|context| {
            self.take_in(context);
            settled.as_mut().poll(context)
        })
        .await;
    }

    /// Waits until `ready` is, for the time of a step at most. What comes at the very end of that
    /// time is still in it.
    pub(super) async fn await_in_time<T>(
        &mut self,
        mut ready: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Option<T> {
        let early = self.wait(self.timeout, &mut ready).await;
        if early.is_some() {
            return early;
        }
        let settled = self.stage.settle();
        self.wait_until(settled, ready).await
    }

    /// Waits until `ready` is or the time is over.
    pub(super) async fn wait<T>(
        &mut self,
        limit: Duration,
        ready: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Option<T> {
        self.wait_until(sleep(limit), ready).await
    }

    async fn wait_until<T>(
        &mut self,
        over: impl Future<Output = ()>,
        mut ready: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Option<T> {
        let mut over = pin!(over);
        poll_fn(|context| {
            self.take_in(context);
            if let Poll::Ready(value) = ready(self, context) {
                return Poll::Ready(Some(value));
            }
            over.as_mut().poll(context).map(|()| None)
        })
        .await
    }

    pub(super) fn take_in(&mut self, context: &mut Context<'_>) {
        self.poll_loading(context);
        for party in self.parties.values_mut() {
            party.take_in(context);
        }
    }
}
