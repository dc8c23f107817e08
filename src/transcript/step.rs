//! What one line of a dialogue says, and how it is written.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::pattern::{BytesPattern, LinePattern};
use super::quoted::{Hex, Masked, Quoted};
use super::template::{Part, Template, Text};
use super::words::{FileName, Line, Name};

/// One step. Its text is one line of a file, without the end of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The client or upstream; `None` is the client without a name.
    pub who: Option<Name>,
    /// What happens.
    pub action: Action,
}

/// What happens in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `>`: it sends.
    Send(Payload),
    /// `<`: it is to receive.
    Expect(Wanted),
    /// `=`: time passes, more than none.
    Pass(Duration),
    /// `!>`: it does something else.
    Do(Deed),
    /// `!<`: something else is to be seen.
    See(Sight),
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// `>`, or `>$` with variables: text and the end of line.
    Text(Text),
    /// `>>`, or `>>$` with variables: exact bytes.
    Bytes(Template),
    /// `>x`: exact bytes.
    Hex(Vec<u8>),
}

/// What is to be received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// `<`, or `<$` with variables: text and the end of line.
    Text(Text),
    /// `<<`, or `<<$` with variables: exact bytes.
    Bytes(Template),
    /// `<x`: exact bytes, `None` being any.
    Hex(Vec<Option<u8>>),
    /// `<~`: a line in which this is found.
    Line(LinePattern),
    /// `<<~`: bytes that match this, as few as can.
    Pattern(BytesPattern),
}

/// What is done to a connection or the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// `connect`: it connects, anew where it was connected.
    Connect,
    /// `eof`: it ends its sending side.
    Eof,
    /// `close`: it closes.
    Close,
    /// `reset`: it breaks the connection off.
    Reset,
    /// `reload FILE`: the handler is replaced by that file.
    Reload(FileName),
}

/// What is to be seen besides bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// `eof`: the other side has ended its sending side.
    Eof,
    /// `reset`: the other side has broken the connection off.
    Reset,
    /// `silence DURATION`: nothing arrives for so long, which is more than no time.
    Silence(Duration),
    /// `log TEXT`: a line of the handler's log holds this text.
    Log(Line),
    /// `reject TEXT`: a message was rejected for a reason that holds this text.
    Reject(Line),
    /// `fault TEXT`: the handler failed with an error that holds this text.
    Fault(Line),
}

impl Display for Step {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.who {
            name.fmt(out)?;
        }
        match &self.action {
            Action::Send(Payload::Text(text)) => write_text(out, '>', text),
            Action::Send(Payload::Bytes(bytes)) => write_bytes(out, ">>", bytes),
            Action::Send(Payload::Hex(bytes)) => write!(out, ">x{}", Hex(bytes)),
            Action::Expect(Wanted::Text(text)) => write_text(out, '<', text),
            Action::Expect(Wanted::Bytes(bytes)) => write_bytes(out, "<<", bytes),
            Action::Expect(Wanted::Hex(bytes)) => write!(out, "<x{}", Masked(bytes)),
            Action::Expect(Wanted::Line(pattern)) => write_word(out, "<~", pattern.text()),
            Action::Expect(Wanted::Pattern(pattern)) => write_word(out, "<<~", pattern.text()),
            Action::Pass(time) => write!(out, "= {}", humantime::format_duration(*time)),
            Action::Do(deed) => write!(out, "!> {deed}"),
            Action::See(sight) => write!(out, "!< {sight}"),
        }
    }
}

impl Display for Deed {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => out.write_str("connect"),
            Self::Eof => out.write_str("eof"),
            Self::Close => out.write_str("close"),
            Self::Reset => out.write_str("reset"),
            Self::Reload(file) => write!(out, "reload {file}"),
        }
    }
}

impl Display for Sight {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eof => out.write_str("eof"),
            Self::Reset => out.write_str("reset"),
            Self::Silence(time) => write!(out, "silence {}", humantime::format_duration(*time)),
            Self::Log(text) => write_word(out, "log", text),
            Self::Reject(text) => write_word(out, "reject", text),
            Self::Fault(text) => write_word(out, "fault", text),
        }
    }
}

/// A word and the text behind it; nothing behind it for an empty text.
fn write_word(out: &mut Formatter<'_>, word: &str, text: &Line) -> fmt::Result {
    let space = if text.as_str().is_empty() { "" } else { " " };
    write!(out, "{word}{space}{text}")
}

fn write_text(out: &mut Formatter<'_>, sign: char, text: &Text) -> fmt::Result {
    let template = text.template();
    let dollar = if template.has_variables() { "$" } else { "" };
    let space = if template.parts().is_empty() { "" } else { " " };
    write!(out, "{sign}{dollar}{space}")?;
    for part in template.parts() {
        match part {
            Part::Literal(bytes) => {
                // It is UTF-8, as the type says.
                let text = String::from_utf8_lossy(bytes);
                let doubled = if dollar.is_empty() { text } else { text.replace('$', "$$").into() };
                out.write_str(&doubled)?;
            }
            Part::Variable(name) => write!(out, "${{{name}}}")?,
        }
    }
    Ok(())
}

fn write_bytes(out: &mut Formatter<'_>, sign: &str, template: &Template) -> fmt::Result {
    let dollar = if template.has_variables() { "$" } else { "" };
    write!(out, "{sign}{dollar} \"")?;
    for part in template.parts() {
        match part {
            Part::Literal(bytes) => {
                let text = Quoted(bytes).to_string();
                let doubled = if dollar.is_empty() { text } else { text.replace('$', "$$") };
                out.write_str(&doubled)?;
            }
            Part::Variable(name) => write!(out, "${{{name}}}")?,
        }
    }
    out.write_str("\"")
}
