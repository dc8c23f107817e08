//! Messages that a function of the script tells apart.

use std::fmt::{self, Debug, Formatter};
use std::rc::Rc;

use super::{Decoded, FrameError, Message, Progress};

/// What a function is offered at first; what most messages fit in.
const FIRST_OFFER: usize = 4 * 1024;

/// What splits a stream of bytes by itself: a function of the script.
pub trait Splitter {
    /// Looks for a message at the front of `offered`, which begins at the first byte that was
    /// not consumed and is never empty. `eof`: these are the last bytes of the stream.
    ///
    /// # Errors
    /// Why it could not; the stream cannot be framed any further.
    fn split(&self, offered: &[u8], eof: bool) -> Result<Split, String>;

    /// Is told that a message is looked for from here on.
    fn begin(&self) {}

    /// Whether so much time has passed since it was told so that others are to have their turn.
    fn is_long(&self) -> bool {
        false
    }

    /// Is told that what it found in `offered` cannot be, as its own fault.
    fn blame(&self, _problem: &str, _offered: &[u8]) {}
}

/// What a splitter found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Split {
    /// A message.
    Message {
        /// The bytes that it used up.
        consumed: usize,
        /// What it is.
        message: Vec<u8>,
    },
    /// That many bytes are no part of any message.
    Skip(usize),
    /// Nothing yet.
    More {
        /// How many bytes it wants to be offered, if it knows.
        need: Option<usize>,
    },
    /// What is at the front breaks the rules of the protocol, and why; the peer's fault.
    Malformed(String),
}

#[derive(Clone)]
pub(super) struct Custom(pub(super) Rc<dyn Splitter>);

impl Debug for Custom {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str("Custom")
    }
}

impl Custom {
    /// The first message. The function sees a small piece at first, twice as much whenever that
    /// was too little, or as much as it needs: so it does not see all of a full buffer for each
    /// small message, and a large one costs it twice its length at most.
    pub(super) fn decode(
        &self,
        max: usize,
        progress: &mut Progress,
        bytes: &[u8],
        eof: bool,
    ) -> Result<Option<Decoded>, FrameError> {
        self.0.begin();
        loop {
            let rest = bytes.get(progress.skipped..).unwrap_or_default();
            if rest.is_empty() || (rest.len() < progress.needed && !eof) {
                return Ok(None);
            }
            let window = progress.window.max(FIRST_OFFER).min(max);
            let offered = &rest[..rest.len().min(window)];
            let last = eof && offered.len() == rest.len();
            match self.0.split(offered, last).map_err(FrameError::Fault)? {
                Split::Message { consumed, message } => {
                    let used = self.judged(used(consumed, offered), offered)?;
                    return found(max, progress.skipped, used, message);
                }
                Split::Skip(count) => {
                    let skipped = progress.skipped + self.judged(used(count, offered), offered)?;
                    *progress = Progress { skipped, ..Progress::default() };
                    if self.0.is_long() {
                        return Ok(None);
                    }
                }
                Split::Malformed(why) => return Err(FrameError::Malformed(why)),
                Split::More { need } => {
                    let needed = self.judged(wanted(need, offered, rest, max), offered)?;
                    if last {
                        return Err(FrameError::Cut { bytes: rest.len() });
                    }
                    progress.needed = needed;
                    progress.window = match need {
                        Some(need) => need,
                        None if offered.len() == window => window.saturating_mul(2),
                        None => window,
                    };
                }
            }
        }
    }

    /// The first message of a datagram, all of which is offered.
    pub(super) fn decode_datagram(
        &self,
        max: usize,
        bytes: &[u8],
    ) -> Result<Option<Decoded>, FrameError> {
        let mut skipped = 0;
        while skipped < bytes.len() {
            let offered = &bytes[skipped..];
            match self.0.split(offered, true).map_err(FrameError::Fault)? {
                Split::Message { consumed, message } => {
                    let used = self.judged(used(consumed, offered), offered)?;
                    return found(max, skipped, used, message);
                }
                Split::Skip(count) => skipped += self.judged(used(count, offered), offered)?,
                Split::Malformed(why) => return Err(FrameError::Malformed(why)),
                Split::More { .. } => {
                    let left = offered.len();
                    let problem = format!("it left {left} bytes of a datagram");
                    return self.judged(Err(FrameError::Fault(problem)), offered);
                }
            }
        }
        Ok(None)
    }

    /// Tells the function of what it found and cannot be.
    fn judged<T>(&self, outcome: Result<T, FrameError>, offered: &[u8]) -> Result<T, FrameError> {
        if let Err(FrameError::Fault(problem)) = &outcome {
            self.0.blame(problem, offered);
        }
        outcome
    }
}

fn found(
    max: usize,
    skipped: usize,
    used: usize,
    message: Vec<u8>,
) -> Result<Option<Decoded>, FrameError> {
    if message.len() > max {
        return Err(FrameError::Oversize { max });
    }
    Ok(Some(Decoded { consumed: skipped + used, message: Message::Owned(message) }))
}

/// The bytes that the function used up, if it can have.
fn used(consumed: usize, offered: &[u8]) -> Result<usize, FrameError> {
    match consumed {
        0 => Err(FrameError::Fault("it consumed 0 bytes, and so would for ever".to_owned())),
        count if count > offered.len() => Err(FrameError::Fault(format!(
            "it consumed {count} bytes, but was offered {}",
            offered.len()
        ))),
        count => Ok(count),
    }
}

/// How many bytes have to be there before the function is asked again, if it may have them.
fn wanted(
    need: Option<usize>,
    offered: &[u8],
    rest: &[u8],
    max: usize,
) -> Result<usize, FrameError> {
    let length = offered.len();
    match need {
        Some(need) if need <= length => {
            Err(FrameError::Fault(format!("it needs {need} bytes, but was offered {length}")))
        }
        Some(need) if need > max => Err(FrameError::Oversize { max }),
        Some(need) => Ok(need),
        // One more is there; else these may be the last, which it has yet to be told.
        None if length >= max && rest.len() > length => Err(FrameError::Oversize { max }),
        None => Ok(length + 1),
    }
}
