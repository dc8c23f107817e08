//! A server that is connected to again and again.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use nix::errno::Errno;

use super::address::Address;
use super::bind::Problem;
use super::client::Target;
use super::dial::{DialError, DialledSocket, dial};
use super::peer::PeerSocket;
use super::{Stream, Transport};

/// A server, found once where it takes datagrams; one of streams is looked for at each connection.
pub struct Server {
    address: Address,
    /// For datagrams.
    target: Option<Target>,
    /// Sockets for datagrams that were opened.
    opened: Cell<usize>,
}

impl Server {
    /// Finds it.
    ///
    /// # Errors
    /// A server of datagrams has no such host, or its path cannot be one.
    pub fn find(address: Address) -> Result<Self, Problem> {
        let is_datagram = Transport::of(&address).is_datagram();
        let target = is_datagram.then(|| Target::resolve(&address, false)).transpose()?;
        Ok(Self { address, target, opened: Cell::new(0) })
    }

    /// Its address, as it was given.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Connects a stream, within a limit.
    ///
    /// # Errors
    /// There is no connection; a server of datagrams has none.
    pub async fn connect(&self, limit: Duration) -> Result<Box<dyn Stream>, DialError> {
        match dial(&self.address, limit).await?.socket {
            DialledSocket::Tcp(stream) => Ok(Box::new(stream)),
            DialledSocket::Unix(stream) => Ok(Box::new(stream)),
            DialledSocket::Udp(_) => Err(DialError::from(&Errno::EPROTONOSUPPORT.into())),
        }
    }

    /// Opens a socket of its own for datagrams.
    ///
    /// # Errors
    /// The system's; a server of streams takes none.
    pub fn open(&self) -> io::Result<PeerSocket> {
        let Some(target) = &self.target else { return Err(Errno::EPROTONOSUPPORT.into()) };
        PeerSocket::new(target.open(self.opened.replace(self.opened.get() + 1))?)
    }

    /// Whether it takes datagrams.
    #[must_use]
    pub fn is_datagram(&self) -> bool {
        self.target.is_some()
    }
}
