//! What is written of the bytes that arrive: the bytes, a hex dump, or text that is safe for a
//! terminal. Pure.

use std::fmt::Write;

use crate::text::{HexRows, write_char};

/// See the module.
#[derive(Debug)]
pub(super) struct Answer {
    form: Form,
    /// What cannot be written before more is there.
    held: Vec<u8>,
}

#[derive(Debug)]
enum Form {
    Bytes,
    /// A dump of each piece.
    Dumps,
    /// One dump of all; so many bytes of it are written.
    Dump(usize),
    /// Lines as a terminal shows them.
    Text,
}

impl Answer {
    /// Every byte as it is.
    pub(super) fn bytes() -> Self {
        Self { form: Form::Bytes, held: Vec::new() }
    }

    /// A hex dump: one of all, or with `each` one of each piece.
    pub(super) fn hex(each: bool) -> Self {
        let form = if each { Form::Dumps } else { Form::Dump(0) };
        Self { form, held: Vec::new() }
    }

    /// Text, in which control characters and what is no UTF-8 are escapes, but for tabs and ends of
    /// lines.
    pub(super) fn text() -> Self {
        Self { form: Form::Text, held: Vec::new() }
    }

    /// It is what a terminal can show.
    pub(super) fn is_safe(&self) -> bool {
        !matches!(self.form, Form::Bytes)
    }

    /// What is to be written of these bytes, now.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        match &mut self.form {
            Form::Bytes => bytes.to_vec(),
            Form::Dumps => HexRows { from: 0, bytes }.to_string().into_bytes(),
            Form::Dump(written) => {
                self.held.extend_from_slice(bytes);
                let whole = self.held.len() / 16 * 16;
                let rows = HexRows { from: *written, bytes: &self.held[..whole] }.to_string();
                self.held.drain(..whole);
                *written += whole;
                rows.into_bytes()
            }
            Form::Text => {
                let all = [&self.held[..], bytes].concat();
                let (now, later) = all.split_at(all.len() - unfinished(&all));
                later.clone_into(&mut self.held);
                safe(now).into_bytes()
            }
        }
    }

    /// Something waits for more bytes.
    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// What waits, written as if nothing came any more.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        match &mut self.form {
            Form::Dump(written) => {
                let rows = HexRows { from: *written, bytes: &held }.to_string();
                *written += held.len();
                rows.into_bytes()
            }
            _ => safe(&held).into_bytes(),
        }
    }
}

/// How many bytes at the end could become a character or an end of line with what comes next.
fn unfinished(bytes: &[u8]) -> usize {
    if bytes.last() == Some(&b'\r') {
        return 1;
    }
    match bytes.utf8_chunks().last() {
        // It is the end of all, not an invalid byte among others.
        Some(chunk) if str::from_utf8(chunk.invalid()).is_err_and(|e| e.error_len().is_none()) => {
            chunk.invalid().len()
        }
        _ => 0,
    }
}

fn safe(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut characters = chunk.valid().chars().peekable();
        while let Some(c) = characters.next() {
            match c {
                '\r' if characters.peek() == Some(&'\n') => {}
                '\n' | '\t' => shown.push(c),
                // Writing to a string does not fail.
                _ => drop(write_char(&mut shown, c)),
            }
        }
        for byte in chunk.invalid() {
            // As above.
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(mut answer: Answer, pieces: &[&[u8]]) -> String {
        let mut all: Vec<u8> = pieces.iter().flat_map(|piece| answer.take(piece)).collect();
        all.extend(answer.rest());
        assert!(!answer.holds());
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn text_keeps_its_lines_and_cannot_steer_the_terminal() {
        assert_eq!(
            shown(Answer::text(), &[b"a\r\nb\tc\n\x1b[2J\r!\xff\x9b\n"]),
            "a\nb\tc\n\\x1b[2J\\r!\\xff\\x9b\n"
        );
        assert_eq!(shown(Answer::text(), &["C1 \u{9b}2J".as_bytes()]), "C1 \\xc2\\x9b2J");
    }

    #[test]
    fn text_is_the_same_however_it_was_cut() {
        let text = "é信\r\n😀\rx\r".as_bytes();
        let whole = shown(Answer::text(), &[text]);
        assert_eq!(whole, "é信\n😀\\rx\\r");
        for at in 0..text.len() {
            assert_eq!(shown(Answer::text(), &[&text[..at], &text[at..]]), whole, "{at}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(shown(Answer::text(), &bytes), whole);
    }

    #[test]
    fn what_can_become_no_character_is_not_held() {
        let mut answer = Answer::text();
        assert_eq!(answer.take(b"\xff\xfe"), b"\\xff\\xfe");
        assert_eq!(answer.take(b"x\xe4\xbf"), b"x");
        assert!(answer.holds());
        assert_eq!(answer.rest(), b"\\xe4\\xbf");
    }

    #[test]
    fn a_dump_is_of_all_or_of_each_piece() {
        let whole = shown(Answer::hex(false), &[b"0123456789abcdef01"]);
        assert_eq!(shown(Answer::hex(false), &[b"012345678", b"9abcdef0", b"1"]), whole);
        assert!(whole.contains("\n00000010  30 31  "), "{whole}");
        let each = shown(Answer::hex(true), &[b"01", b"", b"2"]);
        assert_eq!(each.matches("00000000  3").count(), 2, "{each}");
    }
}
