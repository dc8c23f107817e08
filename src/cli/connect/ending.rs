//! Ends of lines in what is piped in, made into others. Pure.

use crate::transcript::Eol;

/// Makes every LF and CR LF into one end of line, however the text is cut.
#[derive(Debug)]
pub(super) struct Ending {
    eol: Eol,
    /// The last byte was a CR, of which it is not known yet whether it belongs to an end of line.
    after_cr: bool,
}

impl Ending {
    pub(super) fn new(eol: Eol) -> Self {
        Self { eol, after_cr: false }
    }

    /// The next piece, with other ends of lines.
    pub(super) fn change(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut changed = Vec::with_capacity(piece.len() + piece.len() / 8);
        for byte in piece {
            let after_cr = std::mem::replace(&mut self.after_cr, *byte == b'\r');
            match byte {
                b'\n' => changed.extend_from_slice(self.eol.bytes()),
                b'\r' if after_cr => changed.push(b'\r'),
                b'\r' => {}
                _ if after_cr => changed.extend_from_slice(&[b'\r', *byte]),
                _ => changed.push(*byte),
            }
        }
        changed
    }

    /// What the end of the input completes.
    pub(super) fn rest(&mut self) -> &'static [u8] {
        if std::mem::take(&mut self.after_cr) { b"\r" } else { b"" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(eol: Eol, pieces: &[&[u8]]) -> String {
        let mut ending = Ending::new(eol);
        let mut all: Vec<u8> = pieces.iter().flat_map(|piece| ending.change(piece)).collect();
        all.extend(ending.rest());
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn every_end_of_line_becomes_the_same() {
        let text = b"a\nb\r\n\n\rc\r\r\nd\r";
        assert_eq!(changed(Eol::Crlf, &[text]), "a\r\nb\r\n\r\n\rc\r\r\nd\r");
        assert_eq!(changed(Eol::Lf, &[text]), "a\nb\n\n\rc\r\nd\r");
        assert_eq!(changed(Eol::None, &[text]), "ab\rc\rd\r");
    }

    #[test]
    fn a_cut_makes_no_difference() {
        let text = b"a\nb\r\n\n\rc\r\r\nd\r";
        for at in 0..=text.len() {
            let whole = changed(Eol::Crlf, &[text]);
            assert_eq!(changed(Eol::Crlf, &[&text[..at], &text[at..]]), whole, "{at}");
        }
    }
}
