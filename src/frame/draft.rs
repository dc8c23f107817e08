//! What kinds and options there are, and what each may be, in the text as in a table.

use super::counted::{Length, Number};
use super::fields::Field;
use super::spec::{Kind, Spec};
use crate::text::{Printable, nearest};

/// The kinds that can be asked for, but for `all`, which is for a read.
const KINDS: [&str; 7] = ["raw", "line", "crlf", "delimiter", "length", "fixed", "netstring"];

const OPTIONS: [&str; 4] = ["max", "offset", "adjust", "header"];

const LONGEST_DELIMITER: usize = 256;

/// Beyond any header.
const LARGEST_OFFSET: usize = 65535;

/// A framing of which not all has been read.
#[derive(Default)]
pub(super) struct Draft {
    kind: Option<Kind>,
    max: Option<usize>,
    offset: Option<usize>,
    adjust: Option<i32>,
    keep: Option<bool>,
}

impl Draft {
    /// Takes a kind, with the value behind its colon or of its field.
    pub(super) fn kind(&mut self, name: &str, value: Option<&Field<'_>>) -> Result<(), String> {
        let kind = match (bare(name), value) {
            (Some(kind), None | Some(Field::Flag(true))) => kind,
            (Some(_), Some(Field::Flag(false))) => return Ok(()),
            (Some(_), Some(Field::Text(_))) => {
                return Err(format!("{name} takes no value; options go as in {name},max=64KiB"));
            }
            (Some(_), Some(field)) => return Err(field.refusal(name, "true")),
            (None, value) => valued(name, value)?,
        };
        if let Some(first) = &self.kind {
            let (first, second) = (first.name(), kind.name());
            return Err(format!("expected one kind of framing, got {first} and {second}"));
        }
        self.kind = Some(kind);
        Ok(())
    }

    /// Takes an option, in the place of one that was there.
    pub(super) fn option(&mut self, key: &str, value: &Field<'_>) -> Result<(), String> {
        let (taken, what) = match key {
            "max" => {
                self.max = value.size().filter(|size| *size > 0);
                (self.max.is_some(), "a size above zero, for example 65536 or 64KiB")
            }
            "offset" => {
                let offset = value.whole().and_then(|offset| usize::try_from(offset).ok());
                self.offset = offset.filter(|offset| *offset <= LARGEST_OFFSET);
                (self.offset.is_some(), "a whole number from 0 to 65535")
            }
            "adjust" => {
                self.adjust = value.whole().and_then(|adjust| i32::try_from(adjust).ok());
                (self.adjust.is_some(), "a whole number of bytes, for example -4")
            }
            "header" => {
                self.keep = match value.text() {
                    Some("keep") => Some(true),
                    Some("strip") => Some(false),
                    _ => None,
                };
                (self.keep.is_some(), "keep or strip")
            }
            "timeout" => return Err("timeout is for conn:read only".to_owned()),
            other => {
                let shown = Printable(other.as_bytes());
                let hint = did_you_mean(other, &[&OPTIONS[..], &KINDS].concat());
                return Err(format!("there is no '{shown:.64}' in a framing{hint}"));
            }
        };
        if taken { Ok(()) } else { Err(value.refusal(key, what)) }
    }

    /// The limit, if it was given.
    pub(super) fn max(&self) -> Option<usize> {
        self.max
    }

    /// The first option that only a length field can have.
    pub(super) fn foreign(&self) -> Option<&'static str> {
        let given = [self.offset.is_some(), self.adjust.is_some(), self.keep.is_some()];
        OPTIONS[1..].iter().zip(given).find_map(|(key, given)| given.then_some(*key))
    }

    /// The whole.
    pub(super) fn finish(self) -> Result<Spec, String> {
        let foreign = self.foreign();
        let Some(mut kind) = self.kind else {
            return Err(format!("expected a framing: {}", kinds()));
        };
        if let Kind::Length(length) = &mut kind {
            length.offset = self.offset.unwrap_or(0);
            length.adjust = self.adjust.unwrap_or(0);
            length.keep = self.keep.unwrap_or(false);
            if length.offset > 0 && !length.keep {
                return Err("an offset needs header=keep".to_owned());
            }
        } else if let Some(key) = foreign {
            return Err(format!("{key} is for length, not for {}", kind.name()));
        }
        Ok(Spec { kind, max: self.max })
    }
}

/// Whether there is a kind of that name.
pub(super) fn is_kind(name: &str) -> bool {
    name == "all" || KINDS.contains(&name)
}

/// A kind that has no value.
fn bare(name: &str) -> Option<Kind> {
    Some(match name {
        "raw" => Kind::Raw,
        "all" => Kind::All,
        "line" => Kind::Line,
        "crlf" => Kind::Crlf,
        "netstring" => Kind::Netstring,
        _ => return None,
    })
}

/// A kind that has a value.
fn valued(name: &str, value: Option<&Field<'_>>) -> Result<Kind, String> {
    let example = match name {
        "delimiter" => "delimiter:0x00",
        "length" => "length:u16be",
        "fixed" => "fixed:12",
        other => {
            let shown = Printable(other.as_bytes());
            let hint = did_you_mean(other, &KINDS);
            return Err(format!("expected {}, got '{shown:.64}'{hint}", kinds()));
        }
    };
    let Some(value) = value else {
        return Err(format!("{name} needs a value, for example {example}"));
    };
    match name {
        "delimiter" => delimiter(value),
        "length" => length(value),
        _ => match value.size() {
            Some(size) => Ok(Kind::Fixed(size)),
            None => Err(value.refusal(name, "a number of bytes, for example 12")),
        },
    }
}

fn delimiter(value: &Field<'_>) -> Result<Kind, String> {
    match value {
        Field::Text(bytes) if (1..=LONGEST_DELIMITER).contains(&bytes.len()) => {
            Ok(Kind::Delimiter((*bytes).into()))
        }
        Field::Text(bytes) => {
            Err(format!("delimiter expects 1 to {LONGEST_DELIMITER} bytes, got {}", bytes.len()))
        }
        other => Err(other.refusal("delimiter", "a string")),
    }
}

fn length(value: &Field<'_>) -> Result<Kind, String> {
    let word = value.text().unwrap_or_default();
    if let Some(&(_, field)) = Number::NAMES.iter().find(|(known, _)| *known == word) {
        return Ok(Kind::Length(Length { field, offset: 0, adjust: 0, keep: false }));
    }
    let refusal = value.refusal("length", "u8, u16be, u16le, u24be, u32be, u32le or varint");
    Err(refusal + &did_you_mean(word, &Number::NAMES.map(|(name, _)| name)))
}

fn kinds() -> String {
    format!("{} or netstring", KINDS[..KINDS.len() - 1].join(", "))
}

fn did_you_mean(wanted: &str, known: &[&str]) -> String {
    // A word of that length is none of them, and comparing takes its time.
    let wanted = Some(wanted).filter(|wanted| wanted.len() <= 64).unwrap_or_default();
    match nearest(&wanted.to_lowercase(), known.iter().copied()) {
        Some(near) => format!("; did you mean {near}?"),
        None => String::new(),
    }
}
