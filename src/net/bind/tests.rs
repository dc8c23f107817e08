//! Binding: what is taken, what is refused, and in which words.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

const BACKLOG: u32 = 16;

fn try_bind(urls: &[&str], workers: usize) -> Result<Vec<Bound>, String> {
    let listens: Vec<Listen> = urls.iter().flat_map(|url| Listen::parse(url).unwrap()).collect();
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
