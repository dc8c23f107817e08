//! How long a session has been at work since it was woken, so that others get their turn.

use std::time::{Duration, Instant};

use super::{LastLook, Turn};

/// A turn in which calls took longer than this ends after the one that is running, so that slow
/// calls hold others up by one of them and not by eight.
const LONGEST_TURN: Duration = Duration::from_millis(1);

/// Messages between two looks at the finer clock, which costs as much as a small call; between
/// them [`Turn`] tells of calls that are slow.
const MESSAGES_PER_LOOK: usize = 16;

/// Steps between two such looks.
const STEPS_PER_LOOK: usize = 4;

/// One turn of a session.
#[derive(Clone, Copy)]
pub struct Pace {
    turn: Turn,
    began: Option<Instant>,
    messages: usize,
    steps: usize,
}

impl Pace {
    /// A turn begins.
    #[must_use]
    pub fn begin(last_look: &LastLook) -> Self {
        Self { turn: last_look.begin(), began: None, messages: 0, steps: 0 }
    }

    /// A call has run in this turn otherwise than for a message that was admitted: the next one is
    /// not the first.
    pub fn note_call(&mut self) {
        self.messages += 1;
    }

    /// Whether one more message is answered in this turn; the first one always is.
    pub fn admits_message(&mut self, last_look: &LastLook) -> bool {
        self.messages += 1;
        self.messages == 1 || self.admits_another(last_look)
    }

    /// Whether a read is given one more message in this turn, beside the one that every turn has.
    pub fn admits_read(&mut self, last_look: &LastLook) -> bool {
        self.messages += 1;
        self.admits_another(last_look)
    }

    fn admits_another(&mut self, last_look: &LastLook) -> bool {
        !last_look.is_over(self.turn)
            && (!self.messages.is_multiple_of(MESSAGES_PER_LOOK) || !self.is_long())
    }

    /// Whether the turn is over after one more step.
    pub fn is_over(&mut self, last_look: &LastLook) -> bool {
        self.steps += 1;
        last_look.is_over(self.turn) || self.steps.is_multiple_of(STEPS_PER_LOOK) && self.is_long()
    }

    /// By the finer clock, which is first looked at here.
    fn is_long(&mut self) -> bool {
        self.began.get_or_insert_with(Instant::now).elapsed() > LONGEST_TURN
    }
}
