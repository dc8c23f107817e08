//! How long a task has been at work, so that others get their turn in time. On Linux the clock costs
//! a few nanoseconds and goes on in steps of some milliseconds: a turn may end early, and lasts for
//! one step and the call that is running at most.

mod pace;

use std::cell::Cell;

pub use pace::Pace;

/// See the module.
#[derive(Clone, Copy)]
pub struct Turn(clock::Mark);

/// When the clock was last looked at on this thread, as far as is known here: for turns that mostly
/// are over before anybody has to look. Such a turn may count from before it began, and so only
/// end earlier.
pub struct LastLook(Cell<clock::Mark>);

impl Default for LastLook {
    fn default() -> Self {
        Self(Cell::new(clock::now()))
    }
}

impl LastLook {
    /// A turn begins; the clock is not looked at.
    #[must_use]
    pub fn begin(&self) -> Turn {
        Turn(self.0.get())
    }

    /// As [`Turn::is_over`], for a turn that began here.
    #[must_use]
    pub fn is_over(&self, turn: Turn) -> bool {
        self.0.set(clock::now());
        clock::has_gone_on(&turn.0, &self.0.get())
    }
}

impl Turn {
    /// A turn begins.
    #[must_use]
    pub fn begin() -> Self {
        Self(clock::now())
    }

    /// Whether others are to have theirs.
    #[must_use]
    pub fn is_over(self) -> bool {
        clock::has_gone_on(&self.0, &clock::now())
    }
}

#[cfg(target_os = "linux")]
mod clock {
    use std::time::Duration;

    use nix::time::{ClockId, clock_gettime};

    pub(super) type Mark = Duration;

    pub(super) fn now() -> Mark {
        // It fails for clocks that are not there only, and this one always is.
        clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).map(Duration::from).unwrap_or_default()
    }

    pub(super) fn has_gone_on(since: &Mark, now: &Mark) -> bool {
        now != since
    }
}

#[cfg(not(target_os = "linux"))]
mod clock {
    use std::time::{Duration, Instant};

    /// What a step of Linux's coarse clock is on most systems.
    const STEP: Duration = Duration::from_millis(4);

    pub(super) type Mark = Instant;

    pub(super) fn now() -> Mark {
        Instant::now()
    }

    pub(super) fn has_gone_on(since: &Mark, now: &Mark) -> bool {
        now.duration_since(*since) > STEP
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_turn_that_began_at_the_last_look_is_over_at_some_time() {
        let (look, begin) = (LastLook::default(), Instant::now());
        while !look.is_over(look.begin()) {
            assert!(begin.elapsed() < Duration::from_secs(10));
        }
    }

    #[test]
    fn a_turn_is_over_at_some_time() {
        let (turn, begin) = (Turn::begin(), Instant::now());
        while !turn.is_over() {
            assert!(begin.elapsed() < Duration::from_secs(10));
        }
    }
}
