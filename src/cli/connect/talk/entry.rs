//! How lines are entered: key by key into a line that is edited, or, where nothing can be drawn,
//! line by line as the terminal itself has them typed.

use std::io;

use super::super::history::History;
use super::super::keys::{Key, Keys};
use super::super::line::Line;
use super::super::terminal::RawMode;

/// Bytes of the longest line of a plain terminal; the system's own limit is 4096.
const LONGEST: usize = 1 << 20;

/// See the module.
#[derive(Debug)]
pub(super) enum Entry {
    Edited {
        keys: Keys,
        line: Line,
        raw: RawMode,
        /// Nothing more is entered; the line is not shown.
        closed: bool,
    },
    Plain(Vec<u8>),
}

/// What was entered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// A line.
    Line(String),
    /// Ctrl-C on a line with text: it is left.
    Left(String),
    /// Ctrl-C on an empty line.
    Interrupt,
    /// Ctrl-D on an empty line.
    End,
    Clear,
    Suspend,
}

impl Entry {
    /// Begins to edit, if the line can be drawn.
    pub(super) fn new(can_draw: bool) -> io::Result<Self> {
        if !can_draw {
            return Ok(Self::Plain(Vec::new()));
        }
        let raw = RawMode::enter()?;
        Ok(Self::Edited { keys: Keys::default(), line: Line::default(), raw, closed: false })
    }

    pub(super) fn is_raw(&self) -> bool {
        matches!(self, Self::Edited { .. })
    }

    /// The line to be shown.
    pub(super) fn line(&self) -> Option<&Line> {
        match self {
            Self::Edited { line, closed: false, .. } => Some(line),
            _ => None,
        }
    }

    /// Nothing more is entered, but for an order to quit.
    pub(super) fn close(&mut self) {
        if let Self::Edited { closed, line, .. } = self {
            line.take();
            *closed = true;
        }
    }

    /// Stops the process, until the user has it go on.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        match self {
            Self::Edited { raw, .. } => raw.suspend(),
            Self::Plain(_) => Ok(()),
        }
    }

    /// The next byte that was typed, and what it completes.
    pub(super) fn push(&mut self, byte: u8, history: &mut History) -> Option<Entered> {
        match self {
            Self::Edited { keys, line, closed, .. } => {
                let key = keys.push(byte)?;
                if *closed {
                    return key_when_closed(key);
                }
                on_key(key, line, history)
            }
            Self::Plain(line) if byte == b'\n' => {
                let text = String::from_utf8_lossy(line).into_owned();
                line.clear();
                Some(Entered::Line(text))
            }
            Self::Plain(line) => {
                if line.len() < LONGEST {
                    line.push(byte);
                }
                None
            }
        }
    }
}

fn key_when_closed(key: Key) -> Option<Entered> {
    match key {
        Key::Interrupt => Some(Entered::Interrupt),
        Key::EndOfInput => Some(Entered::End),
        Key::Suspend => Some(Entered::Suspend),
        _ => None,
    }
}

fn on_key(key: Key, line: &mut Line, history: &mut History) -> Option<Entered> {
    match key {
        Key::Enter => return Some(Entered::Line(line.take())),
        Key::Interrupt if line.text().is_empty() => return Some(Entered::Interrupt),
        Key::Interrupt => return Some(Entered::Left(line.take())),
        Key::EndOfInput if line.text().is_empty() => return Some(Entered::End),
        // As in a shell.
        Key::EndOfInput => _ = line.edit(Key::Delete),
        Key::Clear => return Some(Entered::Clear),
        Key::Suspend => return Some(Entered::Suspend),
        Key::Older => {
            if let Some(text) = history.older(line.text()) {
                line.replace(text);
            }
        }
        Key::Newer => {
            if let Some(text) = history.newer() {
                line.replace(text);
            }
        }
        key => _ = line.edit(key),
    }
    None
}
