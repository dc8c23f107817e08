//! What is wrong with a dialogue file, shown with its place and its line.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

use crate::text::Printable;

/// As many mistakes as are told at once.
const MOST: usize = 20;

/// Bytes of a line that are shown before and behind the place of a mistake.
const SHOWN: usize = 48;

/// A mistake in the line at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slip {
    /// Bytes of the line before it.
    pub(super) at: usize,
    /// What was expected.
    pub(super) problem: String,
}

impl Slip {
    pub(super) fn new(at: usize, problem: impl Into<String>) -> Self {
        Self { at, problem: problem.into() }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1 on.
    pub line: usize,
    /// The character of the line, from 1 on.
    pub column: usize,
    /// What was expected, and what stands there.
    pub problem: String,
    /// The line, or the part of it around the mistake.
    pub excerpt: String,
    /// The character of the excerpt, from 1 on.
    pub mark: usize,
}

impl Mistake {
    /// A slip in this line of the file.
    pub(super) fn new(line: usize, text: &[u8], slip: Slip) -> Self {
        let at = slip.at.min(text.len());
        let (before, behind) = text.split_at(at);
        let from = boundary(before, at.saturating_sub(SHOWN));
        let to = boundary(behind, SHOWN.min(behind.len()));
        let mut excerpt = String::from(if from > 0 { "…" } else { "" });
        excerpt += &Printable(&before[from..]).to_string();
        let mark = excerpt.chars().count() + 1;
        excerpt += &Printable(&behind[..to]).to_string();
        excerpt += if to < behind.len() { "…" } else { "" };
        let column = String::from_utf8_lossy(before).chars().count() + 1;
        Self { line, column, problem: slip.problem, excerpt, mark }
    }
}

/// The first place from `at` on where no character is cut.
fn boundary(bytes: &[u8], at: usize) -> usize {
    let more = bytes[at..].iter().take(3).take_while(|&byte| byte & 0xc0 == 0x80).count();
    at + more
}

/// All that is wrong with a file, as far as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    /// The file, as its reader was told.
    pub file: String,
    /// The first ones, one at least.
    pub list: Vec<Mistake>,
    /// The rest of the file was not looked at.
    pub more: bool,
}

impl Mistakes {
    /// None so far.
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), list: Vec::new(), more: false }
    }

    /// One more; false if it is time to stop.
    pub(super) fn push(&mut self, mistake: Mistake) -> bool {
        self.list.push(mistake);
        self.more = self.list.len() == MOST;
        !self.more
    }
}

impl Display for Mistakes {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for (number, mistake) in self.list.iter().enumerate() {
            let Mistake { line, column, problem, excerpt, mark } = mistake;
            let end = if number > 0 { "\n" } else { "" };
            let file = Printable(self.file.as_bytes());
            writeln!(out, "{end}{file}:{line}:{column}: {problem}")?;
            let width = line.to_string().len().max(3);
            writeln!(out, "{line:>width$} | {excerpt}")?;
            write!(out, "{:>width$} | {:>mark$}", "", '^')?;
        }
        if self.more { out.write_str("\nthe rest of the file was not looked at") } else { Ok(()) }
    }
}

impl Error for Mistakes {}
