//! One end of a connection: an address that can be shown, compared and sent to.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// An IP address and port.
    Inet(SocketAddr),
    /// The path of a Unix socket; most clients have none.
    Unix(Option<PathBuf>),
}

impl Endpoint {
    /// The IP address, where there is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Inet(address) => Some(address.ip()),
            Self::Unix(_) => None,
        }
    }

    /// The port, where there is one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Inet(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }
}

impl Endpoint {
    /// This, or where a datagram tells which address of ours it came to, that one with our port.
    #[must_use]
    pub fn at(&self, ip: Option<IpAddr>) -> Self {
        match (ip, self.port()) {
            (Some(ip), Some(port)) => Self::Inet((ip, port).into()),
            _ => self.clone(),
        }
    }
}

/// In as few pieces as there can be: every datagram has its peer looked up, and a hasher that
/// withstands peers with forged addresses takes its time over each piece.
impl Hash for Endpoint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Inet(SocketAddr::V4(address)) => {
                state
                    .write_u64(u64::from(address.ip().to_bits()) << 16 | u64::from(address.port()));
            }
            Self::Inet(SocketAddr::V6(address)) => {
                state.write_u128(address.ip().to_bits());
                state.write_u16(address.port());
            }
            Self::Unix(path) => path.hash(state),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::Inet(address)
    }
}

impl From<&tokio::net::unix::SocketAddr> for Endpoint {
    fn from(address: &tokio::net::unix::SocketAddr) -> Self {
        Self::Unix(address.as_pathname().map(PathBuf::from))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(Some(path)) => path.display().fmt(f),
            Self::Unix(None) => f.write_str("unnamed"),
        }
    }
}
