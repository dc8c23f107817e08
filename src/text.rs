//! Bytes as text for a log or a terminal. Pure: what to show, and where, is for others to say.

use std::fmt::{self, Display, Formatter, Write};

/// Bytes shown so that no terminal and no log reader can be fooled by them: valid UTF-8 as it is,
/// control characters and invalid bytes escaped (`\n`, `\r`, `\t`, `\xHH`).
///
/// A precision bounds it: `{:.64}` shows 64 bytes at most, and then how many there were.
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(pub &'a [u8]);

impl Display for Printable<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let shown = head(self.0, out.precision().unwrap_or(usize::MAX));
        for chunk in shown.utf8_chunks() {
            for c in chunk.valid().chars() {
                write_char(out, c)?;
            }
            write_hex(out, chunk.invalid())?;
        }
        if shown.len() < self.0.len() {
            write!(out, "… ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

/// Bytes as a hex dump: offset, sixteen bytes, and the printable ASCII among them. A precision
/// bounds it as it does [`Printable`].
#[derive(Debug, Clone, Copy)]
pub struct HexDump<'a>(pub &'a [u8]);

impl Display for HexDump<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let limit = out.precision().unwrap_or(usize::MAX).min(self.0.len());
        for (row, bytes) in self.0[..limit].chunks(16).enumerate() {
            write!(out, "{}{:08x}", if row == 0 { "" } else { "\n" }, row * 16)?;
            write_row(out, bytes)?;
        }
        if limit < self.0.len() {
            write!(out, "\n… ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

/// Rows of a hex dump that began further up, each with its end of line.
#[derive(Debug, Clone, Copy)]
pub struct HexRows<'a> {
    /// The offset of the first byte.
    pub from: usize,
    /// The bytes; all rows but the last have sixteen.
    pub bytes: &'a [u8],
}

impl Display for HexRows<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for (row, bytes) in self.bytes.chunks(16).enumerate() {
            write!(out, "{:08x}", self.from + row * 16)?;
            write_row(out, bytes)?;
            out.write_char('\n')?;
        }
        Ok(())
    }
}

/// Writes up to sixteen bytes as a row behind its offset, in one piece: dumps can be long.
fn write_row(out: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    const TEXT: usize = 53;
    let mut row = [b' '; TEXT + 17];
    row[TEXT - 1] = b'|';
    for (place, byte) in bytes.iter().enumerate() {
        let digits = 2 + 3 * place + usize::from(place >= 8);
        row[digits] = DIGITS[usize::from(byte >> 4)];
        row[digits + 1] = DIGITS[usize::from(byte & 15)];
        row[TEXT + place] = if matches!(byte, b' '..=b'~') { *byte } else { b'.' };
    }
    row[TEXT + bytes.len()] = b'|';
    let row = str::from_utf8(&row[..=TEXT + bytes.len()]);
    out.write_str(row.unwrap_or_default())
}

/// The bytes that a text with escapes stands for: `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH`. `None`
/// where something else is behind a backslash.
#[must_use]
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (byte, length) = match rest {
            [b'r', ..] => (b'\r', 1),
            [b'n', ..] => (b'\n', 1),
            [b't', ..] => (b'\t', 1),
            [b'0', ..] => (0, 1),
            [b'\\', ..] => (b'\\', 1),
            [b'x', high, low, ..] => (hex_byte(*high, *low)?, 3),
            _ => return None,
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    Some(bytes)
}

/// The byte that two hex digits say.
#[must_use]
pub fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// The name most like `wanted`, if any is like it at all.
#[must_use]
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // One slip in three letters is a misspelling, more is another word.
    let length = wanted.chars().count();
    let most = (length / 3).max(1);
    names
        .into_iter()
        // Comparing takes time by both lengths, and a script may ask for a name of any.
        .filter(|name| length.abs_diff(name.chars().count()) <= most)
        .map(|name| (strsim::damerau_levenshtein(wanted, name), name))
        .filter(|&(distance, _)| distance <= most)
        .min()
        .map(|(_, name)| name)
}

