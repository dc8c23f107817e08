//! Messages that end with a terminator: lines, and any other bytes.

use memchr::memchr;
use memchr::memmem::Finder;

use super::{Decoded, FrameError, Progress};

/// The first line, up to LF. A CR before it is no part of the message, and so at the end of the
/// stream.
#[inline]
pub(super) fn line(
    max: usize,
    progress: &mut Progress,
    bytes: &[u8],
    eof: bool,
) -> Result<Option<Decoded>, FrameError> {
    // The longest line, CR and LF; no byte behind them matters.
    let end = bytes.len().min(max.saturating_add(2));
    let fresh = bytes.get(progress.scanned..end).unwrap_or_default();
    let found = memchr(b'\n', fresh).map(|at| progress.scanned + at);
    let content = without_cr(&bytes[..found.unwrap_or(end)]);
    if content > max {
        return Err(FrameError::Oversize { max });
    }
    if let Some(at) = found {
        return Ok(Some(Decoded::at(0..content, at + 1)));
    }
    progress.scanned = end;
    Ok((eof && !bytes.is_empty()).then(|| Decoded::at(0..content, end)))
}

#[inline]
fn without_cr(bytes: &[u8]) -> usize {
    bytes.len() - usize::from(bytes.last() == Some(&b'\r'))
}

/// A terminator of any bytes.
#[derive(Debug)]
pub(super) struct Delimiter(Finder<'static>);

impl Delimiter {
    /// `bytes` are not empty.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(Finder::new(bytes).into_owned())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.needle()
    }

    /// The first message, up to the terminator.
    #[inline]
    pub(super) fn decode(
        &self,
        max: usize,
        progress: &mut Progress,
        bytes: &[u8],
        eof: bool,
    ) -> Result<Option<Decoded>, FrameError> {
        let length = self.bytes().len();
        let most = max.saturating_add(length);
        let end = bytes.len().min(most);
        let fresh = bytes.get(progress.scanned..end).unwrap_or_default();
        if let Some(at) = self.find(fresh) {
            let at = progress.scanned + at;
            return Ok(Some(Decoded::at(0..at, at + length)));
        }
        if end == most || (eof && end > max) {
            return Err(FrameError::Oversize { max });
        }
        // The terminator may have begun.
        progress.scanned = progress.scanned.max(end.saturating_sub(length - 1));
        Ok(if eof { super::rest(bytes) } else { None })
    }

    #[inline]
    fn find(&self, bytes: &[u8]) -> Option<usize> {
        match self.bytes() {
            &[byte] => memchr(byte, bytes),
            _ => self.0.find(bytes),
        }
    }
}
