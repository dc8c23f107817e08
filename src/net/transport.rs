//! The kinds of sockets.

use std::fmt::{self, Display, Formatter};

use super::address::Address;

/// What carries bytes or datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A TCP stream.
    Tcp,
    /// UDP datagrams.
    Udp,
    /// A stream over a Unix socket.
    Unix,
    /// Datagrams over a Unix socket.
    Unixgram,
}

impl Transport {
    const ALL: [Self; 4] = [Self::Tcp, Self::Udp, Self::Unix, Self::Unixgram];

    /// The scheme of its URLs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Unix => "unix",
            Self::Unixgram => "unixgram",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|transport| transport.name() == name)
    }

    /// That of an address.
    #[must_use]
    pub fn of(address: &Address) -> Self {
        match address {
            Address::Tcp { .. } => Self::Tcp,
            Address::Udp { .. } => Self::Udp,
            Address::Unix(_) => Self::Unix,
            Address::Unixgram(_) => Self::Unixgram,
        }
    }

    /// Whether it carries datagrams, which have a boundary and no end.
    #[must_use]
    pub fn is_datagram(self) -> bool {
        matches!(self, Self::Udp | Self::Unixgram)
    }
}

impl Display for Transport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}
