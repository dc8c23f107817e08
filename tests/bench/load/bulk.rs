//! Bytes at full speed.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::epoll::{EpollEvent, EpollFlags};

use super::{Done, Link, SILENCE, Watched, index_of, message, stamp, taken};

/// Streams that send as fast as the server takes it, and read what comes back.
pub struct Bulk {
    watched: Watched<TcpStream>,
    piece: Vec<u8>,
}

impl Bulk {
    /// On streams that do not block, in writes of `size` bytes.
    pub fn new(links: Vec<TcpStream>, size: usize) -> Self {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT;
        Self { watched: Watched::new(links, flags), piece: message(size) }
    }

    /// Runs for `length`; counts MiB that came back.
    pub fn run(&mut self, length: Duration) -> Done {
        let began = Instant::now();
        let (mut sent, mut received) = (0, 0);
        let mut pieces = 0;
        let mut events = [EpollEvent::empty(); 64];
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let ready = self.watched.wait(&mut events, SILENCE);
            assert!(!ready.is_empty(), "no answer for {SILENCE:?}");
            let over = began.elapsed() >= length;
            for event in ready {
                let stream = &self.watched.links[index_of(event)];
                if event.events().contains(EpollFlags::EPOLLIN) {
                    received += taken(stream.receive(&mut buffer)).unwrap_or(0);
                }
                if !over && event.events().contains(EpollFlags::EPOLLOUT) {
                    pieces += 1;
                    stamp(&mut self.piece, pieces);
                    sent += taken(stream.send(&self.piece)).unwrap_or(0);
                }
            }
            if over && received == sent {
                let count = received as f64 / f64::from(1 << 20);
                return Done { count, elapsed: began.elapsed() };
            }
        }
    }
}
