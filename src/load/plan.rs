//! What load is wanted: typed, no input and output.

use std::time::Duration;

use super::exchange::Expect;
use crate::frame::Spec;
use crate::net::address::Address;
use crate::transcript::Client;

/// Messages in flight on a connection in bulk mode, and their bytes: more than any buffers on the
/// way hold, so that the window stops nobody.
const BULK_MESSAGES: usize = 4096;
const BULK_BYTES: usize = 16 << 20;

/// The largest message of UDP over IPv4.
pub const LARGEST_UDP: usize = 65_507;

/// What the connections do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Each keeps some messages in flight.
    Exchange,
    /// Each is opened for one message, and closed when that is answered.
    Churn,
    /// Each sends and reads as fast as it can.
    Bulk,
    /// Each stays open, and says nothing.
    Idle,
}

impl Mode {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Churn => "churn",
            Self::Bulk => "bulk",
            Self::Idle => "idle",
        }
    }
}

/// What messages are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// So many letters.
    Letters(usize),
    /// These bytes.
    Text(Vec<u8>),
}

impl Content {
    /// Bytes of the message.
    #[must_use]
    pub fn length(&self) -> usize {
        match self {
            Self::Letters(length) => *length,
            Self::Text(text) => text.len(),
        }
    }
}

/// A load.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server.
    pub server: Address,
    /// What the connections do.
    pub mode: Mode,
    /// Connections open at a time.
    pub connections: usize,
    /// Messages in flight on each, in exchange mode.
    pub depth: usize,
    /// What messages are.
    pub content: Content,
    /// How answers are told apart; raw ones are as long as their messages.
    pub framing: Spec,
    /// What answers must be.
    pub expect: Expect,
    /// What is played on each connection over and over, in place of messages and answers. In
    /// churn mode each time has a connection of its own.
    pub dialogue: Option<Client>,
    /// Messages a second in all, whether or not answers come.
    pub rate: Option<u64>,
    /// The end by time.
    pub duration: Option<Duration>,
    /// The end by messages; in idle mode there is none.
    pub count: Option<u64>,
    /// What is not measured, at the begin.
    pub warmup: Duration,
    /// How long a connection or an answer may take.
    pub timeout: Duration,
}

impl Plan {
    /// Messages in flight on a connection.
    #[must_use]
    pub fn window(&self, wire_length: usize) -> usize {
        match self.mode {
            Mode::Exchange => self.depth,
            Mode::Churn | Mode::Idle => 1,
            Mode::Bulk => (BULK_BYTES / wire_length.max(1)).clamp(2, BULK_MESSAGES),
        }
    }

    /// Connections come from changing addresses where the server is on loopback: those of one
    /// would run out of ports.
    #[must_use]
    pub fn needs_ports(&self) -> bool {
        self.mode == Mode::Churn || self.connections > 10_000
    }

    /// Nothing is expected back, not even that something comes: bytes go out and are counted.
    #[must_use]
    pub fn one_way(&self) -> bool {
        self.mode == Mode::Bulk && self.expect == Expect::Any
    }
}
