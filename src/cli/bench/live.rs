//! One line on a terminal that says how it goes, drawn again and again.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use rustix::termios::tcgetwinsize;

use super::table::{grouped, rounded};
use crate::load::{Glance, mib, per_second};

/// See the module.
pub(super) struct Line {
    wanted: bool,
    drawn: bool,
}

impl Line {
    /// Shows nothing where nobody looks at it, or nobody wants it.
    pub(super) fn new(quiet: bool) -> Self {
        Self { wanted: !quiet && io::stderr().is_terminal(), drawn: false }
    }

    /// Draws the line anew.
    pub(super) fn show(&mut self, glance: &Glance) {
        if self.wanted {
            self.drawn = true;
            // A terminal that is gone is no reason to end.
            let _ = write!(io::stderr(), "\r{}\x1b[K", cut(text(glance), columns()));
        }
    }

    /// Leaves an empty line.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// How many characters the terminal has in a line, if it tells.
fn columns() -> Option<usize> {
    let size = tcgetwinsize(io::stderr()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// As much as fits: what goes on in the next line cannot be drawn over.
fn cut(text: String, columns: Option<usize>) -> String {
    match columns {
        Some(columns) => text.chars().take(columns - 1).collect(),
        None => text,
    }
}

fn text(glance: &Glance) -> String {
    let rate = per_second(glance.answers, glance.since);
    let bytes = mib(per_second(glance.bytes, glance.since));
    let mut moved = String::new();
    if glance.answers > 0 {
        let _ = write!(moved, "{} answers/s, ", grouped(rounded(rate)));
    }
    if glance.bytes > 0 {
        let _ = write!(moved, "{bytes:.1} MiB/s in all, ");
    }
    let (open, trouble) = (grouped(glance.open as u64), grouped(glance.trouble));
    let seconds = glance.elapsed.as_secs();
    format!("{seconds:>4} s {}: {moved}{open} open, {trouble} troubles", glance.stage)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_glance_is_one_short_line() {
        let glance = Glance {
            stage: "running",
            elapsed: Duration::from_millis(3700),
            since: Duration::from_millis(500),
            open: 10_000,
            answers: 61_728,
            bytes: 3 << 20,
            trouble: 0,
        };
        assert_eq!(
            text(&glance),
            "   3 s running: 123,456 answers/s, 6.0 MiB/s in all, 10,000 open, 0 troubles"
        );
        let idle = Glance { answers: 0, bytes: 0, trouble: 2, ..glance };
        assert_eq!(text(&idle), "   3 s running: 10,000 open, 2 troubles");
        assert_eq!(cut(text(&idle), Some(16)), "   3 s running:");
        assert_eq!(cut(text(&idle), None), text(&idle));
        // Answers to a warm-up are not counted.
        let warming = Glance { stage: "warming up", answers: 0, ..glance };
        assert_eq!(text(&warming), "   3 s warming up: 6.0 MiB/s in all, 10,000 open, 0 troubles");
    }
}
