//! What a step expects, compared with bytes as they come. No byte is looked at twice, however
//! they are cut.

use std::borrow::Cow;

use memchr::memmem;

use super::difference::Difference;
use super::pattern::{BytesPattern, LinePattern, Reading, Scan};
use super::step::Wanted;
use super::template::{Template, Variables};

/// What is expected, with the end of line resolved.
#[derive(Debug, Clone)]
pub struct Expectation(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Bytes(Template),
    Masked(Vec<Option<u8>>),
    Line { pattern: LinePattern, eol: Vec<u8> },
    Pattern(BytesPattern),
}

/// A comparison, as far as it has come.
pub struct Check<'e> {
    state: State<'e>,
    /// Bytes that need no further look.
    scanned: usize,
}

enum State<'e> {
    Bytes(Cow<'e, [u8]>),
    Masked(&'e [Option<u8>]),
    Line { pattern: &'e LinePattern, eol: &'e [u8] },
    Pattern { pattern: &'e BytesPattern, scan: Scan<'e> },
}

/// What is known so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The first so many bytes are what was expected; those behind them are for the next step.
    Matched(usize),
    /// All is well so far, more bytes are needed.
    More,
    /// It is something else.
    Differs(Difference),
}

impl Expectation {
    /// What a step wants; `eol` is the end of a line.
    #[must_use]
    pub fn new(wanted: &Wanted, eol: &[u8]) -> Self {
        Self(match wanted {
            Wanted::Text(text) => Kind::Bytes(text.with_end(eol)),
            Wanted::Bytes(bytes) => Kind::Bytes(bytes.clone()),
            Wanted::Hex(bytes) => Kind::Masked(bytes.clone()),
            Wanted::Line(pattern) => Kind::Line { pattern: pattern.clone(), eol: eol.to_vec() },
            Wanted::Pattern(pattern) => Kind::Pattern(pattern.clone()),
        })
    }

    /// Begins to compare it with a stream. `variables` are what has been captured before.
    #[must_use]
    pub fn begin(&self, variables: &Variables) -> Check<'_> {
        let state = match &self.0 {
            Kind::Bytes(template) => State::Bytes(template.fill(variables)),
            Kind::Masked(bytes) => State::Masked(bytes),
            Kind::Line { pattern, eol } => State::Line { pattern, eol },
            Kind::Pattern(pattern) => State::Pattern { pattern, scan: pattern.scan() },
        };
        Check { state, scanned: 0 }
    }

    /// Compares it with a datagram, all of which it has to be. What is captured is kept.
    ///
    /// # Errors
    /// How they differ.
    pub fn datagram(&self, datagram: &[u8], variables: &mut Variables) -> Result<(), Difference> {
        let fits = match &self.0 {
            // The boundary of a datagram ends a line, too.
            Kind::Line { pattern, eol } => {
                pattern.find(datagram.strip_suffix(&eol[..]).unwrap_or(datagram), variables)
            }
            Kind::Pattern(pattern) => pattern.is_all(datagram, variables),
            Kind::Bytes(_) | Kind::Masked(_) => {
                let mut check = self.begin(variables);
                return match check.read(datagram, variables) {
                    Verdict::Matched(taken) if taken == datagram.len() => Ok(()),
                    Verdict::Matched(taken) => Err(check.difference(datagram, taken, false)),
                    Verdict::More => Err(check.missing(datagram)),
                    Verdict::Differs(difference) => Err(difference),
                };
            }
        };
        if fits { Ok(()) } else { Err(self.begin(variables).mismatch(datagram)) }
    }
}

impl Check<'_> {
    /// Compares what has been received: `received` begins at the first byte that no step before
    /// has taken, and may only have grown since the last call. What is captured is kept.
    pub fn read(&mut self, received: &[u8], variables: &mut Variables) -> Verdict {
        self.compare(received, variables, false)
    }

    /// Compares what has been received when no byte will follow it. There is no `More`.
    pub fn end(&mut self, received: &[u8], variables: &mut Variables) -> Verdict {
        match self.compare(received, variables, true) {
            Verdict::More => Verdict::Differs(self.missing(received)),
            verdict => verdict,
        }
    }

    /// How what was received differs from what was expected, where more had to come.
    #[must_use]
    pub fn missing(&self, received: &[u8]) -> Difference {
        self.difference(received, received.len(), true)
    }

    fn compare(&mut self, received: &[u8], variables: &mut Variables, end: bool) -> Verdict {
        match &mut self.state {
            State::Bytes(expected) => {
                let (from, length) = (self.scanned, expected.len());
                let both = length.min(received.len());
                // Most often all of it is there and right.
                if expected[from..both] == received[from..both] {
                    self.scanned = both;
                    return if both == length { Verdict::Matched(length) } else { Verdict::More };
                }
                let equal = expected[from..].iter().zip(&received[from..]);
                let at = from + equal.take_while(|(a, b)| a == b).count();
                Verdict::Differs(self.difference(received, at, false))
            }
            State::Masked(expected) => {
                let expected = *expected;
                let rest = expected.iter().zip(received).skip(self.scanned);
                let fits = |&(wanted, got): &(&Option<u8>, &u8)| wanted.is_none_or(|b| b == *got);
                self.scanned += rest.take_while(fits).count();
                if self.scanned == expected.len() {
                    Verdict::Matched(expected.len())
                } else if self.scanned == received.len() {
                    Verdict::More
                } else {
                    Verdict::Differs(self.difference(received, self.scanned, false))
                }
            }
            State::Line { pattern, eol } => {
                let Some(at) = memmem::find(&received[self.scanned..], eol) else {
                    // The end of line may have come in part.
                    self.scanned = self.scanned.max((received.len() + 1).saturating_sub(eol.len()));
                    return Verdict::More;
                };
                let length = self.scanned + at;
                if pattern.find(&received[..length], variables) {
                    return Verdict::Matched(length + eol.len());
                }
                let line = length + eol.len();
                Verdict::Differs(self.mismatch(&received[..line]))
            }
            State::Pattern { pattern, scan } => match scan.read(received, end) {
                Reading::Matched(length) => {
                    pattern.groups(received, length, variables);
                    Verdict::Matched(length)
                }
                Reading::More => Verdict::More,
                Reading::Never(at) => Verdict::Differs(self.difference(received, at, false)),
            },
        }
    }

    /// How bytes differ behind `at` ones that are right; `ended`: because there are no more.
    fn difference(&self, received: &[u8], at: usize, ended: bool) -> Difference {
        match &self.state {
            State::Bytes(expected) => Difference::of_bytes(expected, received, at, ended),
            State::Masked(expected) => Difference::of_masked(expected, received, at, ended),
            State::Line { pattern, .. } => {
                Difference::of_pattern("a line with", pattern.text(), received, Some(at), ended)
            }
            State::Pattern { pattern, .. } => {
                Difference::of_pattern("bytes like", pattern.text(), received, Some(at), ended)
            }
        }
    }

    /// How bytes differ that are all there, where no place is to blame.
    fn mismatch(&self, received: &[u8]) -> Difference {
        match &self.state {
            State::Line { pattern, .. } => {
                Difference::of_pattern("a line with", pattern.text(), received, None, false)
            }
            State::Pattern { pattern, .. } => {
                Difference::of_pattern("bytes like", pattern.text(), received, None, false)
            }
            State::Bytes(_) | State::Masked(_) => self.difference(received, 0, false),
        }
    }
}
