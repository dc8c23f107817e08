//! What a simulated server has in place of the machine's own: a clock that goes on with the
//! runtime's, chance that begins at a seed, and somebody who sees what becomes of messages. A real
//! server has no [`World`].

use std::cell::RefCell;
use std::fmt::{self, Debug, Formatter};
use std::time::Duration;

use tokio::time::Instant;

/// Where the wall clock of a simulation begins if nothing is said: 2020-01-01T00:00:00Z, since
/// 1970.
pub const EPOCH: Duration = Duration::from_secs(1_577_836_800);

/// See the module.
pub struct World {
    epoch: Duration,
    began: Instant,
    chance: RefCell<Chance>,
    witness: Box<dyn Fn(Sighting)>,
}

/// Something that a script did and no peer can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// It logged a line.
    Log {
        /// `debug`, `info`, `warn` or `error`.
        level: String,
        /// The line, with its fields.
        text: String,
    },
    /// It rejected a message, or a connection, for this reason.
    Reject(String),
    /// It failed.
    Fault {
        /// One line.
        summary: String,
        /// With the source and the way there.
        whole: String,
    },
}

impl World {
    /// A world whose wall clock is `epoch` now, since 1970, and whose chance begins at `seed`;
    /// `witness` is told of everything.
    #[must_use]
    pub fn new(epoch: Duration, seed: u64, witness: impl Fn(Sighting) + 'static) -> Self {
        Self {
            epoch,
            began: Instant::now(),
            chance: RefCell::new(Chance(seed)),
            witness: Box::new(witness),
        }
    }

    /// The wall clock, since 1970.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.epoch + self.elapsed()
    }

    /// How long the world has been there.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The next number of its chance.
    #[must_use]
    pub fn next_chance(&self) -> u64 {
        self.chance.borrow_mut().next()
    }

    /// So many bytes of its chance.
    #[must_use]
    pub fn chance_bytes(&self, count: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.next_chance().to_le_bytes());
        words.flatten().take(count).collect()
    }

    /// Tells the witness.
    pub fn note(&self, sighting: Sighting) {
        (self.witness)(sighting);
    }
}

impl Debug for World {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.debug_struct("World").field("began", &self.began).finish_non_exhaustive()
    }
}

/// Chance that can be had again: `SplitMix64` (Steele, Lea and Flood, Fast splittable pseudorandom
/// number generators, 2014).
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    /// The next number; all are equally likely.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is above 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // Neither is larger than the other's type, and the remainder is below `bound`.
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap_or(u64::MAX)).unwrap_or(0)
    }
}
