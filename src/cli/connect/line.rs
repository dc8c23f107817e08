//! The line that is being edited: its text, the cursor, what was taken out, and the part of it
//! that is shown. Pure.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::keys::Key;
use crate::text::Printable;

/// Bytes that a line can have; what is typed beyond is left out.
const LONGEST: usize = 1 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Line {
    text: String,
    /// Bytes before the cursor; always between two characters as a person sees them.
    cursor: usize,
    /// What was taken out last.
    taken: String,
}

/// The part of a line that fits a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Safe for a terminal.
    pub(super) text: String,
    /// Columns before the cursor.
    pub(super) cursor: usize,
}

impl Line {
    /// The text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Takes the text away.
    pub(super) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Puts another text in its place, the cursor behind it.
    pub(super) fn replace(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        self.cursor = text.len();
    }

    /// What a key does to it; false for one that does nothing to a line.
    pub(super) fn edit(&mut self, key: Key) -> bool {
        match key {
            Key::Char(c) => self.insert(c.encode_utf8(&mut [0; 4])),
            Key::Left => self.cursor = self.left(),
            Key::Right => self.cursor = self.right(),
            Key::WordLeft => self.cursor = self.word_left(),
            Key::WordRight => self.cursor = self.word_right(),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.text.len(),
            Key::Backspace => drop(self.cut(self.left(), self.cursor)),
            Key::Delete => drop(self.cut(self.cursor, self.right())),
            Key::KillField => self.kill(self.field_left(), self.cursor),
            Key::KillWord => self.kill(self.word_left(), self.cursor),
            Key::KillNextWord => self.kill(self.cursor, self.word_right()),
            Key::KillToStart => self.kill(0, self.cursor),
            Key::KillToEnd => self.kill(self.cursor, self.text.len()),
            Key::Yank => {
                let taken = self.taken.clone();
                self.insert(&taken);
            }
            _ => return false,
        }
        true
    }

    /// The part of it around the cursor that fits so many columns, the cursor among them. Takes no
    /// longer for a long line.
    pub(super) fn view(&self, columns: usize) -> View {
        let (before, behind) = self.text.split_at(self.cursor);
        let (mut from, mut cursor) = (before.len(), 0);
        for (at, piece) in before.grapheme_indices(true).rev() {
            let width = shown(piece).width();
            if cursor + width >= columns {
                break;
            }
            (from, cursor) = (at, cursor + width);
        }
        let mut view = View { text: shown(&before[from..]), cursor };
        let mut end = cursor;
        for piece in behind.graphemes(true) {
            let shown = shown(piece);
            end += shown.width();
            if end > columns {
                break;
            }
            view.text += &shown;
        }
        view
    }

    fn insert(&mut self, text: &str) {
        if self.text.len() + text.len() <= LONGEST {
            self.text.insert_str(self.cursor, text);
            self.cursor += text.len();
        }
    }

    fn cut(&mut self, from: usize, to: usize) -> String {
        self.cursor = from;
        self.text.drain(from..to).collect()
    }

    fn kill(&mut self, from: usize, to: usize) {
        if from < to {
            self.taken = self.cut(from, to);
        }
    }

    fn left(&self) -> usize {
        let last = self.text[..self.cursor].graphemes(true).next_back();
        self.cursor - last.map_or(0, str::len)
    }

    fn right(&self) -> usize {
        let next = self.text[self.cursor..].graphemes(true).next();
        self.cursor + next.map_or(0, str::len)
    }

    fn word_left(&self) -> usize {
        let before = self.text[..self.cursor].trim_end_matches(|c: char| !c.is_alphanumeric());
        before.trim_end_matches(char::is_alphanumeric).len()
    }

    fn word_right(&self) -> usize {
        let behind = self.text[self.cursor..].trim_start_matches(|c: char| !c.is_alphanumeric());
        self.text.len() - behind.trim_start_matches(char::is_alphanumeric).len()
    }

    fn field_left(&self) -> usize {
        let before = self.text[..self.cursor].trim_end();
        before.trim_end_matches(|c: char| !c.is_whitespace()).len()
    }
}

/// A piece as one row shows it: control characters, pasted ones say, as their escapes.
fn shown(piece: &str) -> String {
    Printable(piece.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line with `|` for the cursor, after keys: `<`, `>` and so on are keys, the rest text.
    fn after(script: &str) -> String {
        let mut line = Line::default();
        for c in script.chars() {
            let key = match c {
                '<' => Key::Left,
                '>' => Key::Right,
                '«' => Key::WordLeft,
                '»' => Key::WordRight,
                '^' => Key::Home,
                '$' => Key::End,
                '⌫' => Key::Backspace,
                '⌦' => Key::Delete,
                'W' => Key::KillField,
                'B' => Key::KillWord,
                'D' => Key::KillNextWord,
                'U' => Key::KillToStart,
                'K' => Key::KillToEnd,
                'Y' => Key::Yank,
                c => Key::Char(c),
            };
            assert!(line.edit(key));
        }
        line.text.insert(line.cursor, '|');
        line.text
    }

    #[test]
    fn keys_move_and_edit() {
        assert_eq!(after("hello"), "hello|");
        assert_eq!(after("hllo^>e"), "he|llo");
        assert_eq!(after("held<<l$!"), "helld!|");
        assert_eq!(after("abc⌫<⌦"), "a|");
        assert_eq!(after("⌫⌦<>x"), "x|");
        assert_eq!(after("one two-three««"), "one |two-three");
        assert_eq!(after("one two^»»"), "one two|");
    }

    #[test]
    fn what_was_taken_out_can_be_put_back() {
        assert_eq!(after("one two-three W"), "one |");
        assert_eq!(after("one two-threeB"), "one two-|");
        assert_eq!(after("one two^DYY"), "oneone| two");
        assert_eq!(after("one two««>KY^U$!"), "one two!|");
        assert_eq!(after("abcUY"), "abc|");
    }

    #[test]
    fn a_character_is_what_a_person_sees() {
        assert_eq!(after("ae\u{301}👩\u{200d}🔬b<⌫"), "ae\u{301}|b");
        assert_eq!(after("ae\u{301}👩\u{200d}🔬b<<<⌦"), "a|👩\u{200d}🔬b");
    }

    fn view(text: &str, left: usize, columns: usize) -> (String, usize) {
        let mut line = Line::default();
        line.replace(text);
        for _ in 0..left {
            line.edit(Key::Left);
        }
        let View { text, cursor } = line.view(columns);
        (text, cursor)
    }

    #[test]
    fn a_long_line_shows_the_part_around_the_cursor() {
        assert_eq!(view("hello", 0, 10), ("hello".into(), 5));
        assert_eq!(view("hello", 2, 10), ("hello".into(), 3));
        assert_eq!(view("0123456789", 0, 10), ("123456789".into(), 9));
        assert_eq!(view("0123456789", 10, 5), ("01234".into(), 0));
        assert_eq!(view("0123456789", 3, 5), ("34567".into(), 4));
    }

    #[test]
    fn wide_characters_and_control_characters_take_their_columns() {
        assert_eq!(view("信息", 0, 10), ("信息".into(), 4));
        assert_eq!(view("信息信息", 0, 6), ("信息".into(), 4));
        assert_eq!(view("a\tb\x1b[31m", 0, 80), ("a\\tb\\x1b[31m".into(), 12));
    }

    #[test]
    fn a_line_does_not_grow_without_end() {
        let mut line = Line::default();
        line.replace(&"x".repeat(LONGEST));
        line.edit(Key::Char('y'));
        assert_eq!(line.text().len(), LONGEST);
    }
}
