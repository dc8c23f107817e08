//! How fast, and at what cost of CPU: ping-pong over TCP and UDP, connections that come and go,
//! and bytes at full speed.

use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use crate::Effort;
use crate::compare::{Load, Names, Servers};
use crate::load::{self, Bulk, Link, PingPong, Window, message};
use crate::process::Server;

/// 64 connections of 32 bytes: the figure that the project is held to.
pub fn tcp_small(effort: Effort) {
    tcp(effort, "tcp ping-pong, 64 connections x 32 B", 32);
}

/// 64 connections of 1 KiB.
pub fn tcp_large(effort: Effort) {
    tcp(effort, "tcp ping-pong, 64 connections x 1 KiB", 1024);
}

fn tcp(effort: Effort, title: &'static str, size: usize) {
    let servers = Servers::echo();
    servers.compare(effort, &Names { title, ..MESSAGES }, |server| {
        ping_pong(streams(server, 64), size)
    });
}

/// 16 sockets of 64 bytes.
pub fn udp(effort: Effort) {
    let names = Names { title: "udp ping-pong, 16 sockets x 64 B", ..MESSAGES };
    Servers::echo().compare(effort, &names, |server| {
        let sockets = (0..16).map(|_| socket(server)).collect();
        ping_pong(sockets, 64)
    });
}

/// 16 connections with 32 messages of 32 bytes in each write. What one read returns is one message
/// to the handler; what is counted is what was sent.
pub fn pipelined(effort: Effort) {
    let names = Names { title: "tcp pipelined, 16 connections x 32 x 32 B", ..MESSAGES };
    Servers::echo().compare(effort, &names, |server| {
        let mut load = PingPong::pipelined(streams(server, 16), &message(32), 32);
        Box::new(move |length| load.run(length))
    });
}

/// One socket with 64 datagrams of 64 bytes on their way.
pub fn udp_window(effort: Effort) {
    let names = Names { title: "udp, 64 in flight on one socket x 64 B", ..MESSAGES };
    Servers::echo().compare(effort, &names, |server| {
        let mut load = Window::new(socket(server), 64, 64);
        Box::new(move |length| load.run(length))
    });
}

/// Connect, one message, close.
pub fn churn(effort: Effort) {
    let names = Names {
        title: "connect, 32 B, close, 16 at a time",
        rate: "connections a second",
        cost: "server CPU a connection, us",
    };
    Servers::echo().compare(effort, &names, |server| {
        let address = server.tcp;
        Box::new(move |length| load::churn(address, 16, length))
    });
}

/// Four connections at full speed.
pub fn bulk(effort: Effort) {
    let names = Names {
        title: "bulk, 4 connections, 64 KiB writes",
        rate: "MiB a second, each way",
        cost: "server CPU a MiB, us",
    };
    Servers::echo().compare(effort, &names, |server| {
        let mut bulk = Bulk::new(streams(server, 4), 64 * 1024);
        Box::new(move |length| bulk.run(length))
    });
}

const MESSAGES: Names =
    Names { title: "", rate: "messages a second", cost: "server CPU a message, us" };

fn ping_pong<L: Link + 'static>(links: Vec<L>, size: usize) -> Load {
    let mut load = PingPong::new(links, &message(size));
    Box::new(move |length| load.run(length))
}

fn streams(server: &Server, count: usize) -> Vec<TcpStream> {
    load::streams(server.tcp, count, b"Hello, 123")
}

fn socket(server: &Server) -> UdpSocket {
    let socket = load::connect_udp(server.udp);
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.send(b"Hello, 123").unwrap();
    let mut answer = [0; 64];
    let count = socket.recv(&mut answer).unwrap();
    assert_eq!(&answer[..count], b"HELLO, 123");
    socket.set_nonblocking(true).unwrap();
    socket
}
