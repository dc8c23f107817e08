//! When messages are due that are sent at a rate. Pure: all times are nanoseconds since the begin
//! of the run.
//!
//! The schedule does not wait for answers. A message that leaves late, because the server or this
//! program could not keep up, has its latency counted from the time it was due: else the slow
//! moments, in which few messages are sent, would hardly show (*coordinated omission*).

/// Nanoseconds of a second.
const SECOND: u128 = 1_000_000_000;

/// Evenly spaced times, for ever.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    begin: u64,
    /// Messages a second.
    rate: u64,
}

impl Schedule {
    /// From `begin` on, so many a second.
    #[must_use]
    pub fn new(begin: u64, rate: u64) -> Self {
        Self { begin, rate: rate.max(1) }
    }

    /// When message `number` is due; the first is number 0.
    #[must_use]
    pub fn due(&self, number: u64) -> u64 {
        let after = u128::from(number) * SECOND / u128::from(self.rate);
        self.begin.saturating_add(u64::try_from(after).unwrap_or(u64::MAX))
    }

    /// How many messages are due before `time`.
    #[must_use]
    pub fn due_before(&self, time: u64) -> u64 {
        let passed = u128::from(time.saturating_sub(self.begin));
        // The first number whose time, rounded down, is not before: its exact time is not either.
        u64::try_from((passed * u128::from(self.rate)).div_ceil(SECOND)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_as_many_messages_as_the_rate_says() {
        for rate in [1, 3, 7, 1000, 999_983, 10_000_000] {
            let schedule = Schedule::new(500, rate);
            assert_eq!(schedule.due(0), 500);
            assert_eq!(schedule.due(rate), 1_000_000_500);
            assert_eq!(schedule.due_before(1_000_000_500), rate);
            assert_eq!(schedule.due_before(500), 0);
            assert_eq!(schedule.due_before(0), 0);
        }
    }

    #[test]
    fn what_is_due_before_a_time_fits_what_is_due_when() {
        let schedule = Schedule::new(11, 700_001);
        for time in (0..100_000).step_by(13) {
            let count = schedule.due_before(time);
            assert!(count == 0 || schedule.due(count - 1) < time, "{time}");
            assert!(schedule.due(count) + 1 >= time, "{time}");
        }
    }

    #[test]
    fn the_spacing_does_not_drift() {
        let schedule = Schedule::new(0, 3);
        let times: Vec<_> = (0..7).map(|number| schedule.due(number)).collect();
        let third = 333_333_333;
        let second = 1_000_000_000;
        assert_eq!(
            times,
            [0, third, 2 * third, second, second + third, second + 2 * third, 2 * second]
        );
    }

    #[test]
    fn a_run_of_any_length_has_a_due_time() {
        assert_eq!(Schedule::new(1, 1).due(u64::MAX), u64::MAX);
    }
}
