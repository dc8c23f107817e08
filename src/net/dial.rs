//! Outgoing connections: from an address to an open socket, within a time limit, or an error that
//! a script can read. What is then sent over it is for others.

#![allow(dead_code)]

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use socket2::SockRef;
use tokio::net::{TcpStream, UdpSocket, UnixStream, lookup_host};
use tokio::time::{Instant, sleep, timeout};

use super::Endpoint;
use super::address::Address;
use super::bind::reason;
use super::inet::enlarge_buffer;
use super::unix::LONGEST_PATH;

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
    Tcp(TcpStream),
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

/// Opens a connection, within `limit`. Of a host with several addresses each is tried in turn.
///
/// # Errors
/// There is none; of several addresses, the one that came closest says why.
pub async fn dial(address: &Address, limit: Duration) -> Result<Dialled, DialError> {
    let end = End { began: Instant::now(), limit };
    let dialled = async {
        match address {
            Address::Tcp { host, port } => each_address(host, *port, end, open_tcp).await,
            Address::Udp { host, port } => each_address(host, *port, end, open_udp).await,
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

async fn each_address(
    host: &str,
    port: u16,
    end: End,
    open: impl AsyncFn(SocketAddr) -> io::Result<Dialled>,
) -> Result<Dialled, DialError> {
    let found = lookup_host((host, port)).await.map_err(|error| DialError::of_resolver(&error))?;
    first_that_opens(&found.collect::<Vec<_>>(), end, open).await
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
    let stream = TcpStream::connect(address).await?;
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
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::{UnixDatagram, UnixListener};

    use socket2::{Domain, SockAddr, Socket, Type};
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn address(url: &str) -> Address {
        url.parse().unwrap()
    }

    async fn failure(url: &str, limit: Duration) -> (String, String) {
        let DialError { text, code } = dial(&address(url), limit).await.expect_err(url);
        (text, code)
    }

    fn is(text: &str, code: &str) -> (String, String) {
        (text.to_owned(), code.to_owned())
    }

    fn unix_url(dir: &TempDir) -> String {
        format!("unix://{}/s", dir.path().display())
    }

    /// A port that nobody has while the socket lives: bound, and not listening.
    fn closed_port(host: &str) -> (Socket, String) {
        let at: SocketAddr = format!("{host}:0").parse().unwrap();
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, None).unwrap();
        socket.bind(&at.into()).unwrap();
        let at = socket.local_addr().unwrap().as_socket().unwrap();
        (socket, format!("tcp://{at}"))
    }

    /// A listener that does not accept and has no room left.
    fn full_listener() -> (TcpListener, Vec<std::net::TcpStream>) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let listener: TcpListener = socket.into();
        let waiting = vec![std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap()];
        (listener, waiting)
    }

    #[tokio::test]
    async fn tcp_is_connected_and_sends_at_once() {
        for host in ["127.0.0.1", "[::1]"] {
            let listener = TcpListener::bind(format!("{host}:0")).unwrap();
            let at = listener.local_addr().unwrap();
            let dialled = dial(&address(&format!("tcp://{at}")), LIMIT).await.unwrap();
            let (_accepted, client) = listener.accept().unwrap();
            assert_eq!((dialled.peer, dialled.local), (at.into(), client.into()));
            let DialledSocket::Tcp(stream) = dialled.socket else { panic!("no TCP") };
            assert!(stream.nodelay().unwrap());
        }
    }

    #[tokio::test]
    async fn a_host_name_is_looked_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        // Which may well be ::1 first, where nobody listens.
        let url = format!("tcp://localhost:{}", at.port());
        assert_eq!(dial(&address(&url), LIMIT).await.unwrap().peer, at.into());
        let unknown = failure("tcp://no-such-host.invalid:1", LIMIT).await;
        assert_eq!(unknown, is("host not found", "ENOTFOUND"));
    }

    #[tokio::test]
    async fn udp_reaches_its_peer_and_hears_it() {
        for host in ["127.0.0.1", "[::1]"] {
            let server = UdpSocket::bind(format!("{host}:0")).await.unwrap();
            let at = server.local_addr().unwrap();
            let dialled = dial(&address(&format!("udp://{at}")), LIMIT).await.unwrap();
            assert_eq!(dialled.peer, at.into());
            let DialledSocket::Udp(socket) = dialled.socket else { panic!("no UDP") };
            socket.send(b"ping").await.unwrap();
            let mut buffer = [0; 8];
            let (length, client) = server.recv_from(&mut buffer).await.unwrap();
            assert_eq!((&buffer[..length], Endpoint::from(client)), (&b"ping"[..], dialled.local));
            server.send_to(b"pong", client).await.unwrap();
            let length = socket.recv(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..length], b"pong");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_broadcast_address_is_taken_as_it_is_meant() {
        let dialled = dial(&address("udp://127.255.255.255:9"), LIMIT).await.unwrap();
        let DialledSocket::Udp(socket) = dialled.socket else { panic!("no UDP") };
        assert!(socket.broadcast().unwrap());
        let dialled = dial(&address("udp://127.0.0.1:9"), LIMIT).await.unwrap();
        let DialledSocket::Udp(socket) = dialled.socket else { panic!("no UDP") };
        assert!(!socket.broadcast().unwrap());
    }

    #[tokio::test]
    async fn a_unix_socket_is_connected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let dialled = dial(&address(&unix_url(&dir)), LIMIT).await.unwrap();
        assert_eq!(dialled.peer, Endpoint::Unix(Some(path)));
        assert_eq!(dialled.local, Endpoint::Unix(None));
        let DialledSocket::Unix(mut stream) = dialled.socket else { panic!("no Unix") };
        stream.write_all(b"hi").await.unwrap();
        drop(stream);
        let mut text = String::new();
        listener.accept().await.unwrap().0.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hi");
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_refuses() {
        for host in ["127.0.0.1", "[::1]"] {
            let (_socket, url) = closed_port(host);
            assert_eq!(failure(&url, LIMIT).await, is("connection refused", "ECONNREFUSED"));
        }
    }

    #[tokio::test]
    async fn a_path_says_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let url = unix_url(&dir);
        assert_eq!(failure(&url, LIMIT).await, is("file not found", "ENOENT"));
        drop(UnixListener::bind(dir.path().join("s")).unwrap());
        assert_eq!(failure(&url, LIMIT).await, is("connection refused", "ECONNREFUSED"));
        let long = format!("unix:///{}", "x".repeat(LONGEST_PATH));
        assert_eq!(failure(&long, LIMIT).await, is("file name too long", "ENAMETOOLONG"));

        let _datagrams = UnixDatagram::bind(dir.path().join("d")).unwrap();
        let url = format!("unix://{}/d", dir.path().display());
        assert_eq!(failure(&url, LIMIT).await, is("protocol wrong type for socket", "EPROTOTYPE"));
    }

    #[tokio::test]
    async fn datagrams_of_unix_sockets_are_not_dialled() {
        let refused = failure("unixgram:///tmp/x", LIMIT).await;
        assert_eq!(refused, is("protocol not supported", "EPROTONOSUPPORT"));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn who_does_not_answer_in_time_is_a_timeout() {
        let (listener, _waiting) = full_listener();
        let url = format!("tcp://{}", listener.local_addr().unwrap());
        let limit = Duration::from_millis(50);
        assert_eq!(failure(&url, limit).await, is("timeout", "ETIMEDOUT"));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_unix_socket_with_a_full_backlog_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(dir.path().join("s")).unwrap()).unwrap();
        socket.listen(0).unwrap();
        let listener: UnixListener = socket.into();
        let address = address(&unix_url(&dir));
        let first = dial(&address, LIMIT).await.unwrap();

        let late = dial(&address, Duration::from_millis(20)).await.unwrap_err();
        assert_eq!((late.text, late.code), is("timeout", "ETIMEDOUT"));

        let (dialled, ()) = tokio::join!(dial(&address, LIMIT), async {
            tokio::task::yield_now().await;
            drop(listener.accept().unwrap());
        });
        assert!(dialled.is_ok());
        drop(first);
    }

    #[tokio::test]
    async fn the_next_address_is_tried_and_the_most_telling_error_given() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let (_socket, url) = closed_port("127.0.0.1");
        let closed: SocketAddr = url.strip_prefix("tcp://").unwrap().parse().unwrap();
        let end = End { began: Instant::now(), limit: LIMIT };
        let dialled = first_that_opens(&[closed, good], end, open_tcp).await.unwrap();
        assert_eq!(dialled.peer, good.into());

        // Port 1 stands for an address that there is no way to.
        let nowhere: SocketAddr = "[2001:db8::1]:1".parse().unwrap();
        let open = async |address: SocketAddr| match address.port() {
            1 => Err(Errno::ENETUNREACH.into()),
            _ => open_tcp(address).await,
        };
        for order in [[closed, nowhere], [nowhere, closed]] {
            let error = first_that_opens(&order, end, open).await.unwrap_err();
            assert_eq!((error.text, error.code), is("connection refused", "ECONNREFUSED"));
        }
        let error = first_that_opens(&[nowhere], end, open).await.unwrap_err();
        assert_eq!((error.text, error.code), is("network is unreachable", "ENETUNREACH"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_leaves_time_for_the_others() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let silent: SocketAddr = "192.0.2.1:1".parse().unwrap();
        let open = async |address: SocketAddr| match address.port() {
            1 => std::future::pending().await,
            _ => open_tcp(address).await,
        };
        let end = End { began: Instant::now(), limit: Duration::from_secs(10) };
        first_that_opens(&[silent, silent, good], end, open).await.unwrap();
        assert_eq!(end.began.elapsed().as_secs(), 6);
    }

    #[test]
    fn errors_are_read_by_people_and_by_scripts() {
        for (errno, text, code) in [
            (Errno::EMFILE, "too many open files", "EMFILE"),
            (Errno::ENETUNREACH, "network is unreachable", "ENETUNREACH"),
            (Errno::EHOSTUNREACH, "no route to host", "EHOSTUNREACH"),
            (Errno::ETIMEDOUT, "timeout", "ETIMEDOUT"),
            (Errno::EACCES, "permission denied", "EACCES"),
        ] {
            let error = DialError::from(&io::Error::from(errno));
            assert_eq!((error.text, error.code), is(text, code));
        }
    }
}
