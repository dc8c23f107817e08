//! The dialogue format: who says what to whom, as text that is read, written and compared with what
//! is received. Pure: no socket, no clock, no Lua. [`Dialogue::parse`] reads a file into typed
//! [`Step`]s, `Display` writes them; what one can hold, the other can say. [`Dialogue::client`]
//! resolves the steps of a plain client into [`Turn`]s, whose [`Expectation`]s are compared with
//! bytes as they come. [`record::Recording`] writes a dialogue of what happens between others.
//!
#![doc = include_str!("format.md")]

mod client;
mod difference;
mod directive;
mod expect;
mod field;
mod mistake;
mod parse;
mod parts;
mod pattern;
mod quoted;
pub mod record;
mod step;
mod template;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
mod tests;
mod words;

use std::fmt::{self, Display, Formatter};

pub use client::{Client, Turn, TurnKind, Unplayable};
pub use difference::Difference;
pub use directive::{Directives, Eol};
pub use expect::{Check, Expectation, Verdict};
pub use mistake::{Mistake, Mistakes};
pub use pattern::{BytesPattern, LinePattern};
pub use step::{Action, Deed, Payload, Sight, Step, Wanted};
pub use template::{Part, Template, Text, Variables};
pub use words::{FileName, Line, ListenerName, Name};

/// A dialogue: who says what, in order.
#[derive(Debug, Clone)]
pub struct Dialogue {
    /// The file, as its reader was told.
    pub file: String,
    /// What stands above the steps.
    pub directives: Directives,
    /// The steps.
    pub steps: Vec<Placed>,
}

/// A step, and where it stands.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The line of the file, from 1 on.
    pub line: usize,
    /// The step.
    pub step: Step,
}

impl Dialogue {
    /// Reads a whole file; `file` is what mistakes call it.
    ///
    /// # Errors
    /// Everything that is wrong with it, up to a number.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Mistakes> {
        parse::parse(file, bytes)
    }
}

impl Display for Dialogue {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.directives.fmt(out)?;
        self.steps.iter().try_for_each(|placed| writeln!(out, "{}", placed.step))
    }
}
