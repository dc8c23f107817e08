//! A fault as a person reads it: what failed and where, the source around it, the connection and
//! the message, the way there, and a hint. Reporting it, and how often, is `report`'s business.

use std::fmt::{self, Write};
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::hint::hint;
use super::host::Label;
use super::raw::Frame;
use super::trouble::Trouble;
use crate::conn::Conn;
use crate::script::Bundle;
use crate::text::Printable;

/// Lines of source shown before and after the one at fault.
const NEIGHBOURS: usize = 2;

/// Longer lines, of a JSON file that no person wrote, are not shown.
const LONGEST_LINE: usize = 500;

/// How much of a message is shown, as text and as hexadecimal digits.
const SHOWN_MESSAGE: usize = 64;

/// A script's failure.
#[derive(Debug, Clone)]
pub struct Fault {
    what: String,
    /// The error's text without its place.
    text: String,
    place: Option<Place>,
    frames: Vec<Frame>,
    conn: Option<String>,
    message: Option<Vec<u8>>,
    label: Label,
    bundle: Arc<Bundle>,
}

/// A line of a file of the script.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    source: String,
    line: usize,
}

/// A place that the way to a fault led through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed<'a> {
    /// The file as people are shown it.
    pub file: &'a str,
    /// The line, from 1 on.
    pub line: usize,
    /// The function, where it has a name.
    pub function: Option<&'a str>,
}

impl Fault {
    /// The script could not be loaded.
    pub(super) fn loading(trouble: Trouble, label: &Label, bundle: &Arc<Bundle>) -> Self {
        let what = format!("{} cannot be loaded", bundle.main().shown());
        Self::new(what, trouble, label, bundle)
    }

    /// A worker came to no answer about the script.
    #[must_use]
    pub fn unanswered(number: u64, bundle: &Arc<Bundle>) -> Self {
        let label = Label { number, hash: bundle.digest().to_string().into() };
        Self::loading(Trouble::raised("a worker ended while it loaded it"), &label, bundle)
    }

    /// A callback failed.
    pub(super) fn callback(
        name: &str,
        trouble: Trouble,
        label: &Label,
        bundle: &Arc<Bundle>,
    ) -> Self {
        Self::new(format!("{name} failed"), trouble, label, bundle)
    }

    fn new(what: String, trouble: Trouble, label: &Label, bundle: &Arc<Bundle>) -> Self {
        let (place, text) = split_place(&trouble.text, bundle);
        let innermost = trouble.frames.first();
        let place = place.or_else(|| {
            innermost.map(|frame| Place { source: frame.source.clone(), line: frame.line })
        });
        Self {
            what,
            text,
            place,
            frames: trouble.frames,
            conn: None,
            message: None,
            label: label.clone(),
            bundle: Arc::clone(bundle),
        }
    }

    /// Says which connection it was about, and which message.
    pub(super) fn about(mut self, conn: Option<&Conn>, message: Option<&[u8]>) -> Self {
        self.conn = conn.map(ToString::to_string);
        self.message = message.map(<[u8]>::to_vec);
        self
    }

