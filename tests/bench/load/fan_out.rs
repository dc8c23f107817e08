//! One connection speaks, all listen.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::epoll::{EpollEvent, EpollFlags};

use super::{Done, Link, SILENCE, Watched, index_of, stamp};

/// The first of many connections sends a message that all of them get.
pub struct FanOut {
    watched: Watched<TcpStream>,
    message: Vec<u8>,
    missing: Vec<usize>,
    sent: u64,
}

impl FanOut {
    /// On streams that do not block.
    pub fn new(links: Vec<TcpStream>, message: Vec<u8>) -> Self {
        let missing = vec![0; links.len()];
        Self { watched: Watched::new(links, EpollFlags::EPOLLIN), message, missing, sent: 0 }
    }

    /// Sends one message and waits until all have it.
    fn once(&mut self) {
        self.sent += 1;
        stamp(&mut self.message, self.sent);
        let sent = self.watched.links[0].send(&self.message).unwrap();
        assert_eq!(sent, self.message.len(), "a message fits an empty socket");
        self.missing.fill(sent);
        let mut waiting = self.missing.len();
        let mut events = [EpollEvent::empty(); 256];
        let mut buffer = [0; 1024];
        while waiting > 0 {
            let ready = self.watched.wait(&mut events, SILENCE);
            assert!(!ready.is_empty(), "no message for {SILENCE:?}");
            for event in ready {
                let index = index_of(event);
                let count = self.watched.links[index].receive(&mut buffer).unwrap();
                assert!((1..=self.missing[index]).contains(&count), "each gets it once");
                self.missing[index] -= count;
                waiting -= usize::from(self.missing[index] == 0);
            }
        }
    }

    /// Runs for `length`, one message after the other; counts arrivals.
    pub fn run(&mut self, length: Duration) -> Done {
        let began = Instant::now();
        let before = self.sent;
        while began.elapsed() < length {
            self.once();
        }
        let count = (self.sent - before) as f64 * self.missing.len() as f64;
        Done { count, elapsed: began.elapsed() }
    }
}
