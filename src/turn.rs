//! How long a task has been at work, so that others get their turn in time. On Linux the clock costs
//! a few nanoseconds and goes on in steps of some milliseconds: a turn may end early, and lasts for
//! one step and the call that is running at most.

/// See the module.
#[derive(Clone, Copy)]
pub struct Turn(clock::Mark);

impl Turn {
    /// A turn begins.
    #[must_use]
    pub fn begin() -> Self {
        Self(clock::now())
    }

    /// Whether others are to have theirs.
    #[must_use]
    pub fn is_over(self) -> bool {
        clock::has_gone_on(&self.0)
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

    pub(super) fn has_gone_on(mark: &Mark) -> bool {
        now() != *mark
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

    pub(super) fn has_gone_on(mark: &Mark) -> bool {
        mark.elapsed() > STEP
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_turn_is_over_at_some_time() {
        let (turn, begin) = (Turn::begin(), Instant::now());
        while !turn.is_over() {
            assert!(begin.elapsed() < Duration::from_secs(10));
        }
    }
}
