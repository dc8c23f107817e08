//! How fast, and at what cost of CPU: ping-pong over TCP and UDP, connections that come and go,
//! and bytes at full speed.

use std::net::{TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use crate::Effort;
use crate::load::{self, Bulk, Done, Link, PingPong, message};
use crate::process::Server;
use crate::table::{self, Samples};

/// What is printed of a load.
struct Names {
    title: &'static str,
    rate: &'static str,
    cost: &'static str,
}

/// 64 connections of 32 bytes: the figure that the project is held to.
pub fn tcp_small(effort: Effort) {
    tcp(effort, "tcp ping-pong, 64 connections x 32 B", 32);
}

/// 64 connections of 1 KiB.
pub fn tcp_large(effort: Effort) {
    tcp(effort, "tcp ping-pong, 64 connections x 1 KiB", 1024);
}

fn tcp(effort: Effort, title: &'static str, size: usize) {
    let servers = Servers::start();
    servers.compare(effort, &Names { title, ..MESSAGES }, |server| {
        ping_pong(streams(server, 64), size)
    });
}

/// 16 sockets of 64 bytes.
pub fn udp(effort: Effort) {
    let names = Names { title: "udp ping-pong, 16 sockets x 64 B", ..MESSAGES };
    Servers::start().compare(effort, &names, |server| {
        let sockets = (0..16).map(|_| socket(server)).collect();
        ping_pong(sockets, 64)
    });
}

/// Connect, one message, close.
pub fn churn(effort: Effort) {
    let names = Names {
        title: "connect, 32 B, close, 16 at a time",
        rate: "connections a second",
        cost: "server CPU a connection, us",
    };
    Servers::start().compare(effort, &names, |server| {
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
    Servers::start().compare(effort, &names, |server| {
        let mut bulk = Bulk::new(streams(server, 4), 64 * 1024);
        Box::new(move |length| bulk.run(length))
    });
}

const MESSAGES: Names =
    Names { title: "", rate: "messages a second", cost: "server CPU a message, us" };

/// A load, to be run for a time again and again.
type Load = Box<dyn FnMut(Duration) -> Done>;

fn ping_pong<L: Link + 'static>(links: Vec<L>, size: usize) -> Load {
    let mut load = PingPong::new(links, message(size));
    Box::new(move |length| load.run(length))
}

/// Connections that have each exchanged a message.
fn streams(server: &Server, count: usize) -> Vec<TcpStream> {
    let stream = |number| {
        let stream = load::connect(server.tcp, number);
        load::exchange(&stream, b"Hello, 123");
        stream.set_nonblocking(true).unwrap();
        stream
    };
    (0..count).map(stream).collect()
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

/// Both servers; the one that is not being measured is idle.
struct Servers {
    scriptsock: Server,
    control: Server,
}

/// The figures of one server.
#[derive(Default)]
struct Figures {
    rate: Samples,
    cost: Samples,
}

impl Servers {
    fn start() -> Self {
        Self { scriptsock: Server::scriptsock(), control: Server::control() }
    }

    /// Loads both in turn, after a warm-up, and prints what came out.
    fn compare(&self, effort: Effort, names: &Names, load: impl Fn(&Server) -> Load) {
        let sides = [&self.scriptsock, &self.control];
        let mut loads = sides.map(&load);
        let mut figures = [Figures::default(), Figures::default()];
        for load in &mut loads {
            load(effort.round / 3);
        }
        for _ in 0..effort.rounds {
            for ((server, load), figures) in sides.iter().zip(&mut loads).zip(&mut figures) {
                settle();
                let before = server.cpu();
                let done = load(effort.round);
                settle();
                let used = server.cpu().saturating_sub(before);
                figures.rate.push(done.count / done.elapsed.as_secs_f64());
                figures.cost.push(used.as_secs_f64() * 1e6 / done.count);
            }
        }
        let [scriptsock, control] = figures;
        table::compare(names.title);
        table::row(names.rate, &scriptsock.rate, &control.rate);
        table::row(names.cost, &scriptsock.cost, &control.cost);
    }
}

/// Lets the server fall asleep, which makes its CPU time exact.
fn settle() {
    thread::sleep(Duration::from_millis(5));
}
