//! The bytes of a stream that were read and not handled yet. Its buffer is borrowed from the
//! worker's spare ones while there is something in it, so an idle connection holds none.

use std::rc::{Rc, Weak};

use super::Conn;
use crate::frame::{Decoded, FrameError, Framing, Progress};

/// See the module.
#[derive(Default)]
pub struct Input {
    bytes: Vec<u8>,
    /// How many of the first bytes are done with.
    start: usize,
    /// What is known of the first message by `framing`.
    progress: Progress,
    /// Not kept alive by this: a function among them may hold much.
    framing: Weak<Framing>,
    ended: bool,
    /// The framing skipped some when it last looked for a message, and may find more.
    skipped: bool,
}

impl Input {
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Whether the peer has ended its side.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The peer has ended its side.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Forgets what was known of the first message by another framing.
    fn follow(&mut self, framing: &Rc<Framing>) {
        if self.framing.as_ptr() != Rc::as_ptr(framing) {
            self.framing = Rc::downgrade(framing);
            self.progress = Progress::default();
        }
    }

    /// The first message of `rest`, which begins at the first byte that is not done with.
    pub fn decode(
        &mut self,
        framing: &Rc<Framing>,
        rest: &[u8],
    ) -> Result<Option<Decoded>, FrameError> {
        self.follow(framing);
        let decoded = framing.decode(&mut self.progress, rest, self.ended)?;
        if decoded.is_some() {
            self.progress = Progress::default();
        }
        Ok(decoded)
    }

    /// How many bytes the framing has skipped without a message.
    pub fn take_skipped(&mut self) -> usize {
        self.progress.take_skipped()
    }

    /// Whether bytes were skipped when a message was last looked for in vain: to be asked before
    /// more of them, or the end, are waited for.
    pub fn has_skipped(&self) -> bool {
        self.skipped
    }

    /// Drops what the framing has skipped from what is kept.
    fn drop_skipped(&mut self) {
        let skipped = self.progress.take_skipped();
        self.start += skipped;
        self.skipped = skipped > 0;
    }

    /// Lends what is kept, less what is done with.
    pub fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.drain(..std::mem::take(&mut self.start));
        bytes
    }

    /// Takes back what was lent; its first `used` bytes are done with.
    pub fn put_back(&mut self, bytes: Vec<u8>, used: usize) {
        self.bytes = bytes;
        self.start = used;
    }

    /// Keeps `bytes` behind what is there.
    pub fn keep(&mut self, bytes: &[u8], conn: &Conn) {
        if bytes.is_empty() {
            return self.release(conn);
        }
        if self.bytes.capacity() == 0 {
            self.bytes = conn.buffer();
        }
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..std::mem::take(&mut self.start));
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether what is kept has a message; it stays.
    pub fn has_message(&mut self, framing: &Rc<Framing>) -> Result<bool, FrameError> {
        if self.is_empty() {
            return Ok(false);
        }
        self.follow(framing);
        let rest = &self.bytes[self.start..];
        let found = framing.decode(&mut self.progress, rest, self.ended);
        if matches!(found, Ok(Some(_))) {
            self.progress = Progress::default();
        }
        self.drop_skipped();
        found.map(|found| found.is_some())
    }

    /// Whether nothing is kept, so that `framing` certainly finds no message before more arrives.
    pub fn lacks_bytes(&mut self, framing: &Framing) -> bool {
        let lacks = self.is_empty() && !self.ended && !framing.takes_nothing();
        if lacks {
            self.skipped = false;
        }
        lacks
    }

    /// Takes the first message by `framing` into `buffer`; says whether there is one.
    pub fn take_message(
        &mut self,
        framing: &Rc<Framing>,
        conn: &Conn,
        buffer: &mut Vec<u8>,
    ) -> Result<bool, FrameError> {
        self.follow(framing);
        let bytes = std::mem::take(&mut self.bytes);
        let decoded = framing.decode(&mut self.progress, &bytes[self.start..], self.ended);
        let found = match &decoded {
            Ok(Some(decoded)) => {
                buffer.extend_from_slice(decoded.message.bytes(&bytes[self.start..]));
                self.start += decoded.consumed;
                self.progress = Progress::default();
                true
            }
            _ => false,
        };
        self.bytes = bytes;
        if !found {
            self.drop_skipped();
        }
        if self.is_empty() {
            self.release(conn);
        }
        decoded.map(|decoded| decoded.is_some())
    }

    /// Hands the first message by `framing` to `take`, where it lies, and says whether there is
    /// one; what else there is to be said of the bytes is left to [`Input::take_message`].
    pub(super) fn hand_message(
        &mut self,
        framing: &Rc<Framing>,
        conn: &Conn,
        take: impl FnOnce(&[u8]),
    ) -> bool {
        if self.is_empty() {
            return false;
        }
        self.follow(framing);
        let rest = &self.bytes[self.start..];
        let Ok(Some(decoded)) = framing.decode(&mut self.progress, rest, self.ended) else {
            self.drop_skipped();
            return false;
        };
        self.progress = Progress::default();
        self.start += decoded.consumed;
        // The last: it may find no memory, and does not come back then.
        take(decoded.message.bytes(rest));
        self.release(conn);
        true
    }

    /// Gives back a buffer in which nothing is left.
    fn release(&mut self, conn: &Conn) {
        if self.is_empty() && self.bytes.capacity() > 0 {
            self.start = 0;
            conn.recycle(std::mem::take(&mut self.bytes));
        }
    }

    /// The stream has ended: what is left is a part of a message.
    pub fn drop_rest(&mut self, conn: &Conn) {
        if !self.is_empty() {
            let error = FrameError::Cut { bytes: self.bytes.len() - self.start };
            conn.note_frame_error(&error);
            self.start = self.bytes.len();
        }
        self.release(conn);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
mod tests {
    use super::*;
    use crate::frame::Spec;

    #[test]
    fn nothing_is_enough_at_the_end_and_for_empty_messages_only() {
        let framing = |spec: &str| Spec::parse(spec).unwrap().once(1024);
        let mut input = Input { skipped: true, ..Input::default() };
        assert!(!input.lacks_bytes(&framing("fixed:0")));
        assert!(input.lacks_bytes(&framing("line")));
        assert!(!input.has_skipped(), "there is nothing to look at once more");
        input.end();
        assert!(!input.lacks_bytes(&framing("all")));
        let mut input = Input { bytes: b"x".to_vec(), ..Input::default() };
        assert!(!input.lacks_bytes(&framing("line")));
    }
}
