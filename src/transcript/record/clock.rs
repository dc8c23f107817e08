//! When what is written happened, and the pauses that say so.

use std::time::Duration;

use super::PAUSE;

/// Who speaks: the number of a client, and whether it is the server who speaks to it.
pub(super) type Turn = (usize, bool);

/// When what is written happened.
#[derive(Debug, Default)]
pub(super) struct Clock {
    turn: Option<Turn>,
    /// What the pauses that were written have come to, within a turn.
    told: Duration,
    /// The last thing that was written.
    last: Duration,
}

impl Clock {
    /// A step begins `at` and lasts until `last`; gives the pause that is to be written before it.
    ///
    /// Within a turn, pauses that are too short to be written add up. A change of turns is mostly
    /// an answer, whose time is the other side's.
    pub(super) fn advance(
        &mut self,
        turn: Turn,
        at: Option<Duration>,
        last: Duration,
    ) -> Option<Duration> {
        let is_first = self.turn.is_none();
        let same = self.turn.replace(turn) == Some(turn);
        let before = if same { self.told } else { self.last };
        self.last = self.last.max(last);
        let at = at?;
        let pause = at.saturating_sub(before);
        if is_first {
            self.told = at;
            return None;
        }
        let millis = u64::try_from((pause + Duration::from_micros(500)).as_millis());
        let pause = Duration::from_millis(millis.unwrap_or(u64::MAX));
        let is_told = pause >= PAUSE;
        if !same {
            self.told = at;
        } else if is_told {
            self.told += pause;
        }
        is_told.then_some(pause)
    }
}
