//! Text to steps, line by line.

mod hint;
pub(super) mod word;

use std::collections::BTreeSet;

use memchr::memchr;

use super::directive::{Directives, duration};
use super::field::Field;
use super::mistake::{Mistake, Mistakes, Slip};
use super::pattern::{BytesPattern, LinePattern};
use super::quoted::{read_hex, read_quoted, read_text};
use super::step::{Action, Payload, Step, Wanted};
use super::template::{Template, Text};
use super::words::{Line, Name, is_letter};
use super::{Dialogue, Placed};
use crate::net::Transport;
use hint::{no_sign, no_space, not_utf8};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What a line does, by the sign behind its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Text(Way),
    TextTemplate(Way),
    Bytes(Way),
    BytesTemplate(Way),
    Hex(Way),
    Line,
    Pattern,
    Pass,
    Do,
    See,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Out,
    In,
}

/// The signs, those before others that they begin with.
pub(super) const SIGNS: [(&str, Sign); 15] = [
    (">>$", Sign::BytesTemplate(Way::Out)),
    ("<<$", Sign::BytesTemplate(Way::In)),
    ("<<~", Sign::Pattern),
    (">>", Sign::Bytes(Way::Out)),
    ("<<", Sign::Bytes(Way::In)),
    (">$", Sign::TextTemplate(Way::Out)),
    ("<$", Sign::TextTemplate(Way::In)),
    (">x", Sign::Hex(Way::Out)),
    ("<x", Sign::Hex(Way::In)),
    ("<~", Sign::Line),
    (">", Sign::Text(Way::Out)),
    ("<", Sign::Text(Way::In)),
    ("=", Sign::Pass),
    ("!>", Sign::Do),
    ("!<", Sign::See),
];

/// Reads a whole file.
pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Dialogue, Mistakes> {
    let mut parser = Parser::default();
    let mut mistakes = Mistakes::new(file);
    for (line, text) in lines(bytes) {
        if let Err(slip) = parser.line(line, text)
            && !mistakes.push(Mistake::new(line, text, slip))
        {
            break;
        }
    }
    if mistakes.list.is_empty() {
        let Parser { directives, steps, .. } = parser;
        return Ok(Dialogue { file: file.to_owned(), directives, steps });
    }
    Err(mistakes)
}

/// The lines, numbered from 1 on: LF ends one, a CR before it or before the end of the file
/// belongs to the end. A byte order mark is no part of the first.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let mut number = 0;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        number += 1;
        Some((number, line.strip_suffix(b"\r").unwrap_or(line)))
    })
}

#[derive(Default)]
struct Parser {
    directives: Directives,
    steps: Vec<Placed>,
    /// The variables that are set so far.
    variables: BTreeSet<Name>,
    /// The end of line, known once the directives are over.
    eol: Vec<u8>,
}

impl Parser {
    fn line(&mut self, number: usize, line: &[u8]) -> Result<(), Slip> {
        let text =
            str::from_utf8(line).map_err(|error| not_utf8(number, line, error.valid_up_to()))?;
        let field = Field { text, at: 0 };
        if text.starts_with('#') || field.trim().text.is_empty() {
            return Ok(());
        }
        if text.starts_with('@') {
            if !self.steps.is_empty() {
                return Err(field.slip("expected a step; directives stand above the first step"));
            }
            return self.directives.read(field.skip(1));
        }
        if self.steps.is_empty() {
            self.eol = self.directives.eol();
        }
        let step = self.step(field)?;
        self.steps.push(Placed { line: number, step });
        Ok(())
    }

    fn step(&mut self, field: Field<'_>) -> Result<Step, Slip> {
        let letters = field.text.bytes().take_while(|&byte| is_letter(byte)).count();
        let who = Name::new(&field.text[..letters]);
        let behind = field.skip(letters);
        let sign = SIGNS.iter().find(|(sign, _)| behind.text.starts_with(sign));
        let Some((word, sign)) = sign else { return Err(no_sign(field, behind)) };
        let payload = behind.skip(word.len());
        let payload = match payload.text.as_bytes().first() {
            None => payload,
            Some(b' ') => payload.skip(1),
            Some(_) => return Err(no_space(word, behind)),
        };
        let action = self.action(who.as_ref(), *sign, behind, payload)?;
        Ok(Step { who, action })
    }

