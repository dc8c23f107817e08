//! A framing as it was asked for, and how it comes into force.

use std::fmt::{self, Display, Formatter};
use std::rc::Rc;

use super::counted::{Length, Number};
use super::terminated::Delimiter;
use super::{Codec, Framing, RAW_MOST, grammar};

/// A framing as it was asked for. It is plain data, which a worker can be sent; a function of the
/// script is none, see [`Framing::custom`]. Its text can be parsed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    pub(super) kind: Kind,
    /// The bytes that a message may have, if it was said.
    pub max: Option<usize>,
}

/// How messages are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Raw,
    All,
    Line,
    Crlf,
    /// Not empty.
    Delimiter(Box<[u8]>),
    Length(Length),
    Fixed(usize),
    Netstring,
}

impl Spec {
    /// Whatever one read returned.
    #[must_use]
    pub fn raw() -> Self {
        Self { kind: Kind::Raw, max: None }
    }

    /// Up to LF or CRLF.
    #[must_use]
    pub fn line() -> Self {
        Self { kind: Kind::Line, max: None }
    }

    /// As the framing of a connection, which every message goes by. `max_message` is the limit
    /// where none was said.
    ///
    /// # Errors
    /// For what only a single read can ask for, and a size that is above the limit.
    pub fn standing(&self, max_message: usize) -> Result<Framing, String> {
        let framing = self.once(max_message);
        let max = framing.max();
        match &self.kind {
            Kind::All => Err("all is for conn:read only".to_owned()),
            Kind::Fixed(0) => Err("fixed 0 is for conn:read only".to_owned()),
            Kind::Fixed(size) if *size > max => {
                Err(format!("fixed {size} is above the limit of {max} bytes; give a larger max"))
            }
            Kind::Length(length) if length.least() > max => Err(format!(
                "a header of {} bytes is above the limit of {max} bytes; give a larger max",
                length.least()
            )),
            _ => Ok(framing),
        }
    }

    /// For one read. A message that is bound to be above the limit is so at its first byte.
    #[must_use]
    pub fn once(&self, max_message: usize) -> Framing {
        let max = self.max.unwrap_or(max_message);
        let codec = match &self.kind {
            Kind::Raw => {
                return Framing {
                    codec: Codec::Raw,
                    max: self.max.unwrap_or(RAW_MOST).min(RAW_MOST),
                };
            }
            Kind::All => Codec::All,
            Kind::Line => Codec::Line,
            Kind::Crlf => Codec::Crlf,
            Kind::Delimiter(bytes) => Codec::Delimiter(Rc::new(Delimiter::new(bytes))),
            Kind::Length(length) => Codec::Length(*length),
            Kind::Fixed(size) => Codec::Fixed(*size),
            Kind::Netstring => Codec::Netstring,
        };
        Framing { codec, max }
    }
}

impl Framing {
    /// What it was asked for as, which can be parsed again; `max_message` is the limit that goes
    /// without saying. `None` for a function of the script.
    #[must_use]
    pub fn spec(&self, max_message: usize) -> Option<Spec> {
        let kind = match &self.codec {
            Codec::Raw => Kind::Raw,
            Codec::All => Kind::All,
            Codec::Line => Kind::Line,
            Codec::Crlf => Kind::Crlf,
            Codec::Delimiter(delimiter) => Kind::Delimiter(delimiter.bytes().into()),
            Codec::Length(length) => Kind::Length(*length),
            Codec::Fixed(size) => Kind::Fixed(*size),
            Codec::Netstring => Kind::Netstring,
            Codec::Custom(_) => return None,
        };
        let usual = if self.is_raw() { RAW_MOST } else { max_message };
        Some(Spec { kind, max: (self.max != usual).then_some(self.max) })
    }
}

impl Kind {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Kind::Raw => "raw",
            Kind::All => "all",
            Kind::Line => "line",
            Kind::Crlf => "crlf",
            Kind::Delimiter(_) => "delimiter",
            Kind::Length(_) => "length",
            Kind::Fixed(_) => "fixed",
            Kind::Netstring => "netstring",
        }
    }
}

impl Display for Spec {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(self.kind.name())?;
        match &self.kind {
            Kind::Delimiter(bytes) => write!(out, ":{}", grammar::escape(bytes))?,
            Kind::Length(length) => write!(out, "{length}")?,
            Kind::Fixed(size) => write!(out, ":{size}")?,
            _ => {}
        }
        match self.max {
            Some(max) => write!(out, ",max={max}"),
            None => Ok(()),
        }
    }
}

impl Display for Length {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let name = Number::NAMES.iter().find(|(_, field)| *field == self.field);
        write!(out, ":{}", name.map_or("", |(name, _)| name))?;
        if self.offset != 0 {
            write!(out, ",offset={}", self.offset)?;
        }
        if self.adjust != 0 {
            write!(out, ",adjust={}", self.adjust)?;
        }
        if self.keep { out.write_str(",header=keep") } else { Ok(()) }
    }
}
