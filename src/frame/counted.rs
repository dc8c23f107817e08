//! Messages whose first bytes say where they end: a length field, a netstring; and those of a
//! fixed size.

use std::ops::Range;

use super::{Decoded, FrameError, malformed};

/// The digits of a netstring's length: more than any message has bytes.
const MOST_DIGITS: usize = 10;

/// Where a message is, and what has to come behind it.
#[derive(Debug)]
pub(super) struct Extent {
    message: Range<usize>,
    comma: bool,
}

impl Extent {
    /// Bytes from the first to the last, those around the message included.
    #[inline]
    pub(super) fn whole(&self) -> usize {
        self.message.end.saturating_add(usize::from(self.comma))
    }

    /// The message, if all of it is there.
    #[inline]
    pub(super) fn take(&self, bytes: &[u8]) -> Result<Option<Decoded>, FrameError> {
        if bytes.len() < self.whole() {
            return Ok(None);
        }
        if self.comma && bytes[self.message.end] != b',' {
            return Err(malformed("no comma at the end of a netstring"));
        }
        Ok(Some(Decoded::at(self.message.clone(), self.whole())))
    }
}

/// A message of `size` bytes.
#[inline]
pub(super) fn fixed(size: usize, max: usize) -> Result<Option<Extent>, FrameError> {
    if size > max {
        return Err(FrameError::Oversize { max });
    }
    Ok(Some(Extent { message: 0..size, comma: false }))
}

/// A netstring, `5:hello,` (<https://cr.yp.to/proto/netstrings.txt>). Each digit is judged as it
/// comes, so that the verdict does not depend on how the stream was cut.
#[inline]
pub(super) fn netstring(max: usize, bytes: &[u8]) -> Result<Option<Extent>, FrameError> {
    let mut length = 0;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b':' if at > 0 => {
                let begin = at + 1;
                return Ok(Some(Extent { message: begin..begin + length, comma: true }));
            }
            b'0'..=b'9' if at == MOST_DIGITS => {
                return Err(malformed("the length of a netstring has more than 10 digits"));
            }
            b'0'..=b'9' if at == 1 && length == 0 => {
                return Err(malformed("the length of a netstring begins with a zero"));
            }
            b'0'..=b'9' => length = length * 10 + usize::from(byte - b'0'),
            _ => return Err(malformed("a netstring does not begin with its length and a colon")),
        }
        if length > max {
            return Err(FrameError::Oversize { max });
        }
    }
    Ok(None)
}

/// A length field, where it is and what it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    pub(super) field: Number,
    /// Bytes before the field.
    pub(super) offset: usize,
    /// Added to what the field says, this is the length of what is behind the field.
    pub(super) adjust: i32,
    /// Whether the message is the whole frame, and not only what is behind the field.
    pub(super) keep: bool,
}

impl Length {
    #[inline]
    pub(super) fn extent(&self, max: usize, bytes: &[u8]) -> Result<Option<Extent>, FrameError> {
        if self.least() > max {
            return Err(FrameError::Oversize { max });
        }
        let Some(behind) = bytes.get(self.offset..) else { return Ok(None) };
        let Some((says, width)) = self.field.read(behind)? else { return Ok(None) };
        let length = i64::from(says) + i64::from(self.adjust);
        let Ok(length) = usize::try_from(length) else {
            return Err(malformed(format!("a length field says {says}, which is too small")));
        };
        let header = self.offset + width;
        let end = header.saturating_add(length);
        let message = if self.keep { 0..end } else { header..end };
        if message.len() > max {
            return Err(FrameError::Oversize { max });
        }
        Ok(Some(Extent { message, comma: false }))
    }

    /// The bytes of the shortest message that can be.
    #[inline]
    pub(super) fn least(&self) -> usize {
        if self.keep { self.offset + self.field.least_width() } else { 0 }
    }
}

/// How a length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    U8,
    U16Be,
    U16Le,
    U24Be,
    U32Be,
    U32Le,
    /// LEB128: seven bits a byte, the lowest first, the high bit where more follow; as in MQTT
    /// and Protocol Buffers, for 32 bits.
    Varint,
}

impl Number {
    pub(super) const NAMES: [(&'static str, Self); 7] = [
        ("u8", Self::U8),
        ("u16be", Self::U16Be),
        ("u16le", Self::U16Le),
        ("u24be", Self::U24Be),
        ("u32be", Self::U32Be),
        ("u32le", Self::U32Le),
        ("varint", Self::Varint),
    ];

    /// The number at the front and the bytes it takes, if they are there.
    #[inline]
    fn read(self, bytes: &[u8]) -> Result<Option<(u32, usize)>, FrameError> {
        Ok(match self {
            Self::U8 => bytes.first().map(|&byte| (byte.into(), 1)),
            Self::U16Be => bytes.first_chunk().map(|two| (u16::from_be_bytes(*two).into(), 2)),
            Self::U16Le => bytes.first_chunk().map(|two| (u16::from_le_bytes(*two).into(), 2)),
            Self::U24Be => {
                bytes.first_chunk().map(|&[a, b, c]| (u32::from_be_bytes([0, a, b, c]), 3))
            }
            Self::U32Be => bytes.first_chunk().map(|four| (u32::from_be_bytes(*four), 4)),
            Self::U32Le => bytes.first_chunk().map(|four| (u32::from_le_bytes(*four), 4)),
            Self::Varint => return varint(bytes),
        })
    }

    fn least_width(self) -> usize {
        match self {
            Self::U8 | Self::Varint => 1,
            Self::U16Be | Self::U16Le => 2,
            Self::U24Be => 3,
            Self::U32Be | Self::U32Le => 4,
        }
    }

    /// Appends a number, if it can be written so.
    pub(super) fn write(self, number: u32, mut push: impl FnMut(&[u8])) -> Option<()> {
        match self {
            Self::U8 => push(&[u8::try_from(number).ok()?]),
            Self::U16Be => push(&u16::try_from(number).ok()?.to_be_bytes()),
            Self::U16Le => push(&u16::try_from(number).ok()?.to_le_bytes()),
            Self::U24Be => match number.to_be_bytes() {
                [0, low @ ..] => push(&low),
                _ => return None,
            },
            Self::U32Be => push(&number.to_be_bytes()),
            Self::U32Le => push(&number.to_le_bytes()),
            Self::Varint => {
                let mut rest = number;
                loop {
                    let [low, ..] = rest.to_le_bytes();
                    rest >>= 7;
                    if rest == 0 {
                        push(&[low & 0x7f]);
                        break;
                    }
                    push(&[low | 0x80]);
                }
            }
        }
        Some(())
    }
}

#[inline]
fn varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, FrameError> {
    let mut number = 0;
    for (at, &byte) in bytes.iter().take(5).enumerate() {
        if at == 4 && byte > 0x0f {
            return Err(malformed("a varint is longer than 32 bits"));
        }
        number |= u32::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Ok(Some((number, at + 1)));
        }
    }
    Ok(None)
}
