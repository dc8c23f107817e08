//! The one connection of a client, in the same words whatever its transport: opened, read,
//! written, half-closed. What is said over it is for others.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{UdpSocket, UnixDatagram, UnixStream};

use super::address::Address;
use super::bind::Problem;
use super::client::{ClientSocket, Target};
use super::dial::{DialError, Dialled, DialledSocket, DialledTcp, dial};
use super::{Endpoint, Transport};

/// See the module. Two can use it at a time, one that receives and one that sends.
#[derive(Debug)]
pub struct Link {
    socket: Socket,
    /// The other end, as a URL, with the address that was found.
    pub peer: String,
    /// Our end; most Unix sockets have no name.
    pub local: Endpoint,
}

#[derive(Debug)]
enum Socket {
    Tcp(DialledTcp),
    Unix(UnixStream),
    Udp(UdpSocket),
    Unixgram {
        socket: UnixDatagram,
        /// Where the peer is.
        path: PathBuf,
        /// Has the name of our end, which goes with it.
        _own: ClientSocket,
    },
}

impl Link {
    /// Connects, within `limit`. Of a host with several addresses each is tried in turn; datagrams
    /// go to the first one of IPv4, if there is one, for nothing tells that nobody is there.
    ///
    /// # Errors
    /// There is no connection.
    pub async fn open(address: &Address, limit: Duration) -> Result<Self, DialError> {
        if let Address::Unixgram(path) = address {
            return open_unixgram(address, path);
        }
        let Dialled { socket, peer, local } = dial(address, limit).await?;
        let peer = format!("{}://{peer}", Transport::of(address));
        let socket = match socket {
            DialledSocket::Tcp(stream) => Socket::Tcp(stream),
            DialledSocket::Unix(stream) => Socket::Unix(stream),
            DialledSocket::Udp(socket) => Socket::Udp(socket),
        };
        Ok(Self { socket, peer, local })
    }

    /// It carries datagrams, which have a boundary and no end.
    #[must_use]
    pub fn is_datagram(&self) -> bool {
        matches!(self.socket, Socket::Udp(_) | Socket::Unixgram { .. })
    }

    /// Waits for bytes, or for one datagram, and takes them. None are the end of a stream, or an
    /// empty datagram. Whoever gives up waiting loses nothing.
    ///
    /// # Errors
    /// Those of the system. "Connection refused" of a datagram socket says that nobody took what
    /// was sent before; it can be used on.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        const READ: Interest = Interest::READABLE;
        match &self.socket {
            Socket::Tcp(stream) => stream.async_io(READ, || stream.try_read(buffer)).await,
            Socket::Unix(stream) => stream.async_io(READ, || stream.try_read(buffer)).await,
            Socket::Udp(socket) => socket.recv(buffer).await,
            Socket::Unixgram { socket, .. } => socket.recv(buffer).await,
        }
    }

    /// Waits for room and sends: of a stream what there is room for, of a datagram all. Whoever
    /// gives up waiting has sent nothing.
    ///
    /// # Errors
    /// Those of the system. "Connection refused" is as in [`Link::receive`], and this datagram has
    /// not been sent.
    pub async fn send(&self, data: &[u8]) -> io::Result<usize> {
        const WRITE: Interest = Interest::WRITABLE;
        match &self.socket {
            Socket::Tcp(stream) => stream.async_io(WRITE, || stream.try_write(data)).await,
            Socket::Unix(stream) => stream.async_io(WRITE, || stream.try_write(data)).await,
            Socket::Udp(socket) => socket.send(data).await,
            Socket::Unixgram { socket, path, .. } => match socket.send(data).await {
                // Another may have taken its place by now.
                Err(error) if is_gone(&error) && socket.connect(path).is_ok() => {
                    socket.send(data).await
                }
                sent => sent,
            },
        }
    }

    /// Ends the sending side of a stream; datagrams have none.
    ///
    /// # Errors
    /// Those of the system.
    pub fn end(&self) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(stream) => SockRef::from(&**stream).shutdown(Shutdown::Write),
            Socket::Unix(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
            Socket::Udp(_) | Socket::Unixgram { .. } => Ok(()),
        }
    }
}

/// The peer of a Unix datagram socket has closed its own.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotConnected)
}

fn open_unixgram(address: &Address, path: &Path) -> Result<Link, DialError> {
    let target = Target::resolve(address, false)?;
    let open = || {
        let own = target.open(0)?;
        let local = own.local()?;
        let socket = UnixDatagram::from_std(own.second_handle()?)?;
        Ok((Socket::Unixgram { socket, path: path.to_owned(), _own: own }, local))
    };
    let (socket, local) = open().map_err(|error: io::Error| DialError::from(&error))?;
    Ok(Link { socket, peer: target.to_string(), local })
}

impl From<Problem> for DialError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Other(error) => Self::from(&error),
            Problem::TooLong { .. } => {
                Self { text: problem.to_string(), code: "ENAMETOOLONG".to_owned() }
            }
            _ => Self { text: problem.to_string(), code: "EINVAL".to_owned() },
        }
    }
}

#[cfg(test)]
mod tests;
