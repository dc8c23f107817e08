//! Memory of a connection that is open and silent, at 10,000 of them. What the kernel holds of a
//! socket is not counted: it is the same for both.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use scriptsock::net::descriptors;

use crate::Effort;
use crate::load::{connect, exchange};
use crate::process::{Kind, Memory, Server};

const CONNECTIONS: usize = 10_000;

/// Connections are made in batches that the server's backlog holds.
const BATCH: usize = 500;

const PLAIN: &str = "return function(msg) return msg:upper() end";
const STATE: &str =
    "return function(msg, conn) conn.state.n = (conn.state.n or 0) + 1 return msg:upper() end";

/// Measures a server with each kind of handler and prints the figures.
pub fn measure(_: Effort) {
    // The servers inherit it.
    let limit = descriptors::raise_limit().unwrap_or(u64::MAX);
    if limit < CONNECTIONS as u64 + 100 {
        return println!("idle connections: skipped, the limit of open descriptors is {limit}");
    }
    println!(
        "{:<40} {:>22} {:>22} {:>22}",
        format!("bytes a connection at {CONNECTIONS}: PSS (RSS)"),
        "never spoke",
        "one message each",
        "process in all, MiB"
    );
    report("scriptsock, function(msg)", &Server::with_handler(PLAIN));
    report("scriptsock, function(msg, conn), state", &Server::with_handler(STATE));
    report("control", &Server::control(Kind::Echo));
}

fn report(name: &str, server: &Server) {
    let first = connect(server.tcp, 0);
    exchange(&first, b"hello");
    let before = settled(server);
    let open = fill(server);
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
}

/// Opens all connections; returns once the server has accepted them.
fn fill(server: &Server) -> Vec<TcpStream> {
    let descriptors = server.descriptors();
    let mut open = Vec::with_capacity(CONNECTIONS);
    // One is open already, and 10,000 is what `--max-conns` allows.
    while open.len() < CONNECTIONS - 1 {
        let batch = BATCH.min(CONNECTIONS - 1 - open.len());
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
    let bytes = |kib: f64| kib * 1024.0 / (CONNECTIONS - 1) as f64;
    format!("{:.0} ({:.0})", bytes(after.pss - before.pss), bytes(after.rss - before.rss))
}
