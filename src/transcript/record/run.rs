//! From the bytes of one side to steps: whole lines of text one by one, anything else as bytes.
//!
//! What comes out depends on the bytes of a run alone, and not on the pieces that they came in.
//! Lines are taken from its front for as long as they are text; what begins with something else is
//! bytes to the end of the run, cut at every [`BYTES_PER_STEP`].

use std::time::Duration;

use memchr::memchr;

use super::super::directive::Eol;
use super::super::step::{Action, Payload, Wanted};
use super::super::template::{Template, Text};

/// Bytes of a step that is no line.
pub const BYTES_PER_STEP: usize = 1024;

/// A line that is longer is written as bytes, and so much is looked at for its end.
pub const LONGEST_LINE: usize = 16 * 1024;

/// One in so many bytes may be none of a text, else they are written in hex.
const TEXT_PER_BYTE: usize = 4;

/// Consecutive bytes of one side.
#[derive(Debug)]
pub(super) struct Run {
    bytes: Vec<u8>,
    /// How many of them are written.
    start: usize,
    /// Where a piece begins among the bytes, and when it came.
    pieces: Vec<(usize, Duration)>,
    /// When the last piece came.
    pub(super) last: Duration,
    /// No line is looked for any more.
    is_bytes: bool,
}

/// What a step says, without the side that says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// A line, without its end.
    Line(Text),
    /// Bytes that are to be read.
    Quoted(Vec<u8>),
    /// Bytes that are not.
    Hex(Vec<u8>),
}

/// A step, and when its first byte came; none where a pause before it would cut the run.
pub(super) type Timed = (Said, Option<Duration>);

impl Said {
    /// What a client does, or expects of the server.
    pub(super) fn action(self, is_server: bool) -> Action {
        match self {
            Self::Line(text) if is_server => Action::Expect(Wanted::Text(text)),
            Self::Line(text) => Action::Send(Payload::Text(text)),
            Self::Quoted(bytes) if is_server => {
                Action::Expect(Wanted::Bytes(Template::literal(bytes)))
            }
            Self::Quoted(bytes) => Action::Send(Payload::Bytes(Template::literal(bytes))),
            Self::Hex(bytes) if is_server => {
                Action::Expect(Wanted::Hex(bytes.into_iter().map(Some).collect()))
            }
            Self::Hex(bytes) => Action::Send(Payload::Hex(bytes)),
        }
    }
}

impl Run {
    pub(super) fn new(bytes: &[u8], at: Duration) -> Self {
        Self { bytes: bytes.to_vec(), start: 0, pieces: vec![(0, at)], last: at, is_bytes: false }
    }

    pub(super) fn push(&mut self, bytes: &[u8], at: Duration) {
        self.last = at;
        self.bytes.drain(..self.start);
        for (begin, _) in &mut self.pieces {
            *begin = begin.saturating_sub(self.start);
        }
        self.start = 0;
        // Times are told to the millisecond.
        if self.pieces.last().is_none_or(|(_, last)| last.as_millis() != at.as_millis()) {
            self.pieces.push((self.bytes.len(), at));
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes are not written.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Takes the next step of it, if more bytes could not change that, or `ended` says that none
    /// come. The end of line is found out with the first line.
    pub(super) fn next(&mut self, eol: &mut Option<Eol>, ended: bool) -> Option<Timed> {
        let rest = &self.bytes[self.start..];
        let window = &rest[..rest.len().min(LONGEST_LINE)];
        if rest.is_empty() {
            return None;
        }
        if self.is_bytes {
            return self.next_bytes(ended).map(|(said, _)| (said, None));
        }
        match memchr(b'\n', window) {
            Some(end) => {
                if let Some(said) = line(&window[..=end], eol) {
                    return Some((said, Some(self.take(end + 1))));
                }
            }
            None if window.len() < LONGEST_LINE && !ended => return None,
            None => {}
        }
        let (said, at) = self.next_bytes(ended)?;
        self.is_bytes = true;
        Some((said, Some(at)))
    }

    fn next_bytes(&mut self, ended: bool) -> Option<(Said, Duration)> {
        let rest = &self.bytes[self.start..];
        let step = &rest[..rest.len().min(BYTES_PER_STEP)];
        if step.len() < BYTES_PER_STEP && !ended {
            return None;
        }
        let (said, length) = (bytes(step), step.len());
        Some((said, self.take(length)))
    }

    /// The next bytes are written; says when they began to come.
    fn take(&mut self, count: usize) -> Duration {
        let begun = |start: usize| move |(begin, _): &(usize, Duration)| *begin <= start;
        let piece = self.pieces.iter().rposition(begun(self.start)).unwrap_or(0);
        let at = self.pieces[piece].1;
        self.pieces.drain(..piece);
        self.start += count;
        at
    }
}

/// A whole line as a step; none where it is no text.
fn line(bytes: &[u8], eol: &mut Option<Eol>) -> Option<Said> {
    let text = str::from_utf8(bytes).ok()?;
    if text.contains(is_binary) {
        return None;
    }
    let (text, end) = split_end(text);
    let is_ours = *eol.get_or_insert(end) == end;
    let line = as_line(text).filter(|_| is_ours);
    Some(line.map_or_else(|| Said::Quoted(bytes.to_vec()), Said::Line))
}

fn split_end(text: &str) -> (&str, Eol) {
    match text.strip_suffix("\r\n") {
        Some(text) => (text, Eol::Crlf),
        None => match text.strip_suffix('\n') {
            Some(text) => (text, Eol::Lf),
            None => (text, Eol::None),
        },
    }
}

/// A text as the payload of a line, if a person sees what it is: nothing in it is hidden, and
/// no editor takes away spaces at its end.
fn as_line(text: &str) -> Option<Text> {
    let shown = text.chars().all(is_shown) && !text.ends_with([' ', '\t']);
    Text::new(Template::literal(text)).filter(|_| shown)
}

fn is_shown(c: char) -> bool {
    matches!(c, '\t' | '\\' | '"' | '\'') || c.escape_debug().len() == 1
}

/// Control characters that no text has; those of terminals some have.
fn is_binary(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\x08' | '\x0c' | '\x1b')
}

/// Bytes as a step.
fn bytes(bytes: &[u8]) -> Said {
    let odd: usize = bytes
        .utf8_chunks()
        .map(|chunk| {
            chunk.valid().chars().filter(|c| is_binary(*c)).count() + chunk.invalid().len()
        })
        .sum();
    if odd * TEXT_PER_BYTE > bytes.len() {
        Said::Hex(bytes.to_vec())
    } else {
        Said::Quoted(bytes.to_vec())
    }
}

/// A datagram as a step. Text decides the end of line, if that is open.
pub(super) fn datagram(data: &[u8], eol: &mut Option<Eol>) -> Said {
    let text = str::from_utf8(data).ok().filter(|text| !text.is_empty());
    let Some((text, end)) = text.map(split_end) else { return bytes(data) };
    match as_line(text) {
        Some(line) if *eol.get_or_insert(end) == end => Said::Line(line),
        _ => bytes(data),
    }
}
