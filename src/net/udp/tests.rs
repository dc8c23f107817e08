//! Datagrams between real sockets of loopback: batches, trains, and where they come from and go to.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::net::Endpoint;

/// How long something that is sure to come may take.
const SOON: Duration = Duration::from_secs(10);

fn bind(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// A socket that waits for what is sent to it.
fn peer(address: &str) -> (UdpSocket, Endpoint) {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let endpoint = socket.local_addr().unwrap().into();
    (socket, endpoint)
}

fn expect(peer: &UdpSocket, datagrams: &[Vec<u8>]) {
    let mut buffer = vec![0; 65_536];
    for datagram in datagrams {
        let length = peer.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], datagram, "{length} bytes");
    }
}

/// Sends everything; how many each system call took.
fn send(
    sender: &mut Sender,
    socket: &UdpSocket,
    from: &Endpoint,
    datagrams: &[(&Endpoint, Vec<u8>)],
) -> Vec<usize> {
    let (mut sent, mut steps) = (0, Vec::new());
    while sent < datagrams.len() {
        let datagram = |index: usize| {
            let (to, data) = &datagrams[sent + index];
            Datagram { to, from, data }
        };
        let step = sender.send(socket, datagrams.len() - sent, &datagram).unwrap();
        steps.push(step);
        sent += step;
    }
    steps
}

/// Has a socket at `server` send all kinds of neighbours, and checks what arrives at peers which
/// `local` is an address of. What each call of a system with trains takes, if they are in use.
fn neighbours_arrive(server: &str, local: &str) -> (Vec<usize>, UdpSocket) {
    let socket = bind(server);
    let wildcard = socket.local_addr().unwrap().ip().is_unspecified();
    let from = socket.local_addr().unwrap();
    let from = Endpoint::Inet((local.parse::<IpAddr>().unwrap(), from.port()).into());
    let place = if local.contains(':') { format!("[{local}]:0") } else { format!("{local}:0") };
    let ((one, to_one), (two, to_two)) = (peer(&place), peer(&place));
    let mut sender = Sender::new(&socket, socket.local_addr().unwrap(), wildcard);
    let text = |letter: u8, length: usize| vec![letter; length];
    let datagrams = [
        // Alone, and another for somebody else.
        (&to_two, text(b'a', 5)),
        (&to_one, text(b'b', 7)),
        // A train with a shorter end, and what does not fit it: longer, then empty.
        (&to_two, text(b'c', 9)),
        (&to_two, text(b'd', 9)),
        (&to_two, text(b'e', 3)),
        (&to_two, text(b'f', 4)),
        (&to_two, text(b'g', 20)),
        (&to_two, text(b'h', 0)),
        (&to_two, text(b'i', 0)),
        // Two that together are larger than any datagram.
        (&to_one, text(b'j', 40_000)),
        (&to_one, text(b'k', 40_000)),
        (&to_one, text(b'l', 8)),
        (&to_one, text(b'm', 8)),
    ];
    let steps = send(&mut sender, &socket, &from, &datagrams);
    for (peer, to) in [(&one, &to_one), (&two, &to_two)] {
        let its: Vec<_> = datagrams.iter().filter(|(whose, _)| *whose == to).cloned().collect();
        expect(peer, &its.into_iter().map(|(_, data)| data).collect::<Vec<_>>());
    }
    (steps, socket)
}

#[test]
fn what_goes_in_one_piece_arrives_as_it_was() {
    for (server, local) in [("127.0.0.1:0", "127.0.0.1"), ("0.0.0.0:0", "127.0.0.1")] {
        let (steps, _) = neighbours_arrive(server, local);
        if cfg!(target_os = "linux") {
            assert_eq!(steps, [2, 3, 6, 2], "from {server}");
        }
    }
    if UdpSocket::bind("[::1]:0").is_ok() {
        neighbours_arrive("[::1]:0", "::1");
        neighbours_arrive("[::]:0", "::1");
    }
}

