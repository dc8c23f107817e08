//! What is sent, and what must come back for it. Pure.
//!
//! All that the rest of the load asks of a protocol is asked here, of [`Exchange`]: the bytes of
//! message number N, whether some bytes belong to its answer, and the verdict when that is whole.
//! A dialogue from a file would be a second kind of it.

use super::message::{LETTERS, Message, letters};
use crate::text::Printable;

/// Bytes of a wrong answer that are shown, and those before the first wrong one.
const SHOWN: usize = 80;
const SHOWN_BEFORE: usize = 32;

/// What answers must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// What the first one was: the message, or it in upper case, or else anything.
    Auto,
    /// The message in upper case.
    Upper,
    /// The message.
    Echo,
    /// Anything.
    Any,
}

impl Expect {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Upper => "upper",
            Self::Echo => "echo",
            Self::Any => "none",
        }
    }
}

/// The answers that are possible still, by what was seen of one: [`Guess::ECHO`], [`Guess::UPPER`],
/// both or none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guess(u8);

impl Guess {
    const NONE: Self = Self(0);
    const ECHO: Self = Self(1);
    const UPPER: Self = Self(2);
    const BOTH: Self = Self(3);

    fn has(self, one: Self) -> bool {
        self.0 & one.0 != 0
    }

    fn without(self, one: Self) -> Self {
        Self(self.0 & !one.0)
    }
}

/// A wrong answer, as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The first byte that is wrong.
    pub at: usize,
    /// What should have come, escaped and shortened.
    pub expected: String,
    /// What came, escaped and shortened.
    pub got: String,
}

/// Messages that are alike but for their stamps, and their answers.
#[derive(Debug)]
pub struct Exchange {
    message: Message,
    upper: Box<[u8]>,
    /// What is right; none of them where anything is.
    right: Guess,
    /// The first answer is still to tell.
    undecided: bool,
}

