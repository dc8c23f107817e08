//! Bytes with variables in them, as `>$ use ${token}` sends them.

use std::borrow::Cow;
use std::collections::HashMap;

use super::words::{Name, fits_a_line};

/// Bytes, in which variables may stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template(Vec<Part>);

/// A piece of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// These bytes.
    Literal(Vec<u8>),
    /// What the variable holds.
    Variable(Name),
}

/// What the named groups of patterns have captured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables(HashMap<Name, Vec<u8>>);

impl Template {
    /// The pieces in a row; two literals side by side are one, empty ones are none.
    #[must_use]
    pub fn new(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut template = Self::default();
        for part in parts {
            match part {
                Part::Literal(bytes) => template.push_literal(&bytes),
                Part::Variable(_) => template.0.push(part),
            }
        }
        template
    }

    /// Bytes without variables.
    #[must_use]
    pub fn literal(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new([Part::Literal(bytes.into())])
    }

    /// More bytes at the end.
    pub(super) fn push_literal(&mut self, bytes: &[u8]) {
        match self.0.last_mut() {
            _ if bytes.is_empty() => {}
            Some(Part::Literal(last)) => last.extend_from_slice(bytes),
            _ => self.0.push(Part::Literal(bytes.to_vec())),
        }
    }

    /// A variable at the end.
    pub(super) fn push_variable(&mut self, name: Name) {
        self.0.push(Part::Variable(name));
    }

    /// The pieces.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Whether a variable stands in it.
    #[must_use]
    pub fn has_variables(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Variable(_)))
    }

    /// The bytes, each variable replaced by what it holds: nothing, if nothing was captured.
    #[must_use]
    pub fn fill(&self, variables: &Variables) -> Cow<'_, [u8]> {
        match &self.0[..] {
            [] => Cow::Borrowed(b""),
            [Part::Literal(bytes)] => Cow::Borrowed(bytes),
            parts => {
                let values = parts.iter().map(|part| match part {
                    Part::Literal(bytes) => bytes,
                    Part::Variable(name) => variables.value(name),
                });
                Cow::Owned(values.collect::<Vec<_>>().concat())
            }
        }
    }
}

/// A template as `>` and `<` hold one: to the end of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(Template);

impl Text {
    /// A template as text, if it can stand on a line: UTF-8, no LF in it, no CR at its end.
    #[must_use]
    pub fn new(template: Template) -> Option<Self> {
        let mut fits = true;
        for (at, part) in template.0.iter().enumerate() {
            if let Part::Literal(bytes) = part {
                let last = at + 1 == template.0.len();
                // Only the last piece has the end of the line behind it.
                let text = str::from_utf8(bytes).ok();
                let text = text.map(|text| if last { text } else { text.trim_end_matches('\r') });
                fits &= text.is_some_and(fits_a_line);
            }
        }
        fits.then_some(Self(template))
    }

    /// The text as bytes with variables.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.0
    }

    /// It with the end of line behind it.
    #[must_use]
    pub fn with_end(&self, eol: &[u8]) -> Template {
        let mut template = self.0.clone();
        template.push_literal(eol);
        template
    }
}

impl Variables {
    /// What a variable holds; nothing, if nothing was captured.
    #[must_use]
    pub fn value(&self, name: &Name) -> &[u8] {
        self.0.get(name).map_or(b"", Vec::as_slice)
    }

    /// Replaces what a variable holds.
    pub fn set(&mut self, name: &Name, value: &[u8]) {
        match self.0.get_mut(name) {
            Some(held) => value.clone_into(held),
            None => _ = self.0.insert(name.clone(), value.to_vec()),
        }
    }
}
