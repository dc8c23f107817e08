//! A handler that is loaded while the play goes on: its `on_load` may wait for upstreams, whose steps
//! are played meanwhile. Those of clients wait for it.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::{Failure, Play, Stage, Task};
use crate::transcript::{Action, Sight, Step};

/// How far that is.
pub(super) enum Loading {
    /// It is at work, for the step with this index, or before the first one.
    Running(Option<usize>, Task<Result<(), String>>),
    /// It failed, which ends the play.
    Failed(Failure),
    /// There is nothing to wait for.
    Done,
}

/// Whom a step is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Upstream,
    /// A client, or a handler that comes next.
    Server,
    /// Time, and what is seen of the handler.
    Nobody,
}

impl<S: Stage> Play<'_, S> {
    /// A handler begins to load, for the step at `index`.
    pub(super) fn begin_loading(&mut self, index: Option<usize>, task: Task<Result<(), String>>) {
        self.loading = Loading::Running(index, task);
    }

    /// Goes on with it.
    pub(super) fn poll_loading(&mut self, context: &mut Context<'_>) {
        let Loading::Running(index, task) = &mut self.loading else { return };
        let Poll::Ready(loaded) = task.as_mut().poll(context) else { return };
        let placed = index.and_then(|index| self.dialogue.steps.get(index));
        self.loading = match (loaded, placed) {
            (Ok(()), _) => Loading::Done,
            (Err(problem), Some(placed)) => {
                Loading::Failed(Failure::of_step(self.dialogue, placed, problem))
            }
            (Err(problem), None) => Loading::Failed(Failure::before(&self.dialogue.file, problem)),
        };
    }

    /// Waits until the handler is loaded, and that has had its effect.
    pub(super) async fn loaded(&mut self) -> Result<(), Failure> {
        if matches!(self.loading, Loading::Running(..)) {
            // An `on_load` may take its time.
            poll_fn(|context| {
                self.take_in(context);
                match self.loading {
                    Loading::Running(..) => Poll::Pending,
                    Loading::Failed(_) | Loading::Done => Poll::Ready(()),
                }
            })
            .await;
            self.settle().await;
        }
        self.load_failure()
    }

    /// Fails where the handler could not be loaded.
    pub(super) fn load_failure(&self) -> Result<(), Failure> {
        match &self.loading {
            Loading::Running(..) | Loading::Done => Ok(()),
            Loading::Failed(failure) => Err(failure.clone()),
        }
    }

    /// Whether the step at `index` has to wait for the handler: those of upstreams do not, nor does
    /// what belongs to nobody and stands before one of them.
    pub(super) fn waits_for_loading(&self, index: usize) -> bool {
        let mut about = self.dialogue.steps[index..].iter().map(|placed| self.about(&placed.step));
        matches!(self.loading, Loading::Running(..))
            && about.find(|about| *about != About::Nobody) != Some(About::Upstream)
    }

    fn about(&self, step: &Step) -> About {
        match &step.action {
            _ if self.is_upstream(step.who.as_ref()) => About::Upstream,
            Action::Pass(_) | Action::See(Sight::Log(_) | Sight::Reject(_) | Sight::Fault(_)) => {
                About::Nobody
            }
            Action::Send(_) | Action::Expect(_) | Action::Do(_) | Action::See(_) => About::Server,
        }
    }
}
