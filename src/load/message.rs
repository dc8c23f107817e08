//! One message, made once: its bytes as they go over the wire, and the place in them that holds the
//! stamp, a number in letters. It tells each message from the others, so that an answer to another
//! one is seen. Pure.

use std::ops::Range;

use crate::frame::{Decoded, Framing, Message as Decoding, Progress, TooLong};

/// What a message may be told to hold in place of its stamp.
const PLACEHOLDER: &[u8] = b"{stamp}";

/// How often a text asks for a stamp.
#[must_use]
pub fn stamps(text: &[u8]) -> usize {
    memchr::memmem::find_iter(text, PLACEHOLDER).count()
}

/// Letters of a stamp, where there is room: four bits each.
pub(super) const LETTERS: usize = 8;

/// A message, but for the number in it.
#[derive(Debug, Clone)]
pub struct Message {
    /// With what the framing puts around it, and letters where the stamp goes.
    wire: Box<[u8]>,
    /// What is the message in that.
    payload: Range<usize>,
    /// The stamp, counted from the payload's first byte; empty where it has none.
    stamp: Range<usize>,
}

impl Message {
    /// Letters, the first eight of them the stamp: all, where there are fewer.
    ///
    /// # Errors
    /// When the framing cannot say so many bytes.
    pub fn letters(length: usize, framing: &Framing, datagram: bool) -> Result<Self, TooLong> {
        let payload: Vec<u8> = (b'a'..=b'z').cycle().take(length).collect();
        Self::framed(&payload, 0..length.min(LETTERS), framing, datagram)
    }

    /// These bytes; the one `{stamp}` in them, if there is one, becomes one. A terminator that they end with
    /// already is not put behind them again.
    ///
    /// # Errors
    /// When the framing cannot say so many bytes.
    pub fn text(text: &[u8], framing: &Framing, datagram: bool) -> Result<Self, TooLong> {
        let affixes = framing.affixes(text.len(), datagram)?;
        let text = text.strip_suffix(affixes.suffix).unwrap_or(text);
        let Some(at) = memchr::memmem::find(text, PLACEHOLDER) else {
            return Self::framed(text, 0..0, framing, datagram);
        };
        let behind = &text[at + PLACEHOLDER.len()..];
        let payload = [&text[..at], &[b'a'; LETTERS], behind].concat();
        Self::framed(&payload, at..at + LETTERS, framing, datagram)
    }

    fn framed(
        payload: &[u8],
        stamp: Range<usize>,
        framing: &Framing,
        datagram: bool,
    ) -> Result<Self, TooLong> {
        let affixes = framing.affixes(payload.len(), datagram)?;
        let begin = affixes.prefix.len();
        let wire = [&*affixes.prefix, payload, affixes.suffix].concat();
        let payload = alone(&wire, framing, datagram).unwrap_or(begin..begin + payload.len());
        Ok(Self { wire: wire.into(), payload, stamp })
    }

    /// Bytes on the wire.
    #[must_use]
    pub fn wire_length(&self) -> usize {
        self.wire.len()
    }

    /// The message, with letters in place of the stamp.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.wire[self.payload.clone()]
    }

    /// Where the stamp is in the payload.
    #[must_use]
    pub fn stamp(&self) -> Range<usize> {
        self.stamp.clone()
    }

    /// Appends the bytes of message `number` from `from` on, `limit` at most.
    pub fn write(&self, number: u64, from: usize, limit: usize, out: &mut Vec<u8>) {
        let to = self.wire.len().min(from.saturating_add(limit));
        let begin = out.len();
        out.extend_from_slice(&self.wire[from..to]);
        let at = self.payload.start + self.stamp.start;
        let stamp = &letters(number)[..self.stamp.len()];
        let part = from.clamp(at, at + stamp.len())..to.clamp(at, at + stamp.len());
        if !part.is_empty() {
            out[begin + part.start - from..][..part.len()]
                .copy_from_slice(&stamp[part.start - at..part.end - at]);
        }
    }

    /// The number of the message that this payload answers, as far as its stamp tells; letters of
    /// either case. `None` where no stamp is in its place.
    #[must_use]
    pub fn number_in(&self, payload: &[u8]) -> Option<u64> {
        let stamp = payload.get(self.stamp.clone()).filter(|stamp| !stamp.is_empty())?;
        stamp.iter().rev().try_fold(0, |number, letter| {
            let digit = letter.to_ascii_lowercase().wrapping_sub(b'a');
            (digit < 16).then_some(number << 4 | u64::from(digit))
        })
    }

    /// As much of a number as the stamp can say.
    #[must_use]
    pub fn visible(&self, number: u64) -> u64 {
        // Eight letters of four bits at most.
        number & ((1 << (4 * self.stamp.len())) - 1)
    }
}

