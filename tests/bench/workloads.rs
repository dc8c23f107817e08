//! The loads of an uppercase echo: ping-pong and pipelined messages over TCP and UDP, connections
//! that come and go, and bytes at full speed.

use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use crate::Effort;
use crate::control::Kind;
use crate::load::{self, Bulk, Link, PingPong, Window};
use crate::process::Server;
use crate::turns::{self, Load, Names};

/// One load.
#[derive(Clone, Copy)]
pub struct Workload {
    /// On the command line.
    pub name: &'static str,
    pub names: Names,
    /// What a server must be able to do.
    pub needs: Need,
    /// The ratio to the control that is aimed at, of CPU time.
    pub aim: f64,
    /// Makes the load for a server.
    pub load: fn(&Server) -> Load,
}

/// What a server must be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Messages that are lines.
    Lines,
    /// Bytes without any end of line.
    Bytes,
    /// Datagrams.
    Datagrams,
}

/// All of them, in the order they run in.
pub const ECHO: [Workload; 7] = [
    messages("tcp32", "tcp ping-pong, 64 connections x 32 B", Need::Lines, 1.10, |server| {
        pipelined(streams(server, 64), 32, 1)
    }),
    messages("tcp1k", "tcp ping-pong, 64 connections x 1 KiB", Need::Lines, 1.12, |server| {
        pipelined(streams(server, 64), 1024, 1)
    }),
    // What one read returns is one message to the handler; what is counted is what was sent.
    messages(
        "pipelined",
        "tcp pipelined, 16 x depth 32 x 32 B, raw",
        Need::Lines,
        1.20,
        |server| pipelined(streams(server, 16), 32, 32),
    ),
    Workload {
        name: "churn",
        names: Names {
            title: "connect, 32 B, close, 16 at a time",
            rate: "connections a second",
            cost: "server CPU a connection, us",
        },
        needs: Need::Lines,
        aim: 1.10,
        load: |server| {
            let address = server.tcp;
            Box::new(move |length| load::churn(address, 16, length))
        },
    },
    Workload {
        name: "bulk",
        names: Names {
            title: "tcp bulk, 4 connections, 1 MiB writes",
            rate: "MiB a second, each way",
            cost: "server CPU a MiB, us",
        },
        needs: Need::Bytes,
        aim: 2.0,
        load: |server| {
            let mut bulk = Bulk::new(streams(server, 4), 1 << 20);
            Box::new(move |length| bulk.run(length))
        },
    },
    messages("udp64", "udp ping-pong, 16 sockets x 64 B", Need::Datagrams, 1.00, |server| {
        pipelined((0..16).map(|_| socket(server)).collect(), 64, 1)
    }),
    messages("window", "udp, 64 in flight on one socket, 64 B", Need::Datagrams, 0.92, |server| {
        let mut load = Window::new(socket(server), 64, 64);
        Box::new(move |length| load.run(length))
    }),
];

const fn messages(
    name: &'static str,
    title: &'static str,
    needs: Need,
    aim: f64,
    load: fn(&Server) -> Load,
) -> Workload {
    let names = Names { title, rate: "messages a second", cost: "server CPU a message, us" };
    Workload { name, names, needs, aim, load }
}

impl Workload {
    /// The default handler against the control, and prints it.
    pub fn measure(&self, effort: Effort) {
        let (scriptsock, control) = (Server::scriptsock(), Server::control(Kind::Echo));
        let [ours, theirs] = turns::measure(effort, [&scriptsock, &control], self.load);
        turns::show(&self.names, &ours, &theirs);
    }
}

/// Connections with so many messages in each write.
pub fn pipelined<L: Link + 'static>(links: Vec<L>, size: usize, depth: usize) -> Load {
    let mut load = PingPong::new(links, &load::line(size), depth);
    Box::new(move |length| load.run(length))
}

/// Connections that the server has answered already.
pub fn streams(server: &Server, count: usize) -> Vec<TcpStream> {
    load::streams(server.tcp, count)
}

fn socket(server: &Server) -> UdpSocket {
    let socket = load::connect_udp(server.udp.expect("a server of datagrams"));
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.send(b"Hello, 123").unwrap();
    let mut answer = [0; 64];
    let count = socket.recv(&mut answer).unwrap();
    assert_eq!(&answer[..count], b"HELLO, 123");
    socket.set_nonblocking(true).unwrap();
    socket
}
