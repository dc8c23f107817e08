//! Outgoing connections: from an address to an open socket, within a time limit, or an error that
//! a script can read. What is then sent over it is for others.

mod tcp;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use socket2::SockRef;
use tokio::net::{UdpSocket, UnixStream, lookup_host};
use tokio::time::{Instant, sleep, timeout};

use super::Endpoint;
use super::address::Address;
use super::bind::reason;
use super::inet::enlarge_buffer;
use super::unix::LONGEST_PATH;

pub use tcp::DialledTcp;

/// The pauses between two tries of a Unix socket whose backlog is full: the system does not tell
/// when there is room again.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// An open outgoing connection.
#[derive(Debug)]
pub struct Dialled {
    /// The socket.
    pub socket: DialledSocket,
    /// The other end.
    pub peer: Endpoint,
    /// Our end.
    pub local: Endpoint,
}

/// Its socket.
#[derive(Debug)]
pub enum DialledSocket {
    /// A connected stream.
    Tcp(DialledTcp),
    /// Takes and gives datagrams of its one peer.
    Udp(UdpSocket),
    /// A connected stream.
    Unix(UnixStream),
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct DialError {
    /// In lower case: `connection refused`, `timeout`, `host not found`.
    pub text: String,
    /// The system's symbol for it, such as `ECONNREFUSED`, and `ENOTFOUND` of the resolver.
    pub code: String,
}

impl DialError {
    fn timeout() -> Self {
        Self { text: "timeout".to_owned(), code: "ETIMEDOUT".to_owned() }
    }

    /// The resolver's errors have no number of the system.
    fn of_resolver(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(_) => Self::from(error),
            None => Self { text: "host not found".to_owned(), code: "ENOTFOUND".to_owned() },
        }
    }
}

impl From<&io::Error> for DialError {
    fn from(error: &io::Error) -> Self {
        let known = error.raw_os_error().map(Errno::from_raw);
        let text = match known {
            Some(Errno::ETIMEDOUT) => return Self::timeout(),
            Some(Errno::ENOENT) => "file not found".to_owned(),
            _ => reason(error),
        };
        // What the library refuses by itself are arguments.
        let code = format!("{:?}", known.unwrap_or(Errno::EINVAL));
        Self { text, code }
    }
}

/// Opens a connection, within `limit`. Of a host with several addresses each is tried in turn; UDP
/// takes the first one of IPv4, if there is one.
///
/// # Errors
/// There is none; of several addresses, the one that came closest says why.
pub async fn dial(address: &Address, limit: Duration) -> Result<Dialled, DialError> {
    let end = End { began: Instant::now(), limit };
    let dialled = async {
        match address {
            Address::Tcp { host, port } => {
                first_that_opens(&look_up(host, *port).await?, end, open_tcp).await
            }
            Address::Udp { host, port } => {
                // The first one opens: nothing tells that nobody is there.
                let mut found = look_up(host, *port).await?;
                found.sort_by_key(SocketAddr::is_ipv6);
                first_that_opens(&found, end, open_udp).await
            }
            Address::Unix(path) => open_unix(path).await.map_err(|error| DialError::from(&error)),
            Address::Unixgram(_) => Err(DialError::from(&Errno::EPROTONOSUPPORT.into())),
        }
    };
    timeout(limit, dialled).await.unwrap_or_else(|_| Err(DialError::timeout()))
}

/// When it is too late.
#[derive(Clone, Copy)]
struct End {
    began: Instant,
    limit: Duration,
}

impl End {
    /// What one of `count` tries may take of the time that is left.
    fn share(self, count: usize) -> Duration {
        let left = self.limit.saturating_sub(self.began.elapsed());
        left / u32::try_from(count).unwrap_or(u32::MAX).max(1)
    }
}

async fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    let found = lookup_host((host, port)).await.map_err(|error| DialError::of_resolver(&error))?;
    Ok(found.collect())
}

/// Tries the addresses in turn. Each gets an equal share of the time that is left, so that one that
/// does not answer leaves some for the others.
async fn first_that_opens(
    addresses: &[SocketAddr],
    end: End,
    open: impl AsyncFn(SocketAddr) -> io::Result<Dialled>,
) -> Result<Dialled, DialError> {
    let mut failure: Option<io::Error> = None;
    for (index, address) in addresses.iter().enumerate() {
        let share = end.share(addresses.len() - index);
        let error = match timeout(share, open(*address)).await {
            Ok(Ok(dialled)) => return Ok(dialled),
            Ok(Err(error)) => error,
            Err(_) => Errno::ETIMEDOUT.into(),
        };
        // That there is no way to an IPv6 address says little of a host that has others.
        if failure.as_ref().is_none_or(|known| is_no_way(known) || !is_no_way(&error)) {
            failure = Some(error);
        }
    }
    Err(failure.map_or_else(
        || DialError::of_resolver(&io::Error::other("the host has no address")),
        |error| DialError::from(&error),
    ))
}

/// This machine has no way to such addresses at all.
fn is_no_way(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::ENETUNREACH | Errno::EADDRNOTAVAIL | Errno::EAFNOSUPPORT)
    )
}

async fn open_tcp(address: SocketAddr) -> io::Result<Dialled> {
    let stream = DialledTcp::connect(address).await?;
    let local = stream.local_addr()?;
    // Has no peer any more if that reset it already, which whoever reads from it will see.
    let peer = stream.peer_addr().unwrap_or(address);
    if local == peer {
        // Where nobody listens, a port of the range that the system takes our own from can turn
        // out to be ours: the socket then is connected to itself.
        return Err(Errno::ECONNREFUSED.into());
    }
    // As on accepted connections: an answer must not wait for the next one. A socket that was
    // reset may refuse, and does not need it.
    let _ = stream.set_nodelay(true);
    Ok(Dialled { socket: DialledSocket::Tcp(stream), peer: peer.into(), local: local.into() })
}

async fn open_udp(address: SocketAddr) -> io::Result<Dialled> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    enlarge_buffer(&SockRef::from(&socket));
    match socket.connect(address).await {
        // A broadcast address; whoever wrote it means it.
        Err(error) if error.raw_os_error() == Some(Errno::EACCES as i32) => {
            socket.set_broadcast(true)?;
            socket.connect(address).await?;
        }
        result => result?,
    }
    let (peer, local) = (socket.peer_addr()?, socket.local_addr()?);
    Ok(Dialled { socket: DialledSocket::Udp(socket), peer: peer.into(), local: local.into() })
}

async fn open_unix(path: &Path) -> io::Result<Dialled> {
    if path.as_os_str().as_bytes().len() > LONGEST_PATH {
        return Err(Errno::ENAMETOOLONG.into());
    }
    let mut pause = FIRST_PAUSE;
    let stream = loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(pause).await,
            result => break result?,
        }
        pause = (2 * pause).min(LONGEST_PAUSE);
    };
    let local = stream.local_addr().map_or(Endpoint::Unix(None), |local| Endpoint::from(&local));
    let peer = Endpoint::Unix(Some(path.to_owned()));
    Ok(Dialled { socket: DialledSocket::Unix(stream), peer, local })
}

#[cfg(test)]
mod tests;
