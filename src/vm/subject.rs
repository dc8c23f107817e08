//! What a call is about: the function of the script, whose it is, and where its replies go.

use std::rc::Rc;

use super::generation::{Generation, Name};
use super::raw::Coroutine;
use super::reply::{self, Recipient};
use super::tasks::Trigger;
use crate::conn::Conn;
use crate::frame::Framing;
use crate::handler::Outcome;

/// What a call is about.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) what: What,
    pub(super) generation: &'a Rc<Generation>,
    pub(super) conn: Option<&'a Rc<Conn>>,
    /// What its replies are framed by; none: by what is in force then.
    pub(super) framing: Option<&'a Rc<Framing>>,
    /// The message, for a fault to show; of calls that have waited its head.
    pub(super) message: Option<&'a [u8]>,
}

/// What a call is about that waits.
pub(super) struct Kept {
    what: What,
    pub(super) generation: Rc<Generation>,
    pub(super) conn: Option<Rc<Conn>>,
    framing: Option<Rc<Framing>>,
    message: Option<Vec<u8>>,
}

/// How much of a message is kept while its call waits.
const KEPT_MESSAGE: usize = 128;

/// Which function of a script is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Callback(Name),
    Task(Trigger),
}

impl What {
    /// As a fault names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Callback(name) => name.as_str(),
            Self::Task(trigger) => trigger.name(),
        }
    }
}

impl Subject<'_> {
    /// Keeps it for a call that waits.
    pub(super) fn keep(self) -> Kept {
        Kept {
            what: self.what,
            generation: Rc::clone(self.generation),
            conn: self.conn.cloned(),
            framing: self.framing.cloned(),
            message: self.message.map(|bytes| bytes[..bytes.len().min(KEPT_MESSAGE)].to_vec()),
        }
    }

    /// Sends what the function returned. What a timer or a task returns means nothing.
    pub(super) fn deliver(self, coroutine: &Coroutine) -> Result<Outcome, String> {
        let What::Callback(name) = self.what else { return Ok(Outcome::NOTHING) };
        let Some(conn) = self.conn else {
            return reply::deliver(name.as_str(), self.generation, None, coroutine);
        };
        let in_force;
        let framing = if let Some(framing) = self.framing {
            framing
        } else {
            in_force = conn.reply_framing();
            &in_force
        };
        let recipient = Recipient { conn, framing };
        reply::deliver(name.as_str(), self.generation, Some(&recipient), coroutine)
    }
}

impl Kept {
    /// What goes on.
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            what: self.what,
            generation: &self.generation,
            conn: self.conn.as_ref(),
            framing: self.framing.as_ref(),
            message: self.message.as_deref(),
        }
    }
}
