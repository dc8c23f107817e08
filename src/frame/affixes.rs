//! What goes before and behind a reply.

use std::ops::Deref;

use super::counted::Length;
use super::{Codec, Framing};

/// The longest prefix: ten digits and a colon.
const MOST: usize = 11;

/// The most that the length of a netstring can say in ten digits.
const MOST_NETSTRING: u64 = 9_999_999_999;

/// What goes around the bytes of a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affixes<'a> {
    /// Before them.
    pub prefix: Prefix,
    /// Behind them.
    pub suffix: &'a [u8],
}

/// A few bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    bytes: [u8; MOST],
    length: u8,
}

impl Prefix {
    /// Appends bytes, of which [`MOST`] fit in all.
    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.bytes[usize::from(self.length)] = byte;
            self.length += 1;
        }
    }
}

impl Deref for Prefix {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// The length of a reply cannot be written as its framing asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message too long")]
pub struct TooLong;

impl Framing {
    /// What goes before and behind `length` bytes of a reply. In a datagram, whose length is
    /// known, only terminators do.
    ///
    /// # Errors
    /// When the length field cannot say the length.
    #[inline]
    pub fn affixes(&self, length: usize, datagram: bool) -> Result<Affixes<'_>, TooLong> {
        let mut affixes = Affixes::default();
        match &self.codec {
            Codec::Line => affixes.suffix = b"\n",
            Codec::Crlf => affixes.suffix = b"\r\n",
            Codec::Delimiter(delimiter) => affixes.suffix = delimiter.bytes(),
            Codec::Length(field) if !field.keep && !datagram => {
                affixes.prefix = prefix(field, length).ok_or(TooLong)?;
            }
            Codec::Netstring if !datagram => {
                affixes.prefix = digits(length).ok_or(TooLong)?;
                affixes.suffix = b",";
            }
            _ => {}
        }
        Ok(affixes)
    }
}

fn prefix(field: &Length, length: usize) -> Option<Prefix> {
    let says = i64::try_from(length).ok()?.checked_sub(field.adjust.into())?;
    let mut prefix = Prefix::default();
    field.field.write(u32::try_from(says).ok()?, |bytes| prefix.push(bytes))?;
    Some(prefix)
}

/// `length:`
fn digits(length: usize) -> Option<Prefix> {
    let mut rest = u64::try_from(length).ok().filter(|&length| length <= MOST_NETSTRING)?;
    let mut bytes = [b':'; MOST];
    let mut at = MOST - 1;
    loop {
        at -= 1;
        let [digit, ..] = (rest % 10).to_le_bytes();
        bytes[at] = b'0' + digit;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let mut prefix = Prefix::default();
    prefix.push(&bytes[at..]);
    Some(prefix)
}
