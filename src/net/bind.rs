//! From the listeners that were asked for to bound sockets: all of them, or none and one line that
//! says why. What each kind of socket needs is in `inet` and `unix`; accepting is for the workers.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::num::NonZeroUsize;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::sync::Arc;

use nix::errno::Errno;

use super::address::{Address, Listen};
use super::inet::{self, Kind};
use super::unix;
pub use super::unix::SocketFile;

/// What is known of a listener once it is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The name it was given.
    pub name: Option<String>,
    /// Its URL, as it was written but with the real port.
    pub url: String,
    /// Only this machine can reach it: bound to loopback addresses alone, or to a path.
    pub loopback: bool,
}

impl Listener {
    /// Its name, else its URL.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.url)
    }
}

/// The ready line: `NAME=URL` or `URL`.
impl Display for Listener {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name}={}", self.url),
            None => f.write_str(&self.url),
        }
    }
}

/// One listener with its sockets.
#[derive(Debug)]
pub struct Bound {
    /// What it is.
    pub listener: Arc<Listener>,
    /// TCP and UDP: one for each address and worker. Unix sockets: one.
    pub sockets: Vec<Socket>,
}

/// A bound socket, non-blocking; one for streams is listening.
#[derive(Debug)]
pub enum Socket {
    /// Its connections belong to one worker.
    Tcp {
        /// From 0 up.
        worker: usize,
        /// Shares its port with those of the other workers.
        socket: TcpListener,
    },
    /// Its peers belong to one worker.
    Udp {
        /// From 0 up.
        worker: usize,
        /// Shares its port with those of the other workers.
        socket: UdpSocket,
        /// Bound to every address; each datagram tells in a control message which one it came to
        /// (on Linux).
        wildcard: bool,
    },
    /// Its connections are dealt out to the workers.
    Unix {
        /// The one acceptor.
        socket: UnixListener,
        /// Removes the path when dropped.
        file: SocketFile,
    },
    /// Its peers belong to the first worker.
    Unixgram {
        /// The one receiver.
        socket: UnixDatagram,
        /// Removes the path when dropped.
        file: SocketFile,
    },
}

/// Why a listener could not be bound, on one line that names its URL. A person meets it at start.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {problem}")]
pub struct BindError {
    /// The listener, as it was written.
    pub url: String,
    /// What stood against it.
    pub problem: Problem,
}

/// What stood against a listener.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The port is taken.
    #[error(
        "address already in use; another server has the port: choose one with --listen, or port 0"
    )]
    InUse,
    /// The resolver knows no such name.
    #[error("unknown host '{host}' ({reason})")]
    UnknownHost {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// The user may not have this port or path.
    #[error("permission denied{hint}")]
    Permission {
        /// What may help.
        hint: &'static str,
    },
    /// No interface of this machine has the address.
    #[error("address not available; no interface of this machine has it")]
    NotAvailable,
    /// Something answers on the path.
    #[error("in use by a running server")]
    Live,
    /// The path is something else, which is left alone.
    #[error("the path exists and is not a socket; it was left alone")]
    NotASocket,
    /// The folder of the path is missing.
    #[error("there is no directory '{0}'")]
    NoDirectory(String),
    /// The system has a small limit for the paths of sockets.
    #[error("the path is too long for a socket: {length} bytes, expected {most} at most")]
    TooLong {
        /// Of the path.
        length: usize,
        /// That a socket can have.
        most: usize,
    },
    /// Anything else.
    #[error("{}", reason(.0))]
    Other(io::Error),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EADDRINUSE) => Problem::InUse,
            Some(Errno::EADDRNOTAVAIL | Errno::EAFNOSUPPORT) => Problem::NotAvailable,
            Some(Errno::EACCES | Errno::EPERM) => Problem::Permission { hint: "" },
            _ => Problem::Other(error),
        }
    }
}

/// An I/O error in lower case and without its number.
pub fn reason(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    };
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Binds every listener, for so many workers. Blocks for as long as the resolver takes. A stream
/// socket holds `backlog` connections before they are accepted.
///
/// # Errors
/// The first listener that could not be bound; those before it are closed again.
pub fn bind(
    listens: &[Listen],
    workers: NonZeroUsize,
    backlog: u32,
) -> Result<Vec<Bound>, BindError> {
    let bind_one = |listen: &Listen| {
        bind_one(listen, workers, backlog)
            .map_err(|problem| BindError { url: listen.address.to_string(), problem })
    };
    listens.iter().map(bind_one).collect()
}

fn bind_one(listen: &Listen, workers: NonZeroUsize, backlog: u32) -> Result<Bound, Problem> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    let (address, loopback, sockets) = match &listen.address {
        Address::Tcp { host, port } => {
            let plan = inet::Plan { kind: Kind::Tcp { backlog }, workers, port: *port };
            let (port, loopback, sockets) = bind_host(&plan, host)?;
            (Address::Tcp { host: host.clone(), port }, loopback, sockets)
        }
        Address::Udp { host, port } => {
            let plan = inet::Plan { kind: Kind::Udp, workers, port: *port };
            let (port, loopback, sockets) = bind_host(&plan, host)?;
            (Address::Udp { host: host.clone(), port }, loopback, sockets)
        }
        Address::Unix(path) => {
            let (socket, file) = unix::bind_stream(path, backlog)?;
            (listen.address.clone(), true, vec![Socket::Unix { socket, file }])
        }
        Address::Unixgram(path) => {
            let (socket, file) = unix::bind_datagram(path)?;
            (listen.address.clone(), true, vec![Socket::Unixgram { socket, file }])
        }
    };
    let listener = Listener { name: listen.name.clone(), url: address.to_string(), loopback };
    Ok(Bound { listener: Arc::new(listener), sockets })
}

fn bind_host(plan: &inet::Plan, host: &str) -> Result<(u16, bool, Vec<Socket>), Problem> {
    let addresses = inet::resolve(host)?;
    let (port, sockets) = inet::bind(plan, &addresses)?;
    Ok((port, addresses.iter().all(|address| address.ip().is_loopback()), sockets))
}

#[cfg(test)]
mod tests;
