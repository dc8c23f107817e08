//! The words around a connection: what it came over, why it is gone, and what it begins with.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::frame::Framing;
use crate::net::{Endpoint, Listener, Transport};

/// Why a connection is gone, as `on_close` and the log tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The peer ended its side.
    Eof,
    /// The script closed it.
    Closed,
    /// Reset, by the peer or by the script.
    Reset,
    /// Silent for longer than the idle or peer timeout.
    Idle,
    /// The handler failed, and `--on-error close` is set or the connection was just opening.
    Error,
    /// The peer did not take what was sent within the send timeout.
    Slow,
    /// The server stops.
    Shutdown,
    /// A message was larger than it may be.
    Oversize,
    /// `on_connect` refused it.
    Rejected,
    /// What arrived was no message of the framing.
    Framing,
    /// A newer datagram peer took its place.
    Limit,
}

impl Reason {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eof => "eof",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Idle => "idle",
            Self::Error => "error",
            Self::Slow => "slow",
            Self::Shutdown => "shutdown",
            Self::Oversize => "oversize",
            Self::Rejected => "rejected",
            Self::Framing => "framing",
            Self::Limit => "limit",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the messages of a connection are told apart, and how its replies are marked.
#[derive(Clone)]
pub struct Framings {
    /// Of what it receives.
    pub read: Rc<Framing>,
    /// Of what is sent to it.
    pub reply: Rc<Framing>,
}

/// When a silent stream connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleLimit {
    /// As the command line or the script says.
    Rule,
    /// After this; none: never.
    Own(Option<Duration>),
}

/// Who a connection is, and what it begins with.
pub struct Identity {
    /// Unique in the process, from 1.
    pub id: u64,
    /// What it came over.
    pub transport: Transport,
    /// The other end, and ours.
    pub ends: (Endpoint, Endpoint),
    /// Where it was accepted; none where the script connected to it.
    pub listener: Option<Arc<Listener>>,
    /// The framings in force.
    pub framings: Framings,
    /// The generation it opens in.
    pub version: Version,
}

/// A generation of the script, as log lines name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its number.
    pub number: u64,
    /// The first digits of its content's hash.
    pub hash: Arc<str>,
}