/// What a server with this framing makes of these bytes, if that is one message: of a line that
/// ends with CR and LF it takes both away.
fn alone(wire: &[u8], framing: &Framing, datagram: bool) -> Option<Range<usize>> {
    if framing.is_raw() {
        return None;
    }
    let decoded = if datagram {
        framing.decode_datagram(wire, true)
    } else {
        framing.decode(&mut Progress::default(), wire, false)
    };
    match decoded.ok()?? {
        Decoded { consumed, message: Decoding::At(range) } if consumed == wire.len() => Some(range),
        _ => None,
    }
}

/// The letters of a number, as far as a stamp shows it, the lowest four bits first.
pub(super) fn letters(number: u64) -> [u8; LETTERS] {
    // All at once, as this is done for every message: half of the bits move up, then half of the
    // halves, until each four have a byte.
    let mut spread = number & 0xffff_ffff;
    spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    (spread + 0x6161_6161_6161_6161).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Spec;

    fn framing(spec: &str) -> Framing {
        Spec::parse(spec).unwrap().standing(1 << 20).unwrap()
    }

    fn shown(message: &Message, number: u64) -> String {
        let mut out = Vec::new();
        message.write(number, 0, usize::MAX, &mut out);
        out.escape_ascii().to_string()
    }

    fn text(text: &[u8], spec: &str) -> Message {
        Message::text(text, &framing(spec), false).unwrap()
    }

    #[test]
    fn letters_carry_their_number_in_front() {
        let message = Message::letters(12, &framing("raw"), false).unwrap();
        assert_eq!(shown(&message, 0), "aaaaaaaaijkl");
        assert_eq!(shown(&message, 0x0201_00f1), "bpaabacaijkl");
        assert_eq!(message.wire_length(), 12);
    }

    #[test]
    fn a_short_message_is_all_stamp() {
        let message = Message::letters(2, &framing("line"), false).unwrap();
        assert_eq!(shown(&message, 0x21), "bc\\n");
        assert_eq!(message.visible(0x321), 0x21);
        assert_eq!(message.number_in(b"BC"), Some(0x21));
    }

    #[test]
    fn a_text_gets_a_terminator_unless_it_has_one() {
        assert_eq!(shown(&text(b"PING\r\n", "line"), 7), "PING\\r\\n");
        assert_eq!(shown(&text(b"PING", "crlf"), 7), "PING\\r\\n");
        assert_eq!(shown(&text(b"PING\r\n", "crlf"), 7), "PING\\r\\n");
        assert_eq!(shown(&text(b"PING\n", "raw"), 7), "PING\\n");
        for spec in ["line", "crlf", "delimiter:\\r\\n"] {
            assert_eq!(text(b"PING\r\n", spec).payload(), b"PING", "{spec}");
        }
        assert_eq!(text(b"two\nlines\n", "line").payload(), b"two\nlines");
    }

    #[test]
    fn a_text_says_where_its_stamp_goes() {
        let message = text(b"GET /{stamp} {stamp}", "netstring");
        assert_eq!(shown(&message, 1), "21:GET /baaaaaaa {stamp},");
        assert_eq!(message.number_in(b"get /CAAAAAAA"), Some(2));
        assert_eq!(message.number_in(b"get /caaa"), None);
        assert_eq!(message.number_in(b"get /caaaz+aa"), None);
    }

    #[test]
    fn a_text_without_a_stamp_tells_no_number() {
        let message = text(b"PING", "line");
        assert_eq!(message.number_in(b"PING"), None);
        assert_eq!(message.visible(77), 0);
    }

    #[test]
    fn any_part_is_what_the_whole_has_there() {
        let message = text(b"x{stamp}yz", "length:u16be");
        let mut whole = Vec::new();
        message.write(0x1234, 0, usize::MAX, &mut whole);
        for from in 0..=whole.len() {
            for limit in 0..4 {
                let mut part = b"?".to_vec();
                message.write(0x1234, from, limit, &mut part);
                let to = whole.len().min(from + limit);
                assert_eq!(part[1..], whole[from..to], "{from} {limit}");
            }
        }
    }

    #[test]
    fn every_number_up_to_32_bits_is_told() {
        let message = Message::letters(32, &framing("raw"), false).unwrap();
        for number in [0, 1, 15, 16, 0xdead_beef, u64::from(u32::MAX)] {
            let mut out = Vec::new();
            message.write(number, 0, usize::MAX, &mut out);
            out.make_ascii_uppercase();
            assert_eq!(message.number_in(&out), Some(number));
        }
    }
}
