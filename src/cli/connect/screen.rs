//! The terminal as it looks: the line that is being edited stays the last row, answers and what is
//! told go above it, and an answer that did not end its line goes on where it stopped.

use std::io::{self, IsTerminal, Write};

use rustix::termios::tcgetwinsize;
use unicode_width::UnicodeWidthChar;

use super::line::Line;
use crate::text::Printable;

const PROMPT: &str = "> ";

/// What is told is marked like a comment, so that it is no answer.
const MARK: &str = "# ";

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

const TAB: usize = 8;

/// See the module.
#[derive(Debug)]
pub(super) struct Screen {
    /// Where the line is drawn; nowhere without a terminal that could show it.
    target: Option<Target>,
    /// Answers go to the same terminal.
    answers: bool,
    /// What is told goes to the same terminal.
    told: bool,
    columns: usize,
    /// The line stands in the last row.
    drawn: bool,
    /// Columns of the answer that did not end its line; 0 where there is none.
    open: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Stdout,
    Stderr,
}

impl Target {
    fn write(self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => write_stdout(bytes),
            Self::Stderr => io::stderr().write_all(bytes),
        }
    }
}

impl Screen {
    /// The terminal of standard output, else that of standard error. With `plain` nothing is drawn:
    /// the terminal itself shows what is typed.
    pub(super) fn new(plain: bool) -> Self {
        let (stdout, stderr) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let target = match (stdout, stderr) {
            _ if plain => None,
            (true, _) => Some(Target::Stdout),
            (false, true) => Some(Target::Stderr),
            _ => None,
        };
        let answers = target == Some(Target::Stdout);
        let told = stderr && target.is_some();
        let mut screen = Self { target, answers, told, columns: 0, drawn: false, open: 0 };
        screen.resize();
        screen
    }

    /// A line can be drawn.
    pub(super) fn can_draw(&self) -> bool {
        self.target.is_some()
    }

    /// The terminal may have another size now. What an answer left open cannot be found again.
    pub(super) fn resize(&mut self) {
        let size = match self.target {
            Some(Target::Stderr) => tcgetwinsize(io::stderr()),
            _ => tcgetwinsize(io::stdout()),
        };
        let columns = size.map_or(0, |size| usize::from(size.ws_col));
        self.columns = if columns == 0 { COLUMNS } else { columns };
        if self.drawn {
            self.open = 0;
        }
    }

    /// Draws the line anew.
    pub(super) fn draw(&mut self, line: Option<&Line>) -> io::Result<()> {
        self.around(line, |_, _| {})
    }

    /// Writes an answer, and the line below it.
    pub(super) fn answer(&mut self, shown: &[u8], line: Option<&Line>) -> io::Result<()> {
        if !self.answers {
            return write_stdout(shown);
        }
        self.around(line, |screen, out| {
            out.extend_from_slice(shown);
            screen.follow(shown, out);
        })
    }

    /// Tells something on a line of its own, and draws the line below it.
    pub(super) fn tell(&mut self, text: &str, line: Option<&Line>) -> io::Result<()> {
        let told = format!("{MARK}{}\n", Printable(text.as_bytes()));
        if self.told {
            self.around(None, Self::close)?;
        }
        // Without standard error nobody can be told.
        let _ = io::stderr().write_all(told.as_bytes());
        if self.told { self.draw(line) } else { Ok(()) }
    }

    /// Leaves a line that was entered where it is; `behind` shows how it ended.
    pub(super) fn enter(&mut self, text: &str, behind: &str) -> io::Result<()> {
        self.around(None, |screen, out| {
            screen.close(out);
            out.extend_from_slice(
                format!("{PROMPT}{}{behind}\r\n", Printable(text.as_bytes())).as_bytes(),
            );
        })
    }

    /// Clears the screen.
    pub(super) fn clear(&mut self, line: Option<&Line>) -> io::Result<()> {
        self.around(line, |screen, out| {
            screen.open = 0;
            out.extend_from_slice(b"\x1b[H\x1b[2J");
        })
    }

    /// Takes the line away; what is written next begins a row.
    pub(super) fn leave(&mut self) -> io::Result<()> {
        self.around(None, Self::close)
    }

