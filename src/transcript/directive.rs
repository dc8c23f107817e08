//! What stands above the steps: `@handler FILE` and the like.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::time::Duration;

use super::field::{Field, short};
use super::mistake::Slip;
use super::words::{FileName, ListenerName, Name};
use crate::frame::{Framing, Spec};
use crate::net::Transport;
use crate::net::address::Address;
use crate::settings::parse_duration;
use crate::text::nearest;

/// The directives, with what each expects.
pub(super) const DIRECTIVES: [(&str, &str); 9] = [
    ("handler", "FILE"),
    ("listener", "a name of letters, digits, _ and -"),
    ("transport", "tcp, udp, unix or unixgram"),
    ("framing", "a framing, for example line"),
    ("eol", "lf, crlf or none"),
    ("timeout", "a duration, for example 5s"),
    ("seed", "a whole number"),
    ("peer", "NAME IP:PORT"),
    ("upstream", "NAME URL"),
];

/// What the directives of a dialogue say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directives {
    /// `@handler FILE`: the script that the dialogue is held with.
    pub handler: Option<FileName>,
    /// `@listener NAME`: the name of the listener that they come to.
    pub listener: Option<ListenerName>,
    /// `@transport tcp`: how clients connect.
    pub transport: Option<Transport>,
    /// `@framing line`: overrides the script's.
    pub framing: Option<Spec>,
    /// `@eol lf`: what `>` appends and `<` expects.
    pub eol: Option<Eol>,
    /// `@timeout 5s`: how long a step waits for what it expects.
    pub timeout: Option<Duration>,
    /// `@seed 7`: where the script's chance begins.
    pub seed: Option<u64>,
    /// `@peer NAME IP:PORT`: the address that a client is seen to have.
    pub peers: BTreeMap<Name, SocketAddr>,
    /// `@upstream NAME URL`: a server that the handler connects to.
    pub upstreams: BTreeMap<Name, Address>,
}

/// An end of line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eol {
    /// LF.
    Lf,
    /// CR LF.
    Crlf,
    /// Nothing: text is exact bytes.
    None,
}

impl Eol {
    const NAMES: [(&str, Self); 3] = [("lf", Self::Lf), ("crlf", Self::Crlf), ("none", Self::None)];

    /// The bytes.
    #[must_use]
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Self::Lf => b"\n",
            Self::Crlf => b"\r\n",
            Self::None => b"",
        }
    }
}

impl Directives {
    /// The transport, TCP unless it is said.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport.unwrap_or(Transport::Tcp)
    }

    /// The end of line: as it is said, else the terminator of the framing. That is nothing for a
    /// framing that counts, and LF where no framing is said or it is `raw`.
    #[must_use]
    pub fn eol(&self) -> Vec<u8> {
        match (self.eol, &self.framing) {
            (Some(eol), _) => eol.bytes().to_vec(),
            (None, Some(spec)) => eol_of(&spec.once(usize::MAX)),
            (None, None) => Eol::Lf.bytes().to_vec(),
        }
    }

    /// As [`Directives::eol`], where the framing of the handler's replies is known.
    #[must_use]
    pub fn eol_beside(&self, handlers: &Framing) -> Vec<u8> {
        if self.eol.is_some() || self.framing.is_some() { self.eol() } else { eol_of(handlers) }
    }

    /// Takes what stands behind the `@`.
    pub(super) fn read(&mut self, field: Field<'_>) -> Result<(), Slip> {
        let (word, value) = field.split_word();
        let Some((name, expected)) = DIRECTIVES.iter().find(|(name, _)| *name == word.text) else {
            return Err(unknown(word));
        };
        let trimmed = value.trim();
        if trimmed.text.is_empty() {
            return Err(trimmed.slip(format!("expected {expected} behind @{name}")));
        }
        if let Some(at) = value.text.find(char::is_control) {
            return Err(value.skip(at).slip("expected no control character in a directive"));
        }
        let twice = || word.slip(format!("@{name} is given twice; expected it once"));
        let wrong = || trimmed.slip(format!("expected {expected}, got {}", short(trimmed.text)));
        let once = match *name {
            "handler" => set(&mut self.handler, FileName::new(trimmed.text).ok_or_else(wrong)?),
            "listener" => {
                set(&mut self.listener, ListenerName::new(trimmed.text).ok_or_else(wrong)?)
            }
            "transport" => {
                set(&mut self.transport, Transport::named(trimmed.text).ok_or_else(wrong)?)
            }
            // A space may be its delimiter.
            "framing" => set(&mut self.framing, framing(value)?),
            "eol" => set(&mut self.eol, named(&Eol::NAMES, trimmed.text).ok_or_else(wrong)?),
            "timeout" => set(&mut self.timeout, duration(trimmed)?),
            "seed" => set(&mut self.seed, trimmed.text.parse().map_err(|_| wrong())?),
            "peer" => {
                let (name, address) = named_value(trimmed, expected)?;
                let parsed = address.text.parse().map_err(|_| {
                    address.slip(format!("expected IP:PORT, got {}", short(address.text)))
                })?;
                self.peers.insert(name, parsed).is_none()
            }
            _ => {
                let (name, url) = named_value(trimmed, expected)?;
                let parsed = url.text.parse::<Address>();
                let parsed = parsed.map_err(|error| url.slip(error.problem))?;
                self.upstreams.insert(name, parsed).is_none()
            }
        };
        if let Some(name) = self.peers.keys().find(|name| self.upstreams.contains_key(*name)) {
            return Err(trimmed
                .slip(format!("expected another name: {name} is both a client and an upstream")));
        }
        if once { Ok(()) } else { Err(twice()) }
    }
}

