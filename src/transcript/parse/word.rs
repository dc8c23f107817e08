//! What stands behind `!>` and `!<`: a word, and perhaps its value.

use super::super::directive::duration;
use super::super::field::{Field, short};
use super::super::mistake::Slip;
use super::super::step::{Deed, Sight};
use super::super::words::{FileName, Name};
use super::{Parser, line};
use crate::text::nearest;

pub(in crate::transcript) const DEEDS: [&str; 5] = ["connect", "eof", "close", "reset", "reload"];

pub(in crate::transcript) const SIGHTS: [&str; 6] =
    ["eof", "reset", "silence", "log", "reject", "fault"];

impl Parser {
    /// What `!>` has done.
    pub(super) fn deed(&self, who: Option<&Name>, payload: Field<'_>) -> Result<Deed, Slip> {
        let (word, value) = payload.split_word();
        let deed = match word.text {
            "connect" => Deed::Connect,
            "eof" => Deed::Eof,
            "close" => Deed::Close,
            "reset" => Deed::Reset,
            "reload" => {
                let file = FileName::new(value.trim().text);
                Deed::Reload(file.ok_or_else(|| value.trim().slip("expected a file's name"))?)
            }
            _ => return Err(unknown(word, &DEEDS)),
        };
        match deed {
            Deed::Reload(_) => not_named(who, word)?,
            Deed::Connect if who.is_some_and(|name| self.is_upstream(name)) => {
                return Err(word.slip("expected no connect by an upstream; the handler connects"));
            }
            Deed::Eof | Deed::Reset => self.only_streams(who, word)?,
            _ => {}
        }
        if !matches!(deed, Deed::Reload(_)) {
            nothing_in(value, word)?;
        }
        Ok(deed)
    }

    /// What `!<` has seen.
    pub(super) fn sight(&self, who: Option<&Name>, payload: Field<'_>) -> Result<Sight, Slip> {
        let (word, value) = payload.split_word();
        match word.text {
            "eof" | "reset" => {
                self.only_streams(who, word)?;
                nothing_in(value, word)?;
                return Ok(if word.text == "eof" { Sight::Eof } else { Sight::Reset });
            }
            "silence" => return Ok(Sight::Silence(duration(value.trim())?)),
            "log" | "reject" | "fault" => not_named(who, word)?,
            _ => return Err(unknown(word, &SIGHTS)),
        }
        let text = line(value)?;
        Ok(match word.text {
            "log" => Sight::Log(text),
            "reject" => Sight::Reject(text),
            _ => Sight::Fault(text),
        })
    }

    fn is_upstream(&self, name: &Name) -> bool {
        self.directives.upstreams.contains_key(name)
    }

    /// Refuses what datagrams do not have.
    fn only_streams(&self, who: Option<&Name>, word: Field<'_>) -> Result<(), Slip> {
        let transport = self.transport(who);
        if transport.is_datagram() {
            return Err(word.slip(format!("expected no {}: {transport} has none", word.text)));
        }
        Ok(())
    }
}

/// Refuses a name before what is the server's.
fn not_named(who: Option<&Name>, word: Field<'_>) -> Result<(), Slip> {
    match who {
        Some(name) => Err(word.slip(format!(
            "expected no name before the sign: {} is the server's, not that of {}",
            word.text,
            short(name.as_str())
        ))),
        None => Ok(()),
    }
}

fn nothing_in(value: Field<'_>, word: Field<'_>) -> Result<(), Slip> {
    let rest = value.trim();
    match rest.text {
        "" => Ok(()),
        text => {
            let problem = format!("expected nothing behind {}, got {}", word.text, short(text));
            Err(rest.slip(problem))
        }
    }
}

fn unknown(word: Field<'_>, words: &[&'static str]) -> Slip {
    let hint = nearest(word.text, words.iter().copied());
    let hint = hint.map(|word| format!("; did you mean {word}")).unwrap_or_default();
    word.slip(format!("expected {}, got {}{hint}", words.join(", "), short(word.text)))
}
