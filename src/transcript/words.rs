//! The words that a step is made of, each of a type that holds only what a file can say.

use std::fmt::{self, Display, Formatter};

use super::field::SPACES;

/// The name of a client, an upstream or a variable: ASCII letters, digits and `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// A text as a name, if it is one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.bytes().all(is_letter);
        fits.then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a byte can be part of a name.
pub(super) fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The name of a listener: ASCII letters, digits, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerName(String);

impl ListenerName {
    /// A text as a name, if it is one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.bytes().all(|byte| is_letter(byte) || byte == b'-');
        fits.then(|| Self(text.to_owned()))
    }
}

/// A text to the end of a line: no LF in it, no CR at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line(String);

impl Line {
    /// A text as a line, if it is one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        fits_a_line(text).then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text can stand at the end of a line.
pub(super) fn fits_a_line(text: &str) -> bool {
    !text.contains('\n') && !text.ends_with('\r')
}

/// The name of a file as it was written, relative to the dialogue's: not empty, no space around
/// it, no control character in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(String);

impl FileName {
    /// A text as a file's name, if it is one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty()
            && text.trim_matches(SPACES) == text
            && !text.contains(char::is_control);
        fits.then(|| Self(text.to_owned()))
    }
}

impl Display for Name {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Display for ListenerName {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Display for Line {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Display for FileName {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
