//! A part of a line that knows where it stands, so that every mistake has a place.

use super::mistake::Slip;

/// A part of a line, and how many bytes of the line are before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'l> {
    pub(super) text: &'l str,
    pub(super) at: usize,
}

impl<'l> Field<'l> {
    /// All but the first `count` bytes.
    pub(super) fn skip(self, count: usize) -> Self {
        Self { text: &self.text[count..], at: self.at + count }
    }

    /// Without the spaces around it.
    pub(super) fn trim(self) -> Self {
        let behind = self.text.trim_start_matches(SPACES);
        let at = self.at + self.text.len() - behind.len();
        Self { text: behind.trim_end_matches(SPACES), at }
    }

    /// Its first word, and what is behind the one space that ends it.
    pub(super) fn split_word(self) -> (Field<'l>, Field<'l>) {
        let end = self.text.find(SPACES).unwrap_or(self.text.len());
        let word = Field { text: &self.text[..end], at: self.at };
        (word, self.skip((end + 1).min(self.text.len())))
    }

    /// A slip at its first byte.
    pub(super) fn slip(self, problem: impl Into<String>) -> Slip {
        Slip::new(self.at, problem)
    }
}

/// What may stand around words.
pub(super) const SPACES: [char; 2] = [' ', '\t'];

/// A text as a message shows it: short, and in quotes.
pub(super) fn short(text: &str) -> String {
    format!("'{:.32}'", crate::text::Printable(text.as_bytes()))
}
