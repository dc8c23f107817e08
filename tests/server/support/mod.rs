//! The harness: start the program (`server`), collect what it prints (`lines`), talk to it over
//! streams (`client`) and datagrams (`datagram`), be talked to (`listener`), run a command with
//! pipes (`piped`) or on a terminal (`terminal`), have programs of others talk to it (`tools`).
//! Nothing here sleeps and hopes: every wait is for an event and has a generous limit.

mod client;
mod datagram;
mod lines;
mod listener;
mod piped;
mod server;
mod terminal;
mod tools;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

pub use client::Client;
pub use datagram::DatagramClient;
pub use lines::Lines;
pub use listener::Listener;
pub use piped::{Ended, Piped};
pub use server::{Builder, Failed, SIGCONT, SIGHUP, SIGINT, SIGSTOP, SIGTERM, Server};
pub use terminal::{COLUMNS, Terminal};
pub use tools::{Printed, Tool};

/// How long a test waits for an event before it fails. Far more than the event ever needs: the
/// limit only decides when a broken server is called broken.
pub const LIMIT: Duration = Duration::from_secs(20);

/// How long a client waits for bytes of its peer.
pub const CLIENT_LIMIT: Duration = Duration::from_secs(10);

/// Calls `probe` until it gives a value; fails with `what` when the limit has passed.
#[track_caller]
pub fn wait_until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An address that nobody has now, and whose port nobody gets who asks the system for any: those
/// begin above it. For tests where nobody listens, or not yet.
pub fn idle_address() -> SocketAddr {
    const PORTS: u16 = 10_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Where two test runs go on at a time they look in different places.
    let begin = std::process::id() % u32::from(PORTS);
    wait_until("a port should be idle", || {
        let number = (begin + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % u32::from(PORTS);
        let port = 20_000 + u16::try_from(number).unwrap();
        let place = (Ipv4Addr::UNSPECIFIED, port);
        let is_idle = TcpListener::bind(place).is_ok() && UdpSocket::bind(place).is_ok();
        is_idle.then(|| (Ipv4Addr::LOCALHOST, port).into())
    })
}

/// Lets this process, and what it starts from now on, hold `count` descriptors.
#[track_caller]
pub fn raise_descriptor_limit(count: u64) {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(hard >= count, "the hard limit of descriptors is {hard}, this test needs {count}");
    if soft < count {
        setrlimit(Resource::RLIMIT_NOFILE, count, hard).unwrap();
    }
}

/// The bytes as a person reads them, shortened where they are many.
pub fn printable(data: &[u8]) -> String {
    const SHOWN: usize = 2000;
    if data.len() <= SHOWN {
        return format!("\"{}\" ({} bytes)", data.escape_ascii(), data.len());
    }
    format!("\"{}...\" ({} bytes)", data[..SHOWN].escape_ascii(), data.len())
}