impl Exchange {
    /// Such messages, whose answers must be so.
    #[must_use]
    pub fn new(message: Message, expect: Expect) -> Self {
        let upper = message.payload().to_ascii_uppercase().into();
        let right = match expect {
            Expect::Auto => Guess::BOTH,
            Expect::Upper => Guess::UPPER,
            Expect::Echo => Guess::ECHO,
            Expect::Any => Guess::NONE,
        };
        Self { message, upper, right, undecided: expect == Expect::Auto }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// What answers must be, as far as that is known by now.
    #[must_use]
    pub fn expect(&self) -> Expect {
        match self.right {
            _ if self.undecided => Expect::Auto,
            Guess::NONE => Expect::Any,
            right if right.has(Guess::ECHO) => Expect::Echo,
            _ => Expect::Upper,
        }
    }

    /// What an answer may be before anything of it was seen.
    #[must_use]
    pub fn guess(&self) -> Guess {
        self.right
    }

    /// What an answer to message `number` may be still, after these bytes of it, the first of which
    /// is its byte `at`.
    #[must_use]
    pub fn narrow(&self, mut guess: Guess, number: u64, at: usize, bytes: &[u8]) -> Guess {
        if guess.has(Guess::ECHO) && !self.matches(Guess::ECHO, number, at, bytes) {
            guess = guess.without(Guess::ECHO);
        }
        if guess.has(Guess::UPPER) && !self.matches(Guess::UPPER, number, at, bytes) {
            guess = guess.without(Guess::UPPER);
        }
        guess
    }

    /// Whether an answer is right of which `guess` is left. The first one can decide what is.
    pub fn judge(&mut self, guess: Guess) -> bool {
        if self.undecided {
            self.undecided = false;
            self.right = guess;
        }
        self.right == Guess::NONE || self.right.0 & guess.0 != 0
    }

    /// Whether an answer of which `guess` is left cannot be right, whatever else comes of it. The
    /// first one can be anything, where it decides.
    #[must_use]
    pub fn is_wrong(&self, guess: Guess) -> bool {
        !self.undecided && self.right != Guess::NONE && self.right.0 & guess.0 == 0
    }

    /// What is left of a whole answer.
    #[must_use]
    pub fn narrow_whole(&self, number: u64, answer: &[u8]) -> Guess {
        if answer.len() == self.upper.len() {
            self.narrow(self.right, number, 0, answer)
        } else {
            Guess::NONE
        }
    }

    /// The number of the message that an answer says it is for.
    #[must_use]
    pub fn number_in(&self, answer: &[u8]) -> Option<u64> {
        if self.right == Guess::NONE { None } else { self.message.number_in(answer) }
    }

    /// Shows an answer that was right up to byte `at`, and then was `bytes`. `guess` is what it
    /// could still have been.
    #[must_use]
    pub fn show_wrong(&self, guess: Guess, number: u64, at: usize, bytes: &[u8]) -> Wrong {
        let as_echo = guess.has(Guess::ECHO) || guess == Guess::NONE && self.right.has(Guess::ECHO);
        let expected = self.expected(if as_echo { Guess::ECHO } else { Guess::UPPER }, number);
        let same = expected[at.min(expected.len())..].iter().zip(bytes).take_while(|(a, b)| a == b);
        let first = at + same.count();
        let begin = first.saturating_sub(SHOWN_BEFORE);
        let known = expected.get(begin..at).unwrap_or_default();
        let fresh = bytes.get(begin.saturating_sub(at)..).unwrap_or_default();
        let lead = if begin > 0 { "…" } else { "" };
        let show = |bytes: &[u8]| format!("{lead}{:.SHOWN$}", Printable(bytes));
        Wrong {
            at: first,
            expected: show(expected.get(begin..).unwrap_or_default()),
            got: show(&[known, fresh].concat()),
        }
    }

    fn template(&self, one: Guess) -> &[u8] {
        if one == Guess::UPPER { &self.upper } else { self.message.payload() }
    }

    fn expected(&self, one: Guess, number: u64) -> Vec<u8> {
        let mut bytes = self.template(one).to_vec();
        let stamp = &mut bytes[self.message.stamp()];
        stamp.copy_from_slice(&stamp_as(one, number)[..stamp.len()]);
        bytes
    }

    fn matches(&self, one: Guess, number: u64, at: usize, bytes: &[u8]) -> bool {
        let template = self.template(one);
        let Some(expected) = template.get(at..at + bytes.len()) else { return false };
        let stamp = self.message.stamp();
        // The stamp's part of these bytes.
        let begin = stamp.start.clamp(at, at + bytes.len()) - at;
        let end = stamp.end.clamp(at, at + bytes.len()) - at;
        let skip = (at + begin).saturating_sub(stamp.start).min(LETTERS);
        let stamped = &stamp_as(one, number)[skip..][..end - begin];
        bytes[..begin] == expected[..begin]
            && bytes[end..] == expected[end..]
            && bytes[begin..end] == *stamped
    }
}

/// The letters of a number as an answer has them.
fn stamp_as(one: Guess, number: u64) -> [u8; LETTERS] {
    let letters = letters(number);
    if one == Guess::UPPER { letters.map(|letter| letter.to_ascii_uppercase()) } else { letters }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Framing;

    fn exchange(text: &[u8], expect: Expect) -> Exchange {
        Exchange::new(Message::text(text, &Framing::raw(), false).unwrap(), expect)
    }

    fn sent(exchange: &Exchange, number: u64) -> Vec<u8> {
        let mut out = Vec::new();
        exchange.message().write(number, 0, usize::MAX, &mut out);
        out
    }

    /// The verdict on an answer that comes in pieces of `size`.
    fn in_pieces(exchange: &mut Exchange, number: u64, answer: &[u8], size: usize) -> bool {
        let mut guess = exchange.guess();
        for (index, piece) in answer.chunks(size).enumerate() {
            guess = exchange.narrow(guess, number, index * size, piece);
        }
        exchange.judge(guess)
    }

    #[test]
    fn right_answers_are_right_however_they_are_cut() {
        for size in 1..=20 {
            let mut echo = exchange(b"get {stamp} now", Expect::Echo);
            let mut upper = exchange(b"get {stamp} now", Expect::Upper);
            let message = sent(&echo, 0x1234_5678);
            assert!(in_pieces(&mut echo, 0x1234_5678, &message, size));
            assert!(!in_pieces(&mut upper, 0x1234_5678, &message, size));
            let loud = message.to_ascii_uppercase();
            assert!(in_pieces(&mut upper, 0x1234_5678, &loud, size));
            assert!(!in_pieces(&mut echo, 0x1234_5678, &loud, size));
        }
    }

    #[test]
    fn one_wrong_byte_anywhere_is_seen() {
        let mut echo = exchange(b"get {stamp} now", Expect::Echo);
        let message = sent(&echo, 77);
        for at in 0..message.len() {
            for size in [1, 5, 100] {
                let mut bad = message.clone();
                bad[at] ^= 1;
                assert!(!in_pieces(&mut echo, 77, &bad, size), "byte {at}");
            }
        }
    }

    #[test]
    fn the_answer_to_another_message_is_wrong() {
        let mut upper = exchange(b"{stamp}", Expect::Upper);
        let other = sent(&upper, 8).to_ascii_uppercase();
        assert!(!in_pieces(&mut upper, 7, &other, 100));
        assert!(in_pieces(&mut upper, 8, &other, 100));
    }

    #[test]
    fn the_first_answer_decides() {
        let mut auto = exchange(b"hello {stamp}", Expect::Auto);
        let message = sent(&auto, 1);
        assert!(in_pieces(&mut auto, 1, &message.to_ascii_uppercase(), 4));
        assert_eq!(auto.expect(), Expect::Upper);
        assert!(!in_pieces(&mut auto, 1, &message, 4));

        let mut auto = exchange(b"hello {stamp}", Expect::Auto);
        assert!(in_pieces(&mut auto, 1, b"something else", 4));
        assert_eq!(auto.expect(), Expect::Any);
        assert!(in_pieces(&mut auto, 2, b"and so on", 4));
    }

    #[test]
    fn a_message_without_letters_is_the_same_in_upper_case() {
        let mut auto = exchange(b"123", Expect::Auto);
        assert!(in_pieces(&mut auto, 1, b"123", 2));
        assert!(in_pieces(&mut auto, 2, b"123", 3));
        assert!(!in_pieces(&mut auto, 3, b"124", 3));
    }

    #[test]
    fn a_whole_answer_must_have_the_length() {
        let mut echo = exchange(b"hello", Expect::Echo);
        for (answer, right) in [(&b"hello"[..], true), (b"hell", false), (b"hello ", false)] {
            let guess = echo.narrow_whole(0, answer);
            assert_eq!(echo.judge(guess), right);
        }
        let mut any = exchange(b"hello", Expect::Any);
        let guess = any.narrow_whole(0, b"whatever");
        assert!(any.judge(guess));
    }

    #[test]
    fn a_wrong_answer_is_shown_from_shortly_before() {
        let echo = exchange(&[b'x'; 500], Expect::Echo);
        let wrong =
            echo.show_wrong(Guess::ECHO, 0, 300, &[b"x".repeat(20), b"y\n".into()].concat());
        assert_eq!(wrong.at, 320);
        assert_eq!(wrong.got, format!("…{}y\\n", "x".repeat(32)));
        assert!(wrong.expected.starts_with("…xxx"), "{wrong:?}");
        let short = exchange(b"hi {stamp}", Expect::Upper);
        let wrong = short.show_wrong(Guess::UPPER, 0, 0, b"hi AAAAAAAA");
        assert_eq!((wrong.at, wrong.expected.as_str()), (0, "HI AAAAAAAA"));
        assert_eq!(wrong.got, "hi AAAAAAAA");
    }
}