/// Writes one character; a control character (C0, DEL, C1) as its escape.
///
/// # Errors
/// Those of `out`.
pub fn write_char(out: &mut impl Write, c: char) -> fmt::Result {
    match c {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        c if c.is_control() => write_hex(out, c.encode_utf8(&mut [0; 4]).as_bytes()),
        c => out.write_char(c),
    }
}

fn write_hex(out: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(out, "\\x{byte:02x}"))
}

/// The first `limit` bytes, less where the cut would go through a character.
fn head(bytes: &[u8], limit: usize) -> &[u8] {
    if bytes.len() <= limit {
        return bytes;
    }
    // A character has three continuation bytes at most; more of them are no character anyway.
    let boundary = (limit.saturating_sub(3)..=limit).rev().find(|&at| bytes[at] & 0xc0 != 0x80);
    &bytes[..boundary.unwrap_or(limit)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> String {
        Printable(bytes).to_string()
    }

    #[test]
    fn valid_text_stays_as_it_is() {
        assert_eq!(shown("show 信息 \\ \"é\" 😀".as_bytes()), "show 信息 \\ \"é\" 😀");
        assert_eq!(shown(b""), "");
    }

    #[test]
    fn a_hex_dump_has_offsets_bytes_and_text() {
        let dump = HexDump(b"GET / HTTP/1.1\r\nHo").to_string();
        let rows = [
            "00000000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 31 0d 0a  |GET / HTTP/1.1..|",
            "00000010  48 6f                                             |Ho|",
        ];
        assert_eq!(dump, rows.join("\n"));
        assert!(format!("{:.16}", HexDump(&[0; 17])).ends_with("|................|\n… (17 bytes)"));
    }

    #[test]
    fn a_name_of_any_length_is_compared_in_no_time() {
        assert_eq!(nearest("nodealy", ["ttl", "nodelay"]), Some("nodelay"));
        assert_eq!(nearest("nodelays", ["nodelay"]), Some("nodelay"));
        assert_eq!(nearest("no", ["nodelay"]), None);
        let begin = std::time::Instant::now();
        let name = "x".repeat(50 << 20);
        assert_eq!(nearest(&name, ["peer", "peer_ip", "local_addr", "listener"]), None);
        assert!(begin.elapsed().as_secs() < 2, "{:?}", begin.elapsed());
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(shown(b"a\nb\rc\td\0e\x1b[31mf\x7f"), "a\\nb\\rc\\td\\x00e\\x1b[31mf\\x7f");
        assert_eq!(shown("C1: \u{9b}".as_bytes()), "C1: \\xc2\\x9b");
    }

    #[test]
    fn escapes_are_read() {
        let read = |text| unescape(text).map(|bytes| bytes.escape_ascii().to_string());
        assert_eq!(read(r"PING\r\n").as_deref(), Some(r"PING\r\n"));
        assert_eq!(read(r"a\0\t\\\xfF\x00é").as_deref(), Some(r"a\x00\t\\\xff\x00\xc3\xa9"));
        for bad in [r"\", r"\q", r"\x1", r"\xg0"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn invalid_bytes_are_escaped() {
        assert_eq!(shown(b"\xffabc\xe4\xbf"), "\\xffabc\\xe4\\xbf");
    }

    #[test]
    fn a_precision_bounds_it() {
        assert_eq!(format!("{:.5}", Printable(b"hello")), "hello");
        assert_eq!(format!("{:.5}", Printable(b"hello world")), "hello… (11 bytes)");
        assert_eq!(format!("{:.0}", Printable(b"x")), "… (1 bytes)");
    }

    #[test]
    fn a_bound_does_not_cut_a_character() {
        let text = "a信息";
        assert_eq!(format!("{:.3}", Printable(text.as_bytes())), "a… (7 bytes)");
        assert_eq!(format!("{:.4}", Printable(text.as_bytes())), "a信… (7 bytes)");
        assert_eq!(format!("{:.2}", Printable(&[0x80; 9])), "\\x80\\x80… (9 bytes)");
    }
}