    /// Takes the line away, has something written, draws the line again, all in one piece.
    fn around(
        &mut self,
        line: Option<&Line>,
        write: impl FnOnce(&mut Self, &mut Vec<u8>),
    ) -> io::Result<()> {
        let Some(target) = self.target else { return Ok(()) };
        let mut out = Vec::new();
        self.erase(&mut out);
        write(self, &mut out);
        if let Some(line) = line {
            self.draw_on(line, &mut out);
        }
        target.write(&out)
    }

    fn erase(&mut self, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.drawn) {
            return;
        }
        out.extend_from_slice(b"\r\x1b[K");
        if self.open > 0 {
            out.extend_from_slice(format!("\x1b[A\x1b[{}G", self.open + 1).as_bytes());
        }
    }

    fn draw_on(&mut self, line: &Line, out: &mut Vec<u8>) {
        let room = self.columns.saturating_sub(PROMPT.len()).max(1);
        let view = line.view(room);
        if self.open > 0 {
            out.extend_from_slice(b"\r\n");
        }
        let column = PROMPT.len() + view.cursor + 1;
        out.extend_from_slice(format!("{PROMPT}{}\x1b[{column}G", view.text).as_bytes());
        self.drawn = true;
    }

    /// Ends the row of an answer that did not.
    fn close(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.open) > 0 {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Keeps count of the columns of the row that an answer is in.
    fn follow(&mut self, shown: &[u8], out: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(shown);
        let (mut column, row) = match text.rsplit_once('\n') {
            Some((_, row)) => (0, row),
            None => (self.open, &*text),
        };
        for c in row.chars() {
            let width = match c {
                '\t' => (TAB - column % TAB).min((self.columns - 1).saturating_sub(column)),
                _ => c.width().unwrap_or(0),
            };
            column = if column + width > self.columns { width } else { column + width };
        }
        self.open = column;
        if column >= self.columns {
            // The row is full: whatever comes next is in the next one.
            self.close(out);
        }
    }
}

fn write_stdout(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(columns: usize) -> Screen {
        Screen { target: None, answers: true, told: true, columns, drawn: false, open: 0 }
    }

    fn open_after(columns: usize, answers: &[&str]) -> (usize, String) {
        let (mut screen, mut out) = (screen(columns), Vec::new());
        for answer in answers {
            screen.follow(answer.as_bytes(), &mut out);
        }
        (screen.open, String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_end_of_an_open_answer_is_known() {
        assert_eq!(open_after(80, &["hello"]), (5, String::new()));
        assert_eq!(open_after(80, &["hel", "lo"]), (5, String::new()));
        assert_eq!(open_after(80, &["hello\n"]), (0, String::new()));
        assert_eq!(open_after(80, &["a\nbc", "信"]), (4, String::new()));
        assert_eq!(open_after(10, &["0123456789ab"]), (2, String::new()));
        assert_eq!(open_after(10, &["0123456789"]), (0, "\r\n".to_owned()));
        assert_eq!(open_after(5, &["1234信"]), (2, String::new()));
        assert_eq!(open_after(80, &["a\tb"]), (9, String::new()));
        assert_eq!(open_after(10, &["123456789\tb"]), (10 - 10, "\r\n".to_owned()));
    }

    #[test]
    fn the_line_is_taken_away_and_drawn_below() {
        let mut line = Line::default();
        line.replace("draft");
        let (mut screen, mut out) = (screen(80), Vec::new());
        screen.draw_on(&line, &mut out);
        assert_eq!(out, b"> draft\x1b[8G");
        out.clear();
        screen.erase(&mut out);
        screen.follow(b"login: ", &mut out);
        screen.draw_on(&line, &mut out);
        assert_eq!(out, b"\r\x1b[K\r\n> draft\x1b[8G");
        out.clear();
        screen.erase(&mut out);
        assert_eq!(out, b"\r\x1b[K\x1b[A\x1b[8G");
        screen.erase(&mut out);
        assert_eq!(out, b"\r\x1b[K\x1b[A\x1b[8G");
    }
}
