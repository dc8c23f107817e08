//! The results of dialogues as a person reads them.

use std::io::{self, Write};
use std::time::Duration;

use crate::simulation::suite::{Trouble, Verdict};
use crate::text::Printable;

/// One result.
///
/// # Errors
/// Those of `out`.
pub(super) fn tell(out: &mut impl Write, verdict: &Verdict) -> io::Result<()> {
    let file = Printable(verdict.file.as_bytes()).to_string();
    let Some(trouble) = &verdict.trouble else {
        let steps = counted(verdict.steps, "step");
        let ways = match verdict.ways {
            0 | 1 => String::new(),
            ways => format!(", cut in {ways} ways"),
        };
        return writeln!(out, "ok    {file} ({steps}{ways})");
    };
    writeln!(out, "FAIL  {file}")?;
    write!(out, "{}", described(trouble))
}

/// What went wrong, each line indented and with its end.
pub(super) fn described(trouble: &Trouble) -> String {
    trouble.to_string().lines().flat_map(|line| ["      ", line, "\n"]).collect()
}

/// How many failed of how many, in a line.
///
/// # Errors
/// Those of `out`.
pub(super) fn sum_up(
    out: &mut impl Write,
    (failed, all): (usize, usize),
    took: Duration,
) -> io::Result<()> {
    let seconds = took.as_secs_f64();
    let all = counted(all, "dialogue");
    match failed {
        0 => writeln!(out, "\n{all} passed in {seconds:.2} s"),
        _ => writeln!(out, "\n{failed} of {all} failed in {seconds:.2} s"),
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