    /// The number of the generation it happened in.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.label.number
    }

    /// The hash of that generation's content, as log lines have it.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.label.hash
    }

    /// One line: what failed, where and why.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("{}: {}", self.what, self.text())
    }

    /// What `on_error` gets: the error's text with its place.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.place {
            Some(place) => format!("{}:{}: {}", place.source, place.line, self.text),
            None => self.text.clone(),
        }
    }

    /// The file of the script that returns the handler, as people are shown it.
    #[must_use]
    pub fn script(&self) -> &str {
        self.bundle.main().shown()
    }

    /// Why it failed: the error's text without its place.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.text
    }

    /// The file at fault as people are shown it, and the line in it, from 1 on.
    #[must_use]
    pub fn place(&self) -> Option<(&str, usize)> {
        self.place.as_ref().map(|place| (place.source.as_str(), place.line))
    }

    /// The column at which the text of the line at fault begins, from 1 on: Luau tells lines only.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        let place = self.place.as_ref()?;
        let line = self.bundle.line(&place.source, place.line)?;
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        (!line.trim().is_empty()).then_some(indent + 1)
    }

    /// The way to it, innermost first.
    pub fn trace(&self) -> impl Iterator<Item = Passed<'_>> {
        self.frames.iter().map(|frame| Passed {
            file: &frame.source,
            line: frame.line,
            function: frame.name.as_deref(),
        })
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        let line =
            self.place.as_ref().and_then(|place| self.bundle.line(&place.source, place.line));
        hint(&self.text, line.as_deref().unwrap_or_default())
    }

    /// The same for all repeats of a fault: what failed, and where, or why.
    pub(super) fn key(&self) -> String {
        match &self.place {
            Some(place) => {
                format!("{} {} {}:{}", self.label.number, self.what, place.source, place.line)
            }
            None => format!("{} {}", self.label.number, self.summary()),
        }
    }

    fn excerpt(&self) -> Option<String> {
        let place = self.place.as_ref()?;
        let first = place.line.saturating_sub(NEIGHBOURS).max(1);
        let mut source = String::new();
        let mut span = 0..0;
        for number in first..=place.line.saturating_add(NEIGHBOURS) {
            let Some(line) = self.bundle.line(&place.source, number) else { break };
            let line = line.trim_end();
            if line.len() > LONGEST_LINE {
                return None;
            }
            if number == place.line {
                let indent = line.len() - line.trim_start().len();
                span = source.len() + indent..source.len() + line.len();
            }
            source.push_str(line);
            source.push('\n');
        }
        // Not so for a line that the file does not have, which an error's own text may name.
        if span.is_empty() {
            return None;
        }
        source.pop();
        let snippet = Snippet::source(source)
            .path(place.source.clone())
            .line_start(first)
            .fold(false)
            .annotation(AnnotationKind::Primary.span(span));
        let group = Group::with_level(Level::WARNING).element(snippet);
        Some(Renderer::plain().render(&[group]))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())?;
        if let Some(excerpt) = self.excerpt() {
            write!(f, "\n{}", excerpt.trim_end())?;
        }
        if let Some(hint) = self.hint() {
            write!(f, "\n  hint: {hint}")?;
        }
        if let Some(conn) = &self.conn {
            write!(f, "\n  connection: {}", Printable(conn.as_bytes()))?;
        }
        if let Some(message) = &self.message {
            write!(f, "\n  message: \"{:.SHOWN_MESSAGE$}\"", Printable(message))?;
            write!(f, " ({})", hex(message)?)?;
        }
        if !self.frames.is_empty() {
            f.write_str("\n  traceback:")?;
        }
        for frame in &self.frames {
            write!(f, "\n    {}:{}", frame.source, frame.line)?;
            if let Some(name) = &frame.name {
                write!(f, " in {name}")?;
            }
        }
        Ok(())
    }
}

fn hex(message: &[u8]) -> Result<String, fmt::Error> {
    let mut digits = String::new();
    for (index, byte) in message.iter().take(SHOWN_MESSAGE).enumerate() {
        let space = if index == 0 { "" } else { " " };
        write!(digits, "{space}{byte:02x}")?;
    }
    if message.len() > SHOWN_MESSAGE {
        digits.push_str(" ...");
    }
    Ok(digits)
}

/// Takes `file:line: ` off the front of an error's text, where the file is one of the bundle's.
fn split_place(text: &str, bundle: &Bundle) -> (Option<Place>, String) {
    for file in bundle.files() {
        let Some(rest) = text.strip_prefix(file.shown()).and_then(|rest| rest.strip_prefix(':'))
        else {
            continue;
        };
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let Ok(line) = rest[..digits].parse() else { continue };
        let text = rest[digits..].strip_prefix(':').unwrap_or(&rest[digits..]).trim_start();
        return (Some(Place { source: file.shown().to_owned(), line }), text.to_owned());
    }
    (None, text.to_owned())
}
