//! Datagrams of one socket of which so many are always on their way.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use nix::sys::epoll::{EpollEvent, EpollFlags};

use super::{Done, LOST, Link, Watched, message, stamp, taken};

/// One socket, and as many datagrams in flight as `width` says.
pub struct Window {
    watched: Watched<UdpSocket>,
    message: Vec<u8>,
    width: usize,
    sent: u64,
}

impl Window {
    /// On a socket that does not block, with datagrams of `size` bytes.
    pub fn new(socket: UdpSocket, size: usize, width: usize) -> Self {
        let watched = Watched::new(vec![socket], EpollFlags::EPOLLIN);
        Self { watched, message: message(size), width, sent: 0 }
    }

    /// Runs for `length`. Every answer that is there is taken before the next datagrams go out.
    /// Counts answers.
    pub fn run(&mut self, length: Duration) -> Done {
        let began = Instant::now();
        let (mut answers, mut flying) = (0, 0);
        let mut events = [EpollEvent::empty(); 1];
        loop {
            let over = began.elapsed() >= length;
            if over && flying == 0 {
                return Done { count: f64::from(answers), elapsed: began.elapsed() };
            }
            while !over && flying < self.width && self.send() {
                flying += 1;
            }
            if self.watched.wait(&mut events, LOST).is_empty() {
                // Lost on the way, as datagrams may be.
                flying = 0;
                continue;
            }
            let arrived = self.receive(flying);
            answers += u32::try_from(arrived).unwrap();
            flying -= arrived;
        }
    }

    /// Whether the socket took it.
    fn send(&mut self) -> bool {
        stamp(&mut self.message, self.sent + 1);
        let sent = taken(self.watched.links[0].send(&self.message));
        self.sent += u64::from(sent.is_some());
        sent.is_some()
    }

    /// Takes what is there, `most` answers at most: of others that come late there is no account.
    fn receive(&self, most: usize) -> usize {
        let mut buffer = [0; 2048];
        let mut arrived = 0;
        while arrived < most
            && let Some(count) = taken(self.watched.links[0].receive(&mut buffer))
        {
            assert_eq!(count, self.message.len(), "an answer is as long as its question");
            arrived += 1;
        }
        arrived
    }
}
