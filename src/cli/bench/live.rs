//! One line on a terminal that says how it goes, drawn again and again.

use std::io::{self, IsTerminal, Write};

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
            let _ = write!(io::stderr(), "\r{}\x1b[K", text(glance));
        }
    }

    /// Leaves an empty line.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn text(glance: &Glance) -> String {
    let rate = per_second(glance.answers, glance.since);
    let bytes = mib(per_second(glance.bytes, glance.since));
    let moved = match (glance.answers, glance.bytes) {
        (0, 0) => String::new(),
        _ => format!("{} answers/s, {bytes:.1} MiB/s, ", grouped(rounded(rate))),
    };
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
            "   3 s running: 123,456 answers/s, 6.0 MiB/s, 10,000 open, 0 troubles"
        );
        let idle = Glance { answers: 0, bytes: 0, trouble: 2, ..glance };
        assert_eq!(text(&idle), "   3 s running: 10,000 open, 2 troubles");
    }
}