#[test]
fn a_train_is_as_long_as_a_batch_and_no_longer() {
    let socket = bind("127.0.0.1:0");
    let from = socket.local_addr().unwrap();
    let (receiver, to) = peer("127.0.0.1:0");
    let mut sender = Sender::new(&socket, from, false);
    let text: Vec<_> = (0..100).map(|number: u32| format!("{number:03}").into_bytes()).collect();
    let datagrams: Vec<_> = text.iter().map(|text| (&to, text.clone())).collect();
    let steps = send(&mut sender, &socket, &from.into(), &datagrams);
    expect(&receiver, &text);
    if cfg!(target_os = "linux") {
        assert_eq!(steps, [32, 32, 32, 4]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn replies_to_several_addresses_of_ours_leave_from_each() {
    let socket = bind("0.0.0.0:0");
    let port = socket.local_addr().unwrap().port();
    let (receiver, to) = peer("127.0.0.1:0");
    let mut sender = Sender::new(&socket, socket.local_addr().unwrap(), true);
    let ours =
        [1, 2, 2, 3].map(|last| Endpoint::Inet((Ipv4Addr::new(127, 0, 0, last), port).into()));
    let mut sent = 0;
    while sent < ours.len() {
        let datagram = |index: usize| Datagram { to: &to, from: &ours[sent + index], data: b"x" };
        sent += sender.send(&socket, ours.len() - sent, &datagram).unwrap();
    }
    for from in ours {
        assert_eq!(Endpoint::Inet(receiver.recv_from(&mut [0; 8]).unwrap().1), from);
    }
}

#[tokio::test]
async fn one_that_cannot_be_sent_costs_no_other() {
    let socket = bind("127.0.0.1:0");
    let from = socket.local_addr().unwrap().into();
    let mut socket = crate::net::datagram::DatagramSocket::udp(socket, false).unwrap();
    let (receiver, good) = peer("127.0.0.1:0");
    let nowhere = Endpoint::Inet(([127, 0, 0, 1], 0).into());
    let datagrams = [
        (&good, "1"),
        (&nowhere, "no"),
        (&good, "2"),
        (&nowhere, "no"),
        (&nowhere, "no"),
        (&good, "3"),
        (&good, "4"),
    ];
    let mut sent = 0;
    while sent < datagrams.len() {
        let left = datagrams.len() - sent;
        let step = poll_fn(|context| {
            socket.poll_send(context, left, |index| {
                let (to, data) = datagrams[sent + index];
                Datagram { to, from: &from, data: data.as_bytes() }
            })
        });
        sent += timeout(SOON, step).await.unwrap().unwrap();
    }
    expect(&receiver, &["1", "2", "3", "4"].map(|text| text.as_bytes().to_vec()));
}

/// What one poll of a socket gives, where it gives something.
async fn receive(udp: &mut Udp) -> Vec<(Option<IpAddr>, Vec<u8>)> {
    let mut received = Vec::new();
    let batch = poll_fn(|context| {
        udp.poll_receive(context, |_, local, data| {
            received.push((local, data.to_vec()));
            ControlFlow::Continue(())
        })
    });
    timeout(SOON, batch).await.unwrap().unwrap();
    received
}

#[tokio::test]
async fn what_comes_after_a_short_batch_is_noticed() {
    let mut udp = Udp::new(bind("127.0.0.1:0"), false).unwrap();
    let to = udp.local().unwrap();
    let (sender, _) = peer("127.0.0.1:0");
    for round in 0..3_u8 {
        // One alone, then more than a batch holds.
        for count in [1, 2, 70] {
            for number in 0..count {
                sender.send_to(&[round, number], to).unwrap();
            }
            let mut received = Vec::new();
            while received.len() < count.into() {
                received.extend(receive(&mut udp).await.into_iter().map(|(_, data)| data));
            }
            let expected: Vec<_> = (0..count).map(|number| vec![round, number]).collect();
            assert_eq!(received, expected);
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn each_batch_of_a_wildcard_socket_tells_where_it_came_to() {
    use nix::sys::socket::setsockopt;
    use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};

    let socket = bind("0.0.0.0:0");
    setsockopt(&socket, Ipv4PacketInfo, &true).unwrap();
    told_where(socket, "127.0.0.1:0", &["127.0.0.1", "127.0.0.2", "127.9.8.7"]).await;
    if let Ok(socket) = UdpSocket::bind("[::]:0") {
        socket.set_nonblocking(true).unwrap();
        setsockopt(&socket, Ipv6RecvPacketInfo, &true).unwrap();
        told_where(socket, "[::1]:0", &["::1"]).await;
    }
}

/// Sends three rounds to each of the addresses, and checks that each datagram tells its own.
async fn told_where(socket: UdpSocket, from: &str, addresses: &[&str]) {
    let mut udp = Udp::new(socket, true).unwrap();
    let port = udp.local().unwrap().port();
    let (sender, _) = peer(from);
    for _ in 0..3 {
        let expected: Vec<_> = addresses
            .iter()
            .map(|ip| (Some(ip.parse().unwrap()), ip.as_bytes().to_vec()))
            .collect();
        for ip in addresses {
            sender.send_to(ip.as_bytes(), (ip.parse::<IpAddr>().unwrap(), port)).unwrap();
        }
        let mut received = Vec::new();
        while received.len() < expected.len() {
            received.extend(receive(&mut udp).await);
        }
        assert_eq!(received, expected);
    }
}

#[tokio::test]
async fn a_full_socket_is_watched_until_there_is_room() {
    let (near, mut far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let mut room = Room::new(near.try_clone().unwrap());
    poll_fn(|context| room.poll(context)).await.unwrap();
    let mut filled = 0;
    while let Ok(count) = (&near).write(&[0; 4096]) {
        filled += count;
    }
    for _ in 0..2 {
        room.is_full().unwrap();
        let waits = timeout(Duration::ZERO, poll_fn(|context| room.poll(context))).await;
        assert!(waits.is_err(), "there is no room yet");
    }
    far.set_nonblocking(true).unwrap();
    let mut buffer = vec![0; filled];
    far.read_exact(&mut buffer).unwrap();
    timeout(SOON, poll_fn(|context| room.poll(context))).await.unwrap().unwrap();
    assert!(matches!(room, Room::Free(Some(_))));
}
