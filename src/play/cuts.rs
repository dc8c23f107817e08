//! How the bytes that a client sends are cut into pieces: a handler's answers must not depend on it.

use std::fmt::{self, Display, Formatter};

use crate::transcript::{Action, Payload, Placed, Template};
use crate::world::Chance;

/// The longest piece of random cuts: most messages are cut then, and some pieces hold several.
const LONGEST_PIECE: usize = 24;

/// How streams are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cuts {
    /// A piece for each step.
    Steps,
    /// A piece for each byte.
    Bytes,
    /// What a client sends before something else than itself has its turn is one piece: it does
    /// not wait for answers.
    Joined,
    /// As joined, and then in pieces of chance, which begins at this seed.
    Random(u64),
}

impl Cuts {
    /// Whether a client sends without waiting for answers.
    pub(super) fn joins(self) -> bool {
        matches!(self, Self::Joined | Self::Random(_))
    }

    /// The pieces of what is sent at once.
    pub(super) fn cut(self, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        match self {
            Self::Steps | Self::Joined => vec![bytes],
            Self::Bytes => bytes.iter().map(|&byte| vec![byte]).collect(),
            Self::Random(seed) => {
                let mut chance = Chance(seed ^ u64::try_from(bytes.len()).unwrap_or_default());
                let mut rest = &bytes[..];
                let mut pieces = Vec::new();
                while !rest.is_empty() {
                    let length = (1 + chance.below(LONGEST_PIECE)).min(rest.len());
                    pieces.push(rest[..length].to_vec());
                    rest = &rest[length..];
                }
                pieces
            }
        }
    }
}

impl Display for Cuts {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps => out.write_str("as written"),
            Self::Bytes => out.write_str("cut byte by byte"),
            Self::Joined => out.write_str("sent without waiting for answers"),
            Self::Random(seed) => write!(out, "cut at random, seed {seed}"),
        }
    }
}

/// The steps behind the one at `index` whose bytes its client can send with those of that one:
/// nothing stands between them but what it expects, and no variable that is set there.
pub(super) fn sent_ahead(steps: &[Placed], index: usize) -> Vec<usize> {
    let who = &steps[index].step.who;
    let behind = steps.iter().enumerate().skip(index + 1);
    let own = behind.take_while(|(_, placed)| {
        placed.step.who == *who
            && match &placed.step.action {
                Action::Send(payload) => !has_variables(payload),
                Action::Expect(_) => true,
                Action::Pass(_) | Action::Do(_) | Action::See(_) => false,
            }
    });
    own.filter(|(_, placed)| matches!(placed.step.action, Action::Send(_)))
        .map(|(index, _)| index)
        .collect()
}

fn has_variables(payload: &Payload) -> bool {
    match payload {
        Payload::Text(text) => text.template().has_variables(),
        Payload::Bytes(bytes) => Template::has_variables(bytes),
        Payload::Hex(_) => false,
    }
}
