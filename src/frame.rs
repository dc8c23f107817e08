//! Framings: what one message is in a stream of bytes or in a datagram, and what goes around a
//! reply. Pure: no socket, no clock, no Lua; a framing function of a script comes in as a
//! [`Splitter`].
//!
//! - A [`Spec`] is a framing as it was asked for, read from text or from the fields of a table.
//! - A [`Framing`] is one in force, with its limit.
//! - [`Framing::decode`] finds the first message, one at a time and never ahead: what is behind
//!   it may be read under another framing.
//! - [`Framing::affixes`] says what goes around a reply.
//!
//! No byte is looked at twice however the stream is cut: [`Progress`] remembers how far the search
//! came. A message over the limit is refused as soon as that is certain, so that a buffer holds
//! the limit, a header or terminator, and one read at most.

mod affixes;
mod counted;
mod custom;
mod draft;
mod fields;
mod grammar;
mod spec;
mod terminated;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
pub(crate) mod tests;

use std::ops::Range;
use std::rc::Rc;

pub use affixes::{Affixes, Prefix, TooLong};
use counted::Length;
use custom::Custom;
pub use custom::{Split, Splitter};
pub use fields::Field;
pub use spec::Spec;
use terminated::Delimiter;

/// The most that one `raw` message holds.
pub const RAW_MOST: usize = 64 * 1024;

/// A framing in force, with the limit of a message. A clone is cheap.
#[derive(Clone, Debug)]
pub struct Framing {
    codec: Codec,
    max: usize,
}

/// How messages are told apart.
#[derive(Clone, Debug)]
enum Codec {
    /// Whatever is there.
    Raw,
    /// Everything up to the end of the stream.
    All,
    /// Up to LF or CRLF.
    Line,
    /// As `Line`; replies end with CRLF.
    Crlf,
    /// Up to these bytes.
    Delimiter(Rc<Delimiter>),
    /// Behind or with a header that holds its length.
    Length(Length),
    /// That many bytes.
    Fixed(usize),
    /// `5:hello,`
    Netstring,
    /// What a function of the script says.
    Custom(Custom),
}

/// A message, and how many bytes from the first on it has used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes to drop from the front before the next one is looked for.
    pub consumed: usize,
    /// The message.
    pub message: Message,
}

/// The bytes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// These of the bytes that were decoded.
    At(Range<usize>),
    /// Made by a function of the script.
    Owned(Vec<u8>),
}

impl Message {
    /// The message; `decoded` are the bytes that it was decoded from.
    #[inline]
    #[must_use]
    pub fn bytes<'a>(&'a self, decoded: &'a [u8]) -> &'a [u8] {
        match self {
            Message::At(range) => decoded.get(range.clone()).unwrap_or_default(),
            Message::Owned(bytes) => bytes,
        }
    }
}

/// What is known of bytes that hold no whole message yet.
///
/// It belongs to one framing and to the bytes from one message's first on: start anew
/// (`Progress::default()`) when the framing changes. [`Framing::decode`] does so itself whenever
/// it hands out a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that were searched in vain, counted behind `skipped`.
    scanned: usize,
    /// Bytes without which there is no message, counted behind `skipped`; 0 if unknown.
    needed: usize,
    /// Bytes that a function said are no part of any message.
    skipped: usize,
    /// The most that a function is offered at once; 0 before it was asked.
    window: usize,
}

impl Progress {
    /// How many bytes at the front are no part of any message, for a function of the script may
    /// skip some and then want more. The caller drops them from its buffer **now**: from here on
    /// the progress counts from the byte behind them.
    ///
    /// Not calling this loses nothing, the next [`Decoded::consumed`] counts them too; but a peer
    /// whose bytes are all skipped would fill the buffer.
    #[inline]
    #[must_use = "these bytes are to be dropped from the buffer"]
    pub fn take_skipped(&mut self) -> usize {
        std::mem::take(&mut self.skipped)
    }
}

/// Why a stream cannot be framed any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A message is longer than its limit.
    #[error("message over the limit of {max} bytes")]
    Oversize {
        /// The limit.
        max: usize,
    },
    /// What arrived breaks the rules of the framing.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// The function that is the framing failed, or found what cannot be; it was told.
    #[error("the framing function failed: {0}")]
    Fault(String),
    /// The stream ended within a message.
    #[error("cut message dropped: {bytes} bytes")]
    Cut {
        /// How many bytes of it had arrived.
        bytes: usize,
    },
}

impl Framing {
    /// Whatever one read returned.
    #[must_use]
    pub fn raw() -> Self {
        Self { codec: Codec::Raw, max: RAW_MOST }
    }

    /// Everything up to the end of the stream.
    #[must_use]
    pub fn all(max: usize) -> Self {
        Self { codec: Codec::All, max }
    }

    /// What a function of the script says. The limit bounds its message, and how many bytes it
    /// may want to see at once.
    #[must_use]
    pub fn custom(splitter: Rc<dyn Splitter>, max: usize) -> Self {
        Self { codec: Codec::Custom(Custom(splitter)), max }
    }

