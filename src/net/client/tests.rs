//! Tests of a client's sockets, over real ones.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use super::*;

fn wait_connected(client: &ClientSocket) -> io::Result<()> {
    let begin = Instant::now();
    while !client.is_connected()? {
        assert!(begin.elapsed() < Duration::from_secs(10), "never connected");
        std::thread::yield_now();
    }
    Ok(())
}

fn local(address: SocketAddr) -> Address {
    Address::Tcp { host: address.ip().to_string(), port: address.port() }
}

#[test]
fn spread_connections_leave_from_many_addresses() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::resolve(&local(listener.local_addr().unwrap()), true).unwrap();
    for (number, from) in [(0, "127.0.0.2"), (1, "127.0.0.3"), (200, "127.0.0.2")] {
        let client = target.open(number).unwrap();
        wait_connected(&client).unwrap();
        assert_eq!(listener.accept().unwrap().1.ip().to_string(), from);
    }
}

#[test]
fn a_closed_port_refuses() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = Target::resolve(&local(address), false).unwrap();
    let refused = target.open(0).and_then(|client| wait_connected(&client)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn localhost_is_its_ipv4_address_where_there_is_one() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let address = Address::Udp { host: "localhost".to_owned(), port };
    let target = Target::resolve(&address, false).unwrap();
    assert_eq!(target.to_string(), format!("udp://127.0.0.1:{port}"));
    assert!(target.is_datagram());
}

#[test]
fn a_unix_datagram_client_has_an_address_to_answer_to_and_cleans_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.sock");
    let server = UnixDatagram::bind(&path).unwrap();
    let target = Target::resolve(&Address::Unixgram(path), false).unwrap();
    let client = target.open(3).unwrap();
    client.send(b"hi").unwrap();
    let mut buffer = [0; 8];
    let (count, from) = server.recv_from(&mut buffer).unwrap();
    let own = from.as_pathname().unwrap().to_owned();
    server.send_to(&buffer[..count], &own).unwrap();
    assert_eq!(client.receive(&mut buffer).unwrap(), 2);
    drop(client);
    assert!(!own.exists());
    drop(target);
    assert!(!own.parent().unwrap().exists());
}

#[test]
fn port_0_is_refused() {
    let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 0 };
    let error = Target::resolve(&address, false).unwrap_err();
    assert!(error.to_string().contains("port 0"), "{error}");
}
