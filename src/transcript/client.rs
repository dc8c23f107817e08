//! What a plain client plays of a dialogue: the steps of one client, resolved.

use std::time::Duration;

use super::expect::Expectation;
use super::step::{Action, Deed, Payload, Sight};
use super::template::Template;
use super::words::Name;
use super::{Dialogue, Placed};
use crate::net::Transport;

/// The part of the one client of a dialogue.
#[derive(Debug, Clone)]
pub struct Client {
    /// The file, as its reader was told.
    pub file: String,
    /// What it does, in order; not empty.
    pub turns: Vec<Turn>,
    /// How long it waits for what it expects, if that is said.
    pub timeout: Option<Duration>,
}

/// One thing that a client does.
#[derive(Debug, Clone)]
pub struct Turn {
    /// The line of the file, from 1 on.
    pub line: usize,
    /// The step as it is written.
    pub text: String,
    /// What to do.
    pub kind: TurnKind,
}

/// What a client does.
#[derive(Debug, Clone)]
pub enum TurnKind {
    /// It sends this; one datagram, where it sends datagrams.
    Send(Template),
    /// It receives this; one datagram, where it receives datagrams.
    Expect(Expectation),
    /// It lets time pass.
    Pass(Duration),
    /// It connects, anew where it was connected.
    Connect,
    /// It ends its sending side.
    Eof,
    /// It closes.
    Close,
    /// It breaks the connection off.
    Reset,
    /// It sees the other side's end.
    SeeEof,
    /// It receives nothing for so long.
    Silence(Duration),
}

/// Why a dialogue cannot be played over a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unplayable {
    /// There is nothing to play.
    #[error("{file}: there is no step; expected one, such as: > hello")]
    Empty {
        /// The file.
        file: String,
    },
    /// It is meant for something else.
    #[error("{file}: this is for @transport {said}, not for {used}")]
    Transport {
        /// The file.
        file: String,
        /// What the dialogue says.
        said: Transport,
        /// What the client connects by.
        used: Transport,
    },
    /// A step cannot be played there.
    #[error("{file}:{line}: '{step}' cannot be played here: {why}")]
    Step {
        /// The file.
        file: String,
        /// The line of the step, from 1 on.
        line: usize,
        /// The step as it is written.
        step: String,
        /// What is missing.
        why: String,
    },
}

impl Dialogue {
    /// The part of its one client, who connects by `transport`.
    ///
    /// # Errors
    /// For the first step that needs more than one client: another one, an upstream, the
    /// handler's file or its log; and for what the transport does not have.
    pub fn client(&self, transport: Transport) -> Result<Client, Unplayable> {
        self.suits(transport)?;
        let file = || self.file.clone();
        // Time passes for all, and is nobody's.
        let is_someones = |placed: &&Placed| !matches!(placed.step.action, Action::Pass(_));
        let first = self.steps.iter().find(is_someones).and_then(|first| first.step.who.as_ref());
        let eol = self.directives.eol();
        let turns = self.steps.iter().map(|placed| {
            let Placed { line, step } = placed;
            let text = step.to_string();
            let own = if is_someones(&placed) { step.who.as_ref() } else { first };
            self.only(own, first)
                .and_then(|()| kind(&step.action, transport, &eol))
                .map(|kind| Turn { line: *line, text: text.clone(), kind })
                .map_err(|why| Unplayable::Step { file: file(), line: *line, step: text, why })
        });
        let turns = turns.collect::<Result<_, _>>()?;
        Ok(Client { file: file(), turns, timeout: self.directives.timeout })
    }

    /// Whether it can be played by this transport at all.
    pub(super) fn suits(&self, transport: Transport) -> Result<(), Unplayable> {
        let file = || self.file.clone();
        let said = self.directives.transport.unwrap_or(transport);
        if said.is_datagram() != transport.is_datagram() {
            return Err(Unplayable::Transport { file: file(), said, used: transport });
        }
        if self.steps.is_empty() {
            return Err(Unplayable::Empty { file: file() });
        }
        Ok(())
    }

    /// Refuses everyone but the client who speaks first.
    fn only(&self, who: Option<&Name>, first: Option<&Name>) -> Result<(), String> {
        match who {
            Some(name) if self.directives.upstreams.contains_key(name) => {
                Err(format!("{name} is an upstream, and there is no handler"))
            }
            _ if who != first => Err("there is one client, and this is another".to_owned()),
            _ => Ok(()),
        }
    }
}

fn kind(action: &Action, transport: Transport, eol: &[u8]) -> Result<TurnKind, String> {
    let streams = |kind| {
        if transport.is_datagram() { Err(format!("{transport} has none")) } else { Ok(kind) }
    };
    match action {
        Action::Send(Payload::Text(text)) => Ok(TurnKind::Send(text.with_end(eol))),
        Action::Send(Payload::Bytes(bytes)) => Ok(TurnKind::Send(bytes.clone())),
        Action::Send(Payload::Hex(bytes)) => Ok(TurnKind::Send(Template::literal(bytes.clone()))),
        Action::Expect(wanted) => Ok(TurnKind::Expect(Expectation::new(wanted, eol))),
        Action::Pass(time) => Ok(TurnKind::Pass(*time)),
        Action::Do(Deed::Connect) => Ok(TurnKind::Connect),
        Action::Do(Deed::Close) => Ok(TurnKind::Close),
        Action::Do(Deed::Eof) => streams(TurnKind::Eof),
        Action::Do(Deed::Reset) => streams(TurnKind::Reset),
        Action::Do(Deed::Reload(_)) => Err("a client cannot reload the handler".to_owned()),
        Action::See(Sight::Eof) => streams(TurnKind::SeeEof),
        Action::See(Sight::Reset) => Err("a load does not go on behind a reset".to_owned()),
        Action::See(Sight::Silence(time)) => Ok(TurnKind::Silence(*time)),
        Action::See(Sight::Log(_)) => Err("a client does not see the handler's log".to_owned()),
        Action::See(Sight::Reject(_) | Sight::Fault(_)) => {
            Err("a client does not see what becomes of a message".to_owned())
        }
    }
}
