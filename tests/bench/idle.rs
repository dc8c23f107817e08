//! Memory of a connection that is open and silent, at 10,000 of them. What the kernel holds of a
//! socket is not counted: it is the same for both.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use scriptsock::net::descriptors;

use crate::Effort;
use crate::aims::{Aim, Finding};
use crate::control::Kind;
use crate::load::{connect, exchange};
use crate::process::{Memory, Server};

const CONNECTIONS: usize = 10_000;

/// Connections are made in batches that the server's backlog holds.
const BATCH: usize = 500;

const PLAIN: &str = "return function(msg) return msg:upper() end";
const STATE: &str =
    "return function(msg, conn) conn.state.n = (conn.state.n or 0) + 1 return msg:upper() end";

/// Measures a server with each kind of handler and prints the figures.
pub fn measure(_: Effort) -> Vec<Finding> {
    let (silent, spoken) = ("memory of a silent connection", "the same after one message");
    let aim = Aim::Most(1.5, "KiB");
    // The servers inherit it.
    let limit = descriptors::raise_limit().unwrap_or(u64::MAX);
    if limit < CONNECTIONS as u64 + 100 {
        println!("idle connections: skipped, the limit of open descriptors is {limit}");
        let why = format!("descriptors end at {limit}");
        return [silent, spoken].map(|what| Finding::skipped(what, &why, aim)).into();
    }
    println!(
        "{:<40} {:>22} {:>22} {:>22}",
        format!("bytes a connection at {CONNECTIONS}: PSS (RSS)"),
        "never spoke",
        "one message each",
        "process in all, MiB"
    );
    let ours = report("scriptsock, function(msg)", &Server::with_handler(PLAIN));
    report("scriptsock, function(msg, conn), state", &Server::with_handler(STATE));
    report("control, a buffer of 64 KiB each", &Server::control(Kind::Echo));
    let bare = report("control, no buffer while silent", &Server::control(Kind::Bare));
    let finding =
        |what, ours: f64, bare: f64| Finding::figure(what, ours / 1024.0, Some(bare / 1024.0), aim);
    vec![finding(silent, ours.silent, bare.silent), finding(spoken, ours.spoken, bare.spoken)]
}

/// Bytes that a connection has added to the process.
struct Each {
    silent: f64,
    spoken: f64,
}

fn report(name: &str, server: &Server) -> Each {
    let first = connect(server.tcp, 0);
    exchange(&first, b"hello");
    let before = settled(server);
    // One is open already, and 10,000 is what `--max-conns` allows.
    let open = fill(server, CONNECTIONS - 1);
    let silent = settled(server);
    for stream in &open {
        exchange(stream, b"hello");
    }
    let spoken = settled(server);
    println!(
        "  {name:<38} {:>22} {:>22} {:>22}",
        each(before, silent),
        each(before, spoken),
        format!("{:.2} -> {:.2}", before.pss / 1024.0, spoken.pss / 1024.0)
    );
    let bytes = |after: Memory| added(before.pss, after.pss);
    Each { silent: bytes(silent), spoken: bytes(spoken) }
}

/// Opens so many connections; returns once the server has accepted them.
pub fn fill(server: &Server, count: usize) -> Vec<TcpStream> {
    let descriptors = server.descriptors();
    let mut open = Vec::with_capacity(count);
    while open.len() < count {
        let batch = BATCH.min(count - open.len());
        open.extend((0..batch).map(|number| connect(server.tcp, number)));
        let limit = Instant::now() + Duration::from_secs(10);
        while server.descriptors() < descriptors + open.len() {
            assert!(Instant::now() < limit, "the server does not accept");
            thread::sleep(Duration::from_millis(1));
        }
    }
    open
}

/// The memory once nothing happens any more.
fn settled(server: &Server) -> Memory {
    thread::sleep(Duration::from_millis(300));
    server.memory()
}

/// What one connection has added, in bytes.
fn each(before: Memory, after: Memory) -> String {
    let (pss, rss) = (added(before.pss, after.pss), added(before.rss, after.rss));
    format!("{pss:.0} ({rss:.0})")
}

/// KiB of the process, as bytes of a connection.
fn added(before: f64, after: f64) -> f64 {
    (after - before) * 1024.0 / (CONNECTIONS - 1) as f64
}
