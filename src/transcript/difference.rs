//! How what was received differs from what was expected, for a person to read.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use super::quoted::{Hex, Masked, Quoted};
use super::words::Line;

/// Bytes that are shown before and behind the first difference.
const SHOWN: usize = 40;

/// A difference, ready to be shown. What is shown is bounded; a mark stands below the first byte
/// that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What was expected, and what came, around the first difference.
    expected: String,
    got: String,
    /// Characters before the mark, and what it says.
    mark: Option<(usize, String)>,
}

/// The part of the bytes that is shown, and the place in it that is marked.
struct View {
    from: usize,
    at: usize,
    to: usize,
    hex: bool,
}

impl Difference {
    /// Between bytes that should be equal, and are not.
    #[must_use]
    pub fn between(expected: &[u8], got: &[u8]) -> Self {
        let equal = expected.iter().zip(got).take_while(|(one, other)| one == other).count();
        Self::of_bytes(expected, got, equal, equal == got.len())
    }

    /// What was expected, around the first difference.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// What came, around the first difference.
    #[must_use]
    pub fn got(&self) -> &str {
        &self.got
    }

    /// The first `at` bytes are equal.
    pub(super) fn of_bytes(expected: &[u8], got: &[u8], at: usize, ended: bool) -> Self {
        let view = View::new(at, expected, got);
        let (shown, mark) = view.show(expected);
        let (got, _) = view.show(got);
        Self { expected: shown, got, mark: blame(at, ended).map(|text| (mark, text)) }
    }

    /// The first `at` bytes are equal.
    pub(super) fn of_masked(expected: &[Option<u8>], got: &[u8], at: usize, ended: bool) -> Self {
        let view = View { from: at.saturating_sub(SHOWN), at, to: at + SHOWN, hex: true };
        let dots = view.dots(expected.len());
        let masked = Masked(&expected[view.within(expected.len())]).to_string();
        let expected = format!("{}{}{}", dots.0, masked.trim_start(), dots.1);
        let (got, mark) = view.show(got);
        Self { expected, got, mark: blame(at, ended).map(|text| (mark, text)) }
    }

    /// There is no match: because of what is behind `at` bytes, or because of all of them.
    pub(super) fn of_pattern(
        what: &str,
        pattern: &Line,
        got: &[u8],
        at: Option<usize>,
        ended: bool,
    ) -> Self {
        let view = View::new(at.unwrap_or(0), got, got);
        let (got, mark) = view.show(got);
        let text = at.and_then(|at| if ended { blame(at, true) } else { Some(unlike(at)) });
        let mark = text.map(|text| (mark, text));
        Self { expected: format!("{what} {pattern}"), got, mark }
    }
}

/// What the mark says; nothing where nothing has come at all.
fn blame(at: usize, ended: bool) -> Option<String> {
    match (at, ended) {
        (0, true) => None,
        (_, true) => Some(format!("nothing came behind {}", bytes(at))),
        (0, false) => Some("the first byte differs".to_owned()),
        (_, false) => Some(format!("differs behind {}", bytes(at))),
    }
}

fn unlike(at: usize) -> String {
    match at {
        0 => "no match begins so".to_owned(),
        _ => format!("no match goes on so behind {}", bytes(at)),
    }
}

fn bytes(count: usize) -> String {
    format!("{count} byte{}", if count == 1 { "" } else { "s" })
}

impl View {
    /// Around `at`, where `one` and `other`, equal before it, begin to differ.
    fn new(at: usize, one: &[u8], other: &[u8]) -> Self {
        let mut view = Self { from: at.saturating_sub(SHOWN), at, to: at + SHOWN, hex: false };
        view.hex =
            [one, other].into_iter().any(|bytes| is_binary(&bytes[view.within(bytes.len())]));
        // A character is shown whole, though only its last byte differs.
        let longer = if one.len() > other.len() { one } else { other };
        for place in [&mut view.from, &mut view.at] {
            let starts = |&at: &usize| longer.get(at).is_none_or(|byte| byte & 0xc0 != 0x80);
            *place = (place.saturating_sub(3)..=*place).rev().find(starts).unwrap_or(*place);
        }
        view
    }

    /// The part of bytes of this length.
    fn within(&self, length: usize) -> Range<usize> {
        self.from.min(length)..self.to.min(length)
    }

    /// What stands for the bytes before and behind it.
    fn dots(&self, length: usize) -> (&'static str, &'static str) {
        (if self.from > 0 { "… " } else { "" }, if self.to < length { " …" } else { "" })
    }

    /// The part as text, and how many characters are before the mark.
    fn show(&self, bytes: &[u8]) -> (String, usize) {
        if bytes.is_empty() {
            return ("nothing".to_owned(), 0);
        }
        let Range { start, end } = self.within(bytes.len());
        let (equal, rest) = bytes[start..end].split_at(self.at.min(end) - start);
        let (before, behind) = self.dots(bytes.len());
        if self.hex {
            let mark = before.chars().count() + 3 * equal.len();
            let hex = Hex(&bytes[start..end]).to_string();
            return (format!("{before}{}{behind}", hex.trim_start()), mark);
        }
        let head = format!("{before}\"{}", Quoted(equal));
        let mark = head.chars().count();
        (format!("{head}{}\"{behind}", Quoted(rest)), mark)
    }
}

/// Whether most of it would have to be escaped.
fn is_binary(bytes: &[u8]) -> bool {
    let escaped = |chunk: std::str::Utf8Chunk<'_>| {
        let controls = chunk
            .valid()
            .bytes()
            .filter(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace());
        controls.count() + chunk.invalid().len()
    };
    bytes.utf8_chunks().map(escaped).sum::<usize>() * 3 > bytes.len()
}

impl Display for Difference {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "expected  {}", self.expected)?;
        write!(out, "got       {}", self.got)?;
        match &self.mark {
            Some((before, text)) => write!(out, "\n          {:before$}^ {text}", ""),
            None => Ok(()),
        }
    }
}