/// The terminator of a framing.
fn eol_of(framing: &Framing) -> Vec<u8> {
    if framing.is_raw() || framing.is_function() {
        return Eol::Lf.bytes().to_vec();
    }
    // In a datagram nothing but a terminator goes around a message.
    framing.affixes(0, true).map_or_else(|_| Vec::new(), |affixes| affixes.suffix.to_vec())
}

/// Sets what was not set before; false if it was.
fn set<T>(place: &mut Option<T>, value: T) -> bool {
    place.replace(value).is_none()
}

fn named<T: Copy>(names: &[(&str, T)], text: &str) -> Option<T> {
    names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value)
}

fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names.iter().find(|(_, named)| named == value).map_or("", |(name, _)| name)
}

fn unknown(word: Field<'_>) -> Slip {
    let names = DIRECTIVES.map(|(name, _)| name);
    let hint = nearest(word.text, names).map(|name| format!("; did you mean @{name}"));
    word.slip(format!(
        "expected one of @{}, got {}{}",
        names.join(" @"),
        short(word.text),
        hint.unwrap_or_default()
    ))
}

/// A duration as a step or a directive has it.
pub(super) fn duration(field: Field<'_>) -> Result<Duration, Slip> {
    parse_duration(field.text)
        .map_err(|why| field.slip(format!("{why}, got {}", short(field.text))))
}

fn framing(field: Field<'_>) -> Result<Spec, Slip> {
    let spec = Spec::parse(field.text).map_err(|problem| field.trim().slip(problem))?;
    let max = spec.max.unwrap_or(usize::MAX);
    spec.standing(max).map_err(|problem| field.trim().slip(problem))?;
    Ok(spec)
}

/// A name, and what is behind it.
fn named_value<'l>(field: Field<'l>, expected: &str) -> Result<(Name, Field<'l>), Slip> {
    let (word, value) = field.split_word();
    let name = Name::new(word.text).ok_or_else(|| {
        word.slip(format!("expected a name of letters, digits and _, got {}", short(word.text)))
    })?;
    let value = value.trim();
    if value.text.is_empty() {
        return Err(value.slip(format!("expected {expected}")));
    }
    Ok((name, value))
}

impl Display for Eol {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(name_of(&Self::NAMES, self))
    }
}

impl Display for Directives {
    /// One a line, each line with its end.
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let timeout = self.timeout.map(humantime::format_duration);
        write_one(out, "handler", self.handler.as_ref())?;
        write_one(out, "listener", self.listener.as_ref())?;
        write_one(out, "transport", self.transport)?;
        write_one(out, "framing", self.framing.as_ref())?;
        write_one(out, "eol", self.eol)?;
        write_one(out, "timeout", timeout)?;
        write_one(out, "seed", self.seed)?;
        self.peers.iter().try_for_each(|(name, to)| writeln!(out, "@peer {name} {to}"))?;
        self.upstreams.iter().try_for_each(|(name, to)| writeln!(out, "@upstream {name} {to}"))
    }
}

fn write_one(out: &mut Formatter<'_>, name: &str, value: Option<impl Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| writeln!(out, "@{name} {value}"))
}
