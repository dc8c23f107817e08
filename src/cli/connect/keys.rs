//! What a terminal in raw mode sends, as keys. Pure; bytes may come in any pieces.

use std::mem;

/// A key, by what it does to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Older,
    Newer,
    Backspace,
    Delete,
    /// Takes out to the blank before the cursor.
    KillField,
    /// Takes out the word before the cursor.
    KillWord,
    /// Takes out the word behind the cursor.
    KillNextWord,
    KillToStart,
    KillToEnd,
    /// Puts back what was taken out.
    Yank,
    /// Clears the screen.
    Clear,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    EndOfInput,
    /// Ctrl-Z.
    Suspend,
}

/// Bytes of a sequence that is still read; what goes on longer is none that we know.
const LONGEST: usize = 32;

/// Reads bytes into keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    state: State,
    /// The bytes of a character that is not all there.
    character: Vec<u8>,
    /// What comes was pasted: characters and ends of lines, no keys.
    pasted: bool,
    /// The last byte of a paste was a CR, which may have an LF behind it.
    after_cr: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Ground,
    /// Behind ESC.
    Escape,
    /// Behind `ESC [`, with the bytes from there on.
    Sequence(Vec<u8>),
    /// Behind `ESC O`.
    Single,
}

impl Keys {
    /// The key that this byte completes.
    pub(super) fn push(&mut self, byte: u8) -> Option<Key> {
        match mem::take(&mut self.state) {
            State::Ground => self.plain(byte),
            State::Escape => self.escaped(byte),
            State::Single => cursor_key(byte, false),
            State::Sequence(bytes) => self.sequence(bytes, byte),
        }
    }

    fn plain(&mut self, byte: u8) -> Option<Key> {
        let after_cr = mem::take(&mut self.after_cr);
        if byte >= 0x20 && byte != 0x7f {
            return self.part_of_character(byte);
        }
        self.character.clear();
        if byte == 0x1b {
            self.state = State::Escape;
            return None;
        }
        if self.pasted {
            self.after_cr = byte == b'\r';
            return match byte {
                b'\n' if after_cr => None,
                b'\r' | b'\n' => Some(Key::Enter),
                _ => Some(Key::Char(byte.into())),
            };
        }
        control_key(byte)
    }

    fn part_of_character(&mut self, byte: u8) -> Option<Key> {
        if byte & 0xc0 != 0x80 {
            // A character begins here, whatever was before it.
            self.character.clear();
        }
        self.character.push(byte);
        match str::from_utf8(&self.character) {
            Ok(text) => {
                let key = text.chars().next().map(Key::Char);
                self.character.clear();
                key
            }
            // Not all there, but it can become one.
            Err(error) if error.error_len().is_none() => None,
            Err(_) => {
                self.character.clear();
                None
            }
        }
    }

    fn escaped(&mut self, byte: u8) -> Option<Key> {
        match byte {
            b'[' => self.state = State::Sequence(Vec::new()),
            b'O' => self.state = State::Single,
            0x1b => self.state = State::Escape,
            b'b' => return Some(Key::WordLeft),
            b'f' => return Some(Key::WordRight),
            b'd' => return Some(Key::KillNextWord),
            0x08 | 0x7f => return Some(Key::KillWord),
            // ESC alone does nothing, so a control key behind it is itself.
            0..0x20 => return self.plain(byte),
            _ => {}
        }
        None
    }

    fn sequence(&mut self, mut bytes: Vec<u8>, byte: u8) -> Option<Key> {
        match byte {
            0x20..=0x3f if bytes.len() < LONGEST => {
                bytes.push(byte);
                self.state = State::Sequence(bytes);
                None
            }
            b'~' => match &bytes[..] {
                b"1" | b"7" => Some(Key::Home),
                b"4" | b"8" => Some(Key::End),
                b"3" => Some(Key::Delete),
                b"200" => {
                    self.pasted = true;
                    None
                }
                b"201" => {
                    self.pasted = false;
                    None
                }
                _ => None,
            },
            0..0x20 => self.plain(byte),
            // With Ctrl or Alt held the arrows go by words: `ESC [ 1 ; 5 D`.
            _ => cursor_key(byte, matches!(&bytes[..], b"1;5" | b"1;3" | b"5" | b"3")),
        }
    }
}

