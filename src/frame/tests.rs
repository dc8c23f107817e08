//! What every test of a framing uses: a stream that arrives in pieces, splitters, and chance
//! that can be repeated.

mod decode;
pub(crate) mod fuzz;
mod grammar;
mod linear;
mod properties;

use std::cell::RefCell;
use std::rc::Rc;

use super::{FrameError, Framing, Progress, Spec, Split, Splitter};
use crate::world::Chance;

fn framing(text: &str) -> Framing {
    Spec::parse(text).unwrap().standing(1 << 20).unwrap_or_else(|why| panic!("{text}: {why}"))
}

fn custom(split: impl Fn(&[u8], bool) -> Result<Split, String> + 'static, max: usize) -> Framing {
    struct Function<F>(F);
    impl<F: Fn(&[u8], bool) -> Result<Split, String>> Splitter for Function<F> {
        fn split(&self, offered: &[u8], eof: bool) -> Result<Split, String> {
            assert!(!offered.is_empty());
            (self.0)(offered, eof)
        }
    }
    Framing::custom(Rc::new(Function(split)), max)
}

/// Lines, and what is left at the end; a `#` is skipped, all that are there at once.
fn lines(max: usize) -> Framing {
    let split = |offered: &[u8], eof: bool| {
        let skipped = offered.iter().take_while(|byte| **byte == b'#').count();
        let end = offered.iter().position(|byte| *byte == b'\n');
        Ok(match end {
            _ if skipped > 0 => Split::Skip(skipped),
            Some(end) => Split::Message { consumed: end + 1, message: offered[..end].to_vec() },
            None if eof => Split::Message { consumed: offered.len(), message: offered.to_vec() },
            None => Split::More { need: None },
        })
    };
    custom(split, max)
}

/// As `length:u16be`, by a function that says what it needs.
fn blocks(max: usize) -> Framing {
    let split = |offered: &[u8], _| {
        let Some(header) = offered.first_chunk() else { return Ok(Split::More { need: Some(2) }) };
        let whole = 2 + usize::from(u16::from_be_bytes(*header));
        Ok(match offered.get(2..whole) {
            Some(message) => Split::Message { consumed: whole, message: message.to_vec() },
            None => Split::More { need: Some(whole) },
        })
    };
    custom(split, max)
}

/// A stream and its buffer, as a session has them.
#[derive(Default)]
struct Stream {
    buffer: Vec<u8>,
    progress: Progress,
    messages: Vec<Vec<u8>>,
    /// The most bytes that stayed in the buffer.
    held: usize,
}

impl Framing {
    /// How many bytes have to be there, counted as [`Self::decode`] counts, before there can be a
    /// message; 0 if that is not known.
    fn needed(&self, progress: &Progress) -> usize {
        match (&self.codec, progress.needed) {
            (super::Codec::Fixed(size), 0) => *size,
            (_, 0) => 0,
            (_, needed) => progress.skipped.saturating_add(needed),
        }
    }
}

impl Stream {
    fn arrive(&mut self, framing: &Framing, bytes: &[u8], eof: bool) -> Result<(), FrameError> {
        self.buffer.extend_from_slice(bytes);
        while let Some(decoded) = framing.decode(&mut self.progress, &self.buffer, eof)? {
            assert!(decoded.consumed <= self.buffer.len());
            assert_eq!(self.progress, Progress::default());
            let message = decoded.message.bytes(&self.buffer);
            assert!(message.len() <= framing.max());
            self.messages.push(message.to_vec());
            self.buffer.drain(..decoded.consumed);
        }
        let needed = framing.needed(&self.progress);
        assert!(eof || needed == 0 || needed > self.buffer.len(), "{needed} are there");
        self.buffer.drain(..self.progress.take_skipped());
        self.held = self.held.max(self.buffer.len());
        Ok(())
    }

    /// What a whole stream is, in these pieces, and why it cannot be framed any further.
    fn read(framing: &Framing, pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
        let mut stream = Self::default();
        let arrive = |piece: &&[u8]| stream.arrive(framing, piece, false);
        let mut ended = pieces.iter().try_for_each(arrive);
        if ended.is_ok() {
            ended = stream.arrive(framing, b"", true);
        }
        (stream.messages, ended)
    }
}

/// Chance that can be repeated.
pub(crate) struct Dice(RefCell<Chance>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(RefCell::new(Chance(seed)))
    }

    pub(crate) fn roll(&self) -> u64 {
        self.0.borrow_mut().next()
    }

    /// From 0 up to and without `end`.
    pub(crate) fn below(&self, end: usize) -> usize {
        self.0.borrow_mut().below(end)
    }

    pub(crate) fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub(crate) fn bytes(&self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.roll().to_le_bytes()[0]).collect()
    }

    /// The same bytes in pieces of `most` bytes at most.
    pub(crate) fn pieces<'a>(&self, mut bytes: &'a [u8], most: usize) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let piece;
            (piece, bytes) = bytes.split_at((1 + self.below(most)).min(bytes.len()));
            pieces.push(piece);
        }
        pieces
    }
}