    /// Whether messages are whatever one read returned.
    #[inline]
    #[must_use]
    pub fn is_raw(&self) -> bool {
        matches!(self.codec, Codec::Raw)
    }

    /// Whether it is a function of the script.
    #[must_use]
    pub fn is_function(&self) -> bool {
        matches!(self.codec, Codec::Custom(_))
    }

    /// The bytes that a message may have.
    #[inline]
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }

    /// The first message in `bytes`, which begin at the first byte of it and may only have grown
    /// since the last call with this `progress`. `Ok(None)`: more bytes are needed, or nothing is
    /// left at the end of the stream (`eof`: no byte follows these), or a function has skipped
    /// bytes for so long that others are to have their turn, then it is to be called again; see
    /// [`Progress::take_skipped`].
    ///
    /// At the end of the stream the rest is a message, if there is one, for framings that do not
    /// count.
    ///
    /// # Errors
    /// [`FrameError::Oversize`] as soon as it is certain, [`FrameError::Malformed`], and at the
    /// end of the stream [`FrameError::Cut`] for the rest of a counted message.
    #[inline]
    pub fn decode(
        &self,
        progress: &mut Progress,
        bytes: &[u8],
        eof: bool,
    ) -> Result<Option<Decoded>, FrameError> {
        let max = self.max;
        let decoded = match &self.codec {
            Codec::Line | Codec::Crlf => terminated::line(max, progress, bytes, eof),
            Codec::Delimiter(delimiter) => delimiter.decode(max, progress, bytes, eof),
            Codec::Custom(custom) => custom.decode(max, progress, bytes, eof),
            Codec::Raw => Ok(rest(&bytes[..bytes.len().min(max)])),
            Codec::All => all(max, bytes, eof),
            Codec::Length(length) => counted(progress, bytes, eof, || length.extent(max, bytes)),
            Codec::Fixed(size) => counted(progress, bytes, eof, || counted::fixed(*size, max)),
            Codec::Netstring => counted(progress, bytes, eof, || counted::netstring(max, bytes)),
        };
        if let Ok(Some(_)) = decoded {
            *progress = Progress::default();
        }
        decoded
    }

    /// The first message in the rest of a datagram; to be called until there is none. `first` is
    /// true for a datagram as it arrived: an empty one is an empty message.
    ///
    /// Framings with a terminator split a datagram, a function has to use it up, and for all
    /// others it is the message; but of a rest `fixed` takes no more than it says.
    ///
    /// # Errors
    /// [`FrameError::Oversize`] and [`FrameError::Malformed`]; what is left of the datagram is
    /// lost.
    pub fn decode_datagram(&self, rest: &[u8], first: bool) -> Result<Option<Decoded>, FrameError> {
        if rest.is_empty() {
            return Ok(first.then_some(Decoded { consumed: 0, message: Message::At(0..0) }));
        }
        let progress = &mut Progress::default();
        match &self.codec {
            Codec::Line | Codec::Crlf => terminated::line(self.max, progress, rest, true),
            Codec::Delimiter(delimiter) => delimiter.decode(self.max, progress, rest, true),
            Codec::Custom(custom) => custom.decode_datagram(self.max, rest),
            // A block behind a line that told its size; more may stand behind it.
            Codec::Fixed(size) if !first && (1..rest.len()).contains(size) => {
                all(self.max, &rest[..*size], true)
            }
            _ => all(self.max, rest, true),
        }
    }

    /// Whether its messages are empty, so that one is there before anything has arrived.
    #[must_use]
    pub fn takes_nothing(&self) -> bool {
        matches!(self.codec, Codec::Fixed(0))
    }
}

impl Decoded {
    #[inline]
    fn at(message: Range<usize>, consumed: usize) -> Self {
        Self { consumed, message: Message::At(message) }
    }
}

/// All of these bytes, if there are any.
#[inline]
fn rest(bytes: &[u8]) -> Option<Decoded> {
    (!bytes.is_empty()).then(|| Decoded::at(0..bytes.len(), bytes.len()))
}

fn all(max: usize, bytes: &[u8], eof: bool) -> Result<Option<Decoded>, FrameError> {
    if bytes.len() > max {
        return Err(FrameError::Oversize { max });
    }
    Ok(if eof { rest(bytes) } else { None })
}

/// A message whose extent stands in its first bytes.
#[inline]
fn counted(
    progress: &mut Progress,
    bytes: &[u8],
    eof: bool,
    extent: impl FnOnce() -> Result<Option<counted::Extent>, FrameError>,
) -> Result<Option<Decoded>, FrameError> {
    if bytes.len() >= progress.needed
        && let Some(extent) = extent()?
    {
        if let Some(decoded) = extent.take(bytes)? {
            return Ok(Some(decoded));
        }
        progress.needed = extent.whole();
    }
    if eof && !bytes.is_empty() {
        return Err(FrameError::Cut { bytes: bytes.len() });
    }
    Ok(None)
}

fn malformed(why: impl Into<String>) -> FrameError {
    FrameError::Malformed(why.into())
}
