//! The table grammar: the same names as in the text, such as `{length = "u16be", offset = 4}`.

use bytesize::ByteSize;

use super::draft::{self, Draft};
use super::grammar;
use super::spec::Spec;
use crate::text::Printable;

/// 1 TiB, as for every size that the server takes.
const LARGEST_SIZE: i64 = 1 << 40;

/// The value of a field in a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field<'a> {
    /// A string.
    Text(&'a [u8]),
    /// A number.
    Number(f64),
    /// A boolean.
    Flag(bool),
    /// Anything else: its type.
    Other(&'static str),
}

impl Field<'_> {
    /// As `KEY expects WHAT, got THIS`.
    pub(super) fn refusal(&self, key: &str, what: &str) -> String {
        let got = match self {
            Field::Text(text) => format!("'{:.64}'", Printable(text)),
            Field::Number(number) => number.to_string(),
            Field::Flag(_) => "boolean".to_owned(),
            Field::Other(name) => (*name).to_owned(),
        };
        format!("{key} expects {what}, got {got}")
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Field::Text(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// A number without a fraction.
    pub(super) fn whole(&self) -> Option<i64> {
        match self {
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
            Field::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
                Some(*number as i64)
            }
            Field::Text(_) => self.text()?.parse().ok(),
            _ => None,
        }
    }

    /// Bytes, with a unit or without.
    pub(super) fn size(&self) -> Option<usize> {
        let bytes = match self {
            Field::Text(_) => {
                i64::try_from(self.text()?.parse::<ByteSize>().ok()?.as_u64()).ok()?
            }
            _ => self.whole()?,
        };
        usize::try_from(bytes).ok().filter(|_| bytes <= LARGEST_SIZE)
    }
}

impl Spec {
    /// Reads the table grammar; the fields may come in any order. A field without a name is the
    /// positional one, a whole text, whose options the others override or join.
    ///
    /// # Errors
    /// What was expected, and the nearest right word.
    pub fn from_fields(fields: &[(String, Field<'_>)]) -> Result<Self, String> {
        let mut draft = Draft::default();
        if let Some((_, field)) = fields.iter().find(|(name, _)| name.is_empty()) {
            match field.text() {
                Some(text) => grammar::read(text, &mut draft)?,
                None => return Err(field.refusal("a framing", "a kind, for example \"line\"")),
            }
        }
        for (name, field) in fields.iter().filter(|(name, _)| !name.is_empty()) {
            match name.as_str() {
                name if draft::is_kind(name) => draft.kind(name, Some(field))?,
                name => draft.option(name, field)?,
            }
        }
        draft.finish()
    }

    /// Reads the fields beside a framing function of the script (its own, the positional one, is
    /// not looked at): the limit, if there is one.
    ///
    /// # Errors
    /// For anything but a limit.
    pub fn custom_max(fields: &[(String, Field<'_>)]) -> Result<Option<usize>, String> {
        let mut draft = Draft::default();
        for (name, field) in fields.iter().filter(|(name, _)| !name.is_empty()) {
            if draft::is_kind(name) {
                return Err(format!("expected one kind of framing, got a function and {name}"));
            }
            draft.option(name, field)?;
        }
        match draft.foreign() {
            Some(key) => Err(format!("a framing function takes max only, got {key}")),
            None => Ok(draft.max()),
        }
    }
}
