//! Sockets that ask again once they are answered.

use std::time::{Duration, Instant};

use nix::sys::epoll::{EpollEvent, EpollFlags};

use super::{Done, LOST, Link, SILENCE, Watched, index_of, stamp};

/// Fills the buffer with what a socket sends next; returns how long the answer to it is.
type Ask = Box<dyn FnMut(usize, &mut Vec<u8>) -> usize>;

/// Each socket sends a message, or several in one write, whenever the answer to its last one is
/// there.
pub struct PingPong<L> {
    watched: Watched<L>,
    ask: Ask,
    /// What is written at once.
    batch: Vec<u8>,
    /// How many messages that is.
    messages: usize,
    missing: Vec<usize>,
}

impl<L: Link> PingPong<L> {
    /// On sockets that do not block, with so many messages in each write. An answer is as long as
    /// what it answers.
    pub fn new(links: Vec<L>, message: &[u8], messages: usize) -> Self {
        let mut batch = message.repeat(messages);
        let (length, mut sent) = (message.len(), 0);
        let ask = move |_, to: &mut Vec<u8>| {
            for message in batch.chunks_exact_mut(length) {
                sent += 1;
                stamp(message, sent);
            }
            to.extend_from_slice(&batch);
            batch.len()
        };
        Self::asking(links, messages, Box::new(ask))
    }

    /// The same with what is asked, by the socket's index.
    pub fn asking(links: Vec<L>, messages: usize, ask: Ask) -> Self {
        let missing = vec![0; links.len()];
        let watched = Watched::new(links, EpollFlags::EPOLLIN);
        Self { watched, ask, batch: Vec::new(), messages, missing }
    }

    fn send(&mut self, index: usize) {
        self.batch.clear();
        self.missing[index] = (self.ask)(index, &mut self.batch);
        let sent = self.watched.links[index].send(&self.batch).unwrap();
        assert_eq!(sent, self.batch.len(), "what is written at once fits an empty socket");
    }

    /// Runs for `length`.
    pub fn run(&mut self, length: Duration) -> Done {
        let began = Instant::now();
        let mut answers = 0_usize;
        let mut waiting = self.missing.len();
        (0..waiting).for_each(|index| self.send(index));
        let mut events = [EpollEvent::empty(); 64];
        let mut buffer = vec![0; 64 * 1024];
        while waiting > 0 {
            let ready = self.watched.wait(&mut events, if L::LOSSY { LOST } else { SILENCE });
            let over = began.elapsed() >= length;
            if ready.is_empty() {
                waiting -= self.repeat(over);
            }
            for event in ready {
                let index = index_of(event);
                let count = self.watched.links[index].receive(&mut buffer).unwrap();
                assert!(count > 0, "the server closed a connection");
                self.missing[index] = self.missing[index].saturating_sub(count);
                if self.missing[index] > 0 {
                    continue;
                }
                answers += 1;
                if over {
                    waiting -= 1;
                } else {
                    self.send(index);
                }
            }
        }
        Done { count: (answers * self.messages) as f64, elapsed: began.elapsed() }
    }

    /// Sends again what was lost, or gives it up; says how many were given up.
    fn repeat(&mut self, give_up: bool) -> usize {
        assert!(L::LOSSY, "no answer for {SILENCE:?}");
        let lost: Vec<_> = (0..self.missing.len()).filter(|i| self.missing[*i] > 0).collect();
        if give_up {
            return lost.len();
        }
        for index in lost {
            self.send(index);
        }
        0
    }
}
