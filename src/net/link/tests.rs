//! Tests of links, over real sockets on ports and paths that the system chooses.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

async fn open(url: &str) -> Link {
    Link::open(&url.parse().unwrap(), LIMIT).await.unwrap()
}

/// The other end says `hi` once it has seen `yo` and the end, and ends too.
fn answer_and_end(mut stream: impl Read + Write) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "yo");
    stream.write_all(b"hi").unwrap();
}

#[tokio::test]
async fn streams_are_written_half_closed_and_read_to_their_end() {
    let dir = tempfile::tempdir().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let unix = UnixListener::bind(dir.path().join("s")).unwrap();
    let urls = [
        format!("tcp://{}", tcp.local_addr().unwrap()),
        format!("unix://{}/s", dir.path().display()),
    ];
    for (number, url) in urls.iter().enumerate() {
        let link = open(url).await;
        assert_eq!(link.peer, *url);
        assert!(!link.is_datagram());
        assert_eq!(link.send(b"yo").await.unwrap(), 2);
        link.end().unwrap();
        if number == 0 {
            answer_and_end(tcp.accept().unwrap().0);
        } else {
            answer_and_end(unix.accept().unwrap().0);
        }
        let mut buffer = [0; 8];
        assert_eq!(link.receive(&mut buffer).await.unwrap(), 2);
        assert_eq!(&buffer[..2], b"hi");
        assert_eq!(link.receive(&mut buffer).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn datagrams_go_both_ways_and_leave_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let link = open(&format!("udp://{}", udp.local_addr().unwrap())).await;
    assert!(link.is_datagram());
    link.send(b"").await.unwrap();
    let mut buffer = [0; 8];
    let (count, from) = udp.recv_from(&mut buffer).unwrap();
    assert_eq!((count, Endpoint::from(from).port()), (0, link.local.port()));
    udp.send_to(b"hi", from).unwrap();
    assert_eq!(link.receive(&mut buffer).await.unwrap(), 2);

    let path = dir.path().join("d");
    let unixgram = UnixDatagram::bind(&path).unwrap();
    let link = open(&format!("unixgram://{}", path.display())).await;
    assert_eq!(link.peer, format!("unixgram://{}", path.display()));
    link.send(b"yo").await.unwrap();
    let (_, from) = unixgram.recv_from(&mut buffer).unwrap();
    let own = from.as_pathname().unwrap().to_owned();
    assert_eq!(link.local, Endpoint::Unix(Some(own.clone())));
    unixgram.send_to(b"hi", &own).unwrap();
    assert_eq!(link.receive(&mut buffer).await.unwrap(), 2);
    drop(link);
    assert!(!own.exists() && !own.parent().unwrap().exists());
}

#[tokio::test]
async fn a_refused_peer_is_told_and_the_link_can_be_used_on() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = udp.local_addr().unwrap();
    let link = open(&format!("udp://{address}")).await;
    drop(udp);
    link.send(b"lost").await.unwrap();
    let refused = link.receive(&mut [0; 8]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let udp = UdpSocket::bind(address).unwrap();
    link.send(b"here").await.unwrap();
    let mut buffer = [0; 8];
    assert_eq!(udp.recv(&mut buffer).unwrap(), 4);
}

#[tokio::test]
async fn datagrams_to_a_name_go_to_its_ipv4_address() {
    let link = open("udp://localhost:9").await;
    assert_eq!(link.peer, "udp://127.0.0.1:9");
}

#[tokio::test]
async fn a_path_that_cannot_be_is_an_error_for_every_kind() {
    for url in ["unix:///no/such/socket", "unixgram:///no/such/socket"] {
        let error = Link::open(&url.parse().unwrap(), LIMIT).await.unwrap_err();
        assert_eq!((error.text.as_str(), error.code.as_str()), ("file not found", "ENOENT"));
    }
    let long = format!("unixgram:///{}", "x".repeat(200));
    let error = Link::open(&long.parse().unwrap(), LIMIT).await.unwrap_err();
    assert_eq!(error.code, "ENAMETOOLONG");
}
