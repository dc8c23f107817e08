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
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    const BACKLOG: u32 = 16;

    fn try_bind(urls: &[&str], workers: usize) -> Result<Vec<Bound>, String> {
        let listens: Vec<Listen> =
            urls.iter().flat_map(|url| Listen::parse(url).unwrap()).collect();
        let workers = NonZeroUsize::new(workers).unwrap();
        bind(&listens, workers, BACKLOG).map_err(|error| error.to_string())
    }

    fn bound(url: &str, workers: usize) -> Bound {
        let mut all = try_bind(&[url], workers).unwrap();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    #[test]
    fn the_ready_line_has_the_real_port() {
        let plain = bound("tcp://127.0.0.1:0", 1);
        let Socket::Tcp { socket, .. } = &plain.sockets[0] else { panic!("no TCP socket") };
        let port = socket.local_addr().unwrap().port();
        assert_ne!(port, 0);
        assert_eq!(plain.listener.to_string(), format!("tcp://127.0.0.1:{port}"));
        assert_eq!(plain.listener.label(), plain.listener.url);

        let named = bound("web=udp://127.0.0.1:0", 1);
        assert!(named.listener.to_string().starts_with("web=udp://127.0.0.1:"));
        assert_eq!(named.listener.label(), "web");
    }

    #[test]
    fn a_bare_port_is_two_listeners_and_none_is_none() {
        let both = try_bind(&["0"], 1).unwrap();
        assert!(both[0].listener.url.starts_with("tcp://127.0.0.1:"));
        assert!(both[1].listener.url.starts_with("udp://127.0.0.1:"));
        assert!(try_bind(&["none"], 1).unwrap().is_empty());
    }

    #[test]
    fn a_second_server_is_refused_with_any_number_of_workers() {
        for scheme in ["tcp", "udp"] {
            for (first, second) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
                let running = bound(&format!("{scheme}://127.0.0.1:0"), first);
                let url = running.listener.url.clone();
                let error = try_bind(&[&url], second).expect_err("the port is taken");
                assert_eq!(
                    error,
                    format!(
                        "{url}: address already in use; another server has the port: \
                         choose one with --listen, or port 0"
                    )
                );
            }
        }
    }

    #[test]
    fn a_port_is_free_again_after_its_listener() {
        let url = bound("tcp://127.0.0.1:0", 2).listener.url.clone();
        drop(bound(&url, 2));
        bound(&url, 1);
    }

    #[test]
    fn a_failure_leaves_nothing_bound() {
        let url = bound("tcp://127.0.0.1:0", 1).listener.url.clone();
        try_bind(&[&url, "tcp://no-such-host.invalid:1"], 1).expect_err("unknown host");
        bound(&url, 1);
    }

    #[test]
    fn an_unknown_host_is_named() {
        let error = try_bind(&["udp://no-such-host.invalid:53"], 1).expect_err("unknown host");
        let start = "udp://no-such-host.invalid:53: unknown host 'no-such-host.invalid' (";
        assert!(error.starts_with(start), "{error}");
    }

    #[test]
    fn an_address_of_another_machine_is_not_available() {
        let error = try_bind(&["tcp://192.0.2.1:0"], 1).expect_err("a documentation address");
        assert!(error.starts_with("tcp://192.0.2.1:0: address not available"), "{error}");
    }

    #[test]
    fn a_refused_port_names_the_limit() {
        let plan = |port| inet::Plan { kind: Kind::Udp, workers: NonZeroUsize::MIN, port };
        let problem = |port| plan(port).explain(Errno::EACCES.into()).to_string();
        assert_eq!(
            problem(53),
            "permission denied; a port below 1024 needs root or CAP_NET_BIND_SERVICE"
        );
        assert_eq!(problem(5353), "permission denied");
    }

    #[test]
    fn only_loopback_addresses_and_paths_are_loopback() {
        let dir = tempfile::tempdir().unwrap();
        let path = format!("unix://{}/s", dir.path().display());
        assert!(bound("tcp://127.0.0.1:0", 1).listener.loopback);
        assert!(bound("udp://[::1]:0", 1).listener.loopback);
        assert!(bound(&path, 1).listener.loopback);
        assert!(!bound("udp://0.0.0.0:0", 1).listener.loopback);
        assert!(!bound("tcp://[::]:0", 1).listener.loopback);
    }

    #[test]
    fn every_worker_gets_connections() {
        let server = bound("tcp://127.0.0.1:0", 2);
        let address = server.listener.url.strip_prefix("tcp://").unwrap();
        let clients: Vec<TcpStream> =
            (0..BACKLOG).map(|_| TcpStream::connect(address).unwrap()).collect();
        let accepted: Vec<usize> = server
            .sockets
            .iter()
            .map(|socket| {
                let Socket::Tcp { socket, .. } = socket else { panic!("no TCP socket") };
                std::iter::from_fn(|| socket.accept().ok()).count()
            })
            .collect();
        assert_eq!(accepted.iter().sum::<usize>(), clients.len());
        assert!(accepted.iter().all(|&count| count > 0), "{accepted:?}");
    }

    #[test]
    fn every_worker_gets_datagrams() {
        let server = bound("udp://127.0.0.1:0", 2);
        let address = server.listener.url.strip_prefix("udp://").unwrap();
        let clients: Vec<UdpSocket> =
            (0..32).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        for client in &clients {
            client.send_to(b"hello", address).unwrap();
        }
        let received: Vec<usize> = server
            .sockets
            .iter()
            .map(|socket| {
                let Socket::Udp { socket, .. } = socket else { panic!("no UDP socket") };
                std::iter::from_fn(|| socket.recv(&mut [0; 8]).ok()).count()
            })
            .collect();
        assert_eq!(received.iter().sum::<usize>(), clients.len());
        assert!(received.iter().all(|&count| count > 0), "{received:?}");
    }

    #[test]
    fn workers_are_numbered() {
        let server = bound("udp://127.0.0.1:0", 3);
        let workers: Vec<usize> = server
            .sockets
            .iter()
            .map(|socket| match socket {
                Socket::Udp { worker, .. } => *worker,
                _ => panic!("no UDP socket"),
            })
            .collect();
        assert_eq!(workers, [0, 1, 2]);
    }

    #[test]
    fn unix_sockets_do_not_block() {
        let dir = tempfile::tempdir().unwrap();
        let stream = bound(&format!("unix://{}/s", dir.path().display()), 2);
        let datagram = bound(&format!("unixgram://{}/d", dir.path().display()), 2);
        let (Socket::Unix { socket: stream, .. }, Socket::Unixgram { socket: datagram, .. }) =
            (&stream.sockets[0], &datagram.sockets[0])
        else {
            panic!("other sockets than asked for")
        };
        assert_eq!(stream.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(datagram.recv(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);

        let mut client = std::os::unix::net::UnixStream::connect(dir.path().join("s")).unwrap();
        let (mut accepted, _) = stream.accept().unwrap();
        client.write_all(b"hi").unwrap();
        drop(client);
        let mut text = String::new();
        accepted.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hi");
    }
}
