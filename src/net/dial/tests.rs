//! Tests of dialling, over real sockets on ports that the system chooses.

use std::future::poll_fn;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::pin::pin;
use std::task::Poll;

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

/// The connection is there, and gone again, before we look at it for the first time.
#[tokio::test]
async fn what_a_peer_sent_before_its_quick_reset_is_read() {
    for sent in [&b"banner\n"[..], b""] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = address(&format!("tcp://{}", listener.local_addr().unwrap()));
        let mut dialling = pin!(dial(&url, LIMIT));
        assert!(poll_fn(|context| Poll::Ready(dialling.as_mut().poll(context))).await.is_pending());
        let mut accepted = listener.accept().unwrap().0;
        accepted.write_all(sent).unwrap();
        SockRef::from(&accepted).set_linger(Some(Duration::ZERO)).unwrap();
        drop(accepted);
        let DialledSocket::Tcp(mut stream) = dialling.await.unwrap().socket else {
            panic!("no TCP")
        };
        let mut got = Vec::new();
        let error = stream.read_to_end(&mut got).await.unwrap_err();
        assert_eq!((&*got, error.kind()), (sent, io::ErrorKind::ConnectionReset));
    }
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
    let peer = dial(&address(&url), LIMIT).await.unwrap().peer;
    assert!(peer.port() == Some(at.port()) && peer.ip().unwrap().is_loopback(), "{peer}");
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
    // No network here, which would not keep to this clock.
    let [silent, good] = [1, 2].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let open = async |address: SocketAddr| {
        if address == silent {
            return std::future::pending().await;
        }
        let socket = DialledSocket::Unix(UnixStream::pair()?.0);
        Ok(Dialled { socket, peer: address.into(), local: Endpoint::Unix(None) })
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
