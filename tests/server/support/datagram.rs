//! A plain blocking client of a datagram socket, UDP or Unix, connected to one server address.

use super::{CLIENT_LIMIT, printable};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

/// One datagram peer of the server. Being connected, it gets only what comes from the address
/// that it sends to.
pub struct DatagramClient {
    socket: Socket,
}

impl DatagramClient {
    /// A UDP peer on a loopback port of its own.
    #[track_caller]
    pub fn udp(server: SocketAddr) -> Self {
        let socket = match server {
            SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)),
            SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)),
        }
        .unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(CLIENT_LIMIT)).unwrap();
        Self { socket: Socket::Udp(socket) }
    }

    /// A Unix datagram peer, bound to `own` so that it can be answered.
    #[track_caller]
    pub fn unix(own: &Path, server: &Path) -> Self {
        let socket = UnixDatagram::bind(own).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(CLIENT_LIMIT)).unwrap();
        Self { socket: Socket::Unix(socket) }
    }

    /// The client's own address. UDP only.
    pub fn local_addr(&self) -> SocketAddr {
        match &self.socket {
            Socket::Udp(socket) => socket.local_addr().unwrap(),
            Socket::Unix(_) => panic!("a Unix socket has no such address"),
        }
    }

    /// Sends one datagram.
    #[track_caller]
    pub fn send(&self, data: &[u8]) {
        let sent = match &self.socket {
            Socket::Udp(socket) => socket.send(data),
            Socket::Unix(socket) => socket.send(data),
        };
        match sent {
            Ok(count) => assert_eq!(count, data.len(), "the datagram was cut"),
            Err(error) => panic!("send {}: {error}", printable(data)),
        }
    }

    /// The next datagram.
    #[track_caller]
    pub fn receive(&self) -> Vec<u8> {
        match self.try_receive() {
            Ok(data) => data,
            Err(error) => panic!("no datagram came: {error}"),
        }
    }

    /// The next datagram, if one comes within `pause`.
    #[track_caller]
    pub fn receive_within(&self, pause: Duration) -> Option<Vec<u8>> {
        self.set_read_limit(pause);
        let received = self.try_receive();
        self.set_read_limit(CLIENT_LIMIT);
        match received {
            Ok(data) => Some(data),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                None
            }
            Err(error) => panic!("no datagram came: {error}"),
        }
    }

    /// Expects the next datagram to be exactly `expected`.
    #[track_caller]
    pub fn expect(&self, expected: &[u8]) {
        let got = match self.try_receive() {
            Ok(got) => got,
            Err(error) => panic!("expected {}, got {error}", printable(expected)),
        };
        assert!(got == expected, "expected {}\n     got {}", printable(expected), printable(&got));
    }

    /// Sends `data` and expects `reply`.
    #[track_caller]
    pub fn exchange(&self, data: &[u8], reply: &[u8]) {
        self.send(data);
        self.expect(reply);
    }

    /// No datagram comes within `pause`.
    #[track_caller]
    pub fn expect_silence(&self, pause: Duration) {
        if let Some(data) = self.receive_within(pause) {
            panic!("expected silence, got {}", printable(&data));
        }
    }

    fn set_read_limit(&self, limit: Duration) {
        match &self.socket {
            Socket::Udp(socket) => socket.set_read_timeout(Some(limit)),
            Socket::Unix(socket) => socket.set_read_timeout(Some(limit)),
        }
        .unwrap();
    }

    fn try_receive(&self) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; 70_000];
        let count = match &self.socket {
            Socket::Udp(socket) => socket.recv(&mut buffer),
            Socket::Unix(socket) => socket.recv(&mut buffer),
        }?;
        buffer.truncate(count);
        Ok(buffer)
    }
}
