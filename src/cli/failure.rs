//! How a command says why it failed.

use std::io::{self, Write};

use super::Exit;
use crate::text::Printable;

/// Tells why a command failed, `scriptsock NAME` or `scriptsock` itself.
#[must_use]
pub fn fail(name: &str, error: &anyhow::Error) -> Exit {
    tell(name, &format!("{error:#}"));
    Exit::Failed
}

/// Says something on standard error, where no name in it can fool a terminal.
pub fn tell(name: &str, text: &str) {
    // Without standard error nobody can be told; the status still says it.
    let _ = writeln!(io::stderr(), "{name}: {}", printable_lines(text));
}

/// A text of several lines, each of which holds nothing that a terminal could be fooled by.
#[must_use]
pub fn printable_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| Printable(line.as_bytes()).to_string()).collect();
    lines.join("\n")
}