fn control_key(byte: u8) -> Option<Key> {
    let letter = char::from(byte.wrapping_add(0x40));
    Some(match letter {
        'A' => Key::Home,
        'B' => Key::Left,
        'C' => Key::Interrupt,
        'D' => Key::EndOfInput,
        'E' => Key::End,
        'F' => Key::Right,
        // Ctrl-H, and DEL.
        'H' | '\u{bf}' => Key::Backspace,
        'I' => Key::Char('\t'),
        'J' | 'M' => Key::Enter,
        'K' => Key::KillToEnd,
        'L' => Key::Clear,
        'N' => Key::Newer,
        'P' => Key::Older,
        'U' => Key::KillToStart,
        'W' => Key::KillField,
        'Y' => Key::Yank,
        'Z' => Key::Suspend,
        _ => return None,
    })
}

fn cursor_key(byte: u8, by_words: bool) -> Option<Key> {
    Some(match (byte, by_words) {
        (b'A', _) => Key::Older,
        (b'B', _) => Key::Newer,
        (b'C', false) => Key::Right,
        (b'C', true) => Key::WordRight,
        (b'D', false) => Key::Left,
        (b'D', true) => Key::WordLeft,
        (b'H', _) => Key::Home,
        (b'F', _) => Key::End,
        (b'M', _) => Key::Enter,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        bytes.iter().filter_map(|byte| keys.push(*byte)).collect()
    }

    #[test]
    fn text_is_characters_whatever_their_length() {
        let expected = "aé信😀 ~".chars().map(Key::Char).collect::<Vec<_>>();
        assert_eq!(keys("aé信😀 ~".as_bytes()), expected);
    }

    #[test]
    fn what_is_no_text_is_left_out_and_takes_nothing_with_it() {
        assert_eq!(keys(b"\xff\xc3a\x80b"), [Key::Char('a'), Key::Char('b')]);
    }

    #[test]
    fn control_keys_do_what_they_do_in_a_shell() {
        use Key::*;
        assert_eq!(
            keys(b"\x01\x02\x03\x04\x05\x06"),
            [Home, Left, Interrupt, EndOfInput, End, Right]
        );
        assert_eq!(
            keys(b"\x08\x7f\t\n\r\x0b\x0c"),
            [Backspace, Backspace, Char('\t'), Enter, Enter, KillToEnd, Clear]
        );
        assert_eq!(
            keys(b"\x0e\x10\x15\x17\x19\x1a\x00\x1f"),
            [Newer, Older, KillToStart, KillField, Yank, Suspend]
        );
    }

    #[test]
    fn sequences_of_all_kinds_of_terminals_are_read() {
        use Key::*;
        assert_eq!(
            keys(b"\x1b[A\x1b[B\x1b[C\x1b[D\x1b[H\x1b[F"),
            [Older, Newer, Right, Left, Home, End]
        );
        assert_eq!(
            keys(b"\x1bOA\x1bOB\x1bOC\x1bOD\x1bOH\x1bOF"),
            [Older, Newer, Right, Left, Home, End]
        );
        assert_eq!(keys(b"\x1b[1~\x1b[7~\x1b[4~\x1b[8~\x1b[3~"), [Home, Home, End, End, Delete]);
        assert_eq!(
            keys(b"\x1b[1;5C\x1b[1;3D\x1bb\x1bf"),
            [WordRight, WordLeft, WordLeft, WordRight]
        );
        assert_eq!(keys(b"\x1bd\x1b\x7f\x1b[15~\x1b[?1;2cx"), [KillNextWord, KillWord, Char('x')]);
    }

    #[test]
    fn escape_alone_holds_up_no_control_key() {
        assert_eq!(keys(b"\x1b\x03"), [Key::Interrupt]);
        assert_eq!(keys(b"\x1b[1\x03"), [Key::Interrupt]);
        assert_eq!(keys(b"\x1b\x1b[A"), [Key::Older]);
    }

    #[test]
    fn a_paste_is_text_and_ends_of_lines() {
        use Key::*;
        assert_eq!(
            keys(b"\x1b[200~a\r\nb\rc\n\n\x03\t\x1b[201~\x03"),
            [
                Char('a'),
                Enter,
                Char('b'),
                Enter,
                Char('c'),
                Enter,
                Enter,
                Char('\x03'),
                Char('\t'),
                Interrupt
            ]
        );
    }

    #[test]
    fn a_sequence_without_end_is_given_up() {
        let mut bytes = b"\x1b[".to_vec();
        bytes.extend([b'1'; 1000]);
        let read = keys(&bytes);
        assert!(read.len() < 1000 && read.iter().all(|key| *key == Key::Char('1')));
    }
}
