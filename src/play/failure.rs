//! Why a play failed, and where.

use std::fmt::{self, Display, Formatter};

use crate::text::Printable;
use crate::transcript::{Dialogue, Placed};

/// What stands for a step where something was left behind the last one.
const AT_END: &str = "at the end";

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The file, as its reader was told.
    pub file: String,
    /// The line of the step that failed, from 1 on; 0 before the first step.
    pub line: usize,
    /// The step, as it is written, or what else failed.
    pub step: String,
    /// What is wrong; may have several lines.
    pub problem: String,
}

impl Failure {
    /// A step failed.
    #[must_use]
    pub fn of_step(dialogue: &Dialogue, placed: &Placed, problem: String) -> Self {
        let step = placed.step.to_string();
        Self { file: dialogue.file.clone(), line: placed.line, step, problem }
    }

    /// There was something left behind the last step.
    pub(super) fn of_end(dialogue: &Dialogue, problem: String) -> Self {
        let line = dialogue.steps.last().map_or(0, |placed| placed.line);
        let step = AT_END.to_owned();
        Self { file: dialogue.file.clone(), line, step, problem }
    }

    /// Whether it is of what was left behind the last step.
    #[must_use]
    pub fn is_of_end(&self) -> bool {
        self.step == AT_END
    }

    /// It did not even begin.
    #[must_use]
    pub fn before(file: &str, problem: String) -> Self {
        Self { file: file.to_owned(), line: 0, step: "before the first step".to_owned(), problem }
    }
}

impl Display for Failure {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let file = Printable(self.file.as_bytes());
        let step = Printable(self.step.as_bytes());
        match self.line {
            0 => write!(out, "{file}: {step}")?,
            line => write!(out, "{file}:{line}: {step}")?,
        }
        // What a handler says may be in it.
        let mut lines = self.problem.lines().map(|line| Printable(line.as_bytes()));
        lines.try_for_each(|line| write!(out, "\n  {line}"))
    }
}

impl std::error::Error for Failure {}
