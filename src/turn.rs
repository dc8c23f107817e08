//! How long a task has been at work, so that others get their turn in time. The clock costs a few
//! nanoseconds and goes on in steps of some milliseconds: a turn may end early, and lasts for one
//! step and the call that is running at most.

use std::time::Duration;

/// See the module.
pub struct Turn(Duration);

impl Turn {
    /// A turn begins.
    #[must_use]
    pub fn begin() -> Self {
        Self(now())
    }

    /// Whether others are to have theirs.
    #[must_use]
    pub fn is_over(&self) -> bool {
        now() != self.0
    }
}

#[cfg(target_os = "linux")]
fn now() -> Duration {
    use nix::time::{ClockId, clock_gettime};
    // It fails for clocks that are not there only, and this one always is.
    clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).map(Duration::from).unwrap_or_default()
}

#[cfg(not(target_os = "linux"))]
fn now() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    let since = START.get_or_init(Instant::now).elapsed();
    Duration::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_over_after_some_milliseconds() {
        let turn = Turn::begin();
        std::thread::sleep(Duration::from_millis(50));
        assert!(turn.is_over());
    }
}