    /// `sign` is where the sign begins.
    fn action(
        &mut self,
        who: Option<&Name>,
        kind: Sign,
        sign: Field<'_>,
        payload: Field<'_>,
    ) -> Result<Action, Slip> {
        let names = Some(&self.variables);
        match kind {
            Sign::Text(way) => text(way, read_text(payload, None)?, payload),
            Sign::TextTemplate(way) => text(way, read_text(payload, names)?, payload),
            Sign::Bytes(way) => Ok(bytes(way, read_quoted(payload, None)?)),
            Sign::BytesTemplate(way) => Ok(bytes(way, read_quoted(payload, names)?)),
            Sign::Hex(Way::In) => Ok(Action::Expect(Wanted::Hex(read_hex(payload)?))),
            Sign::Hex(Way::Out) => {
                let bytes = read_hex(payload)?.into_iter().collect::<Option<_>>();
                let any = payload.skip(payload.text.find('?').unwrap_or(0));
                let problem =
                    "expected two hex digits a byte; ?? is any byte, which cannot be sent";
                bytes
                    .map(|bytes| Action::Send(Payload::Hex(bytes)))
                    .ok_or_else(|| any.slip(problem))
            }
            Sign::Line => self.line_pattern(who, sign, payload),
            Sign::Pattern => self.bytes_pattern(who, payload),
            Sign::Pass if who.is_some() => {
                Err(sign.slip("expected = without a name before it; time passes for all"))
            }
            Sign::Pass => Ok(Action::Pass(duration(payload.trim())?)),
            Sign::Do => self.deed(who, payload).map(Action::Do),
            Sign::See => self.sight(who, payload).map(Action::See),
        }
    }

    fn line_pattern(
        &mut self,
        who: Option<&Name>,
        sign: Field<'_>,
        payload: Field<'_>,
    ) -> Result<Action, Slip> {
        if self.eol.is_empty() && !self.transport(who).is_datagram() {
            return Err(sign.slip("expected <<~: there is no end of line by @eol or @framing"));
        }
        let pattern = LinePattern::new(line(payload)?).map_err(|slip| within(payload, slip))?;
        self.variables.extend(pattern.names().cloned());
        Ok(Action::Expect(Wanted::Line(pattern)))
    }

    fn bytes_pattern(&mut self, who: Option<&Name>, payload: Field<'_>) -> Result<Action, Slip> {
        let pattern = BytesPattern::new(line(payload)?).map_err(|slip| within(payload, slip))?;
        if pattern.takes_nothing() && !self.transport(who).is_datagram() {
            return Err(payload.slip(
                "expected a pattern that needs a byte; it takes as few bytes as it can, this one none",
            ));
        }
        self.variables.extend(pattern.names().cloned());
        Ok(Action::Expect(Wanted::Pattern(pattern)))
    }

    /// How the one connects who is named before a sign.
    fn transport(&self, who: Option<&Name>) -> Transport {
        let upstream = who.and_then(|name| self.directives.upstreams.get(name));
        upstream.map_or(self.directives.transport(), Transport::of)
    }
}

fn text(way: Way, template: Template, payload: Field<'_>) -> Result<Action, Slip> {
    // A line has no line end in it, so only a fault of ours could be told here.
    let text = Text::new(template).ok_or_else(|| payload.slip("expected text"))?;
    Ok(match way {
        Way::Out => Action::Send(Payload::Text(text)),
        Way::In => Action::Expect(Wanted::Text(text)),
    })
}

fn bytes(way: Way, bytes: Template) -> Action {
    match way {
        Way::Out => Action::Send(Payload::Bytes(bytes)),
        Way::In => Action::Expect(Wanted::Bytes(bytes)),
    }
}

/// The payload as it stands.
fn line(payload: Field<'_>) -> Result<Line, Slip> {
    Line::new(payload.text).ok_or_else(|| payload.slip("expected text"))
}

/// A slip within a payload, as one of the line.
fn within(payload: Field<'_>, slip: Slip) -> Slip {
    Slip { at: payload.at + slip.at, ..slip }
}
