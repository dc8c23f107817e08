//! Connections that come and go.

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::sys::epoll::{EpollEvent, EpollFlags};

use super::{Done, Link, SILENCE, Watched, connect, index_of, line, stamp};

/// Connections that send one message each and close once it is answered, `at_once` of them open.
pub fn churn(server: SocketAddr, at_once: usize, length: Duration) -> Done {
    let began = Instant::now();
    let mut message = line(32);
    let length_of_answer = message.len();
    let mut opened = 0;
    let mut open = || {
        let stream = connect(server, opened);
        opened += 1;
        stamp(&mut message, opened as u64);
        stream.set_nonblocking(true).unwrap();
        (&stream).write_all(&message).unwrap();
        stream
    };
    let links = (0..at_once).map(|_| open()).collect();
    let mut watched = Watched::new(links, EpollFlags::EPOLLIN);
    let mut closed = 0;
    let mut events = [EpollEvent::empty(); 64];
    loop {
        let ready = watched.wait(&mut events, SILENCE);
        assert!(!ready.is_empty(), "no answer for {SILENCE:?}");
        for event in ready {
            let index = index_of(event);
            let count = watched.links[index].receive(&mut [0; 64]).unwrap();
            assert_eq!(count, length_of_answer, "one answer in one piece");
            closed += 1;
            // The old one closes, and with it leaves the epoll.
            watched.links[index] = open();
            watched.watch(index, EpollFlags::EPOLLIN);
        }
        if began.elapsed() >= length {
            return Done { count: f64::from(closed), elapsed: began.elapsed() };
        }
    }
}
