//! The load: non-blocking sockets behind epoll, one thread, no runtime, so that it costs less than
//! the servers do. Every load runs for a time and then until the last answer is there.

mod window;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::{Domain, Socket, Type};

pub use window::Window;

/// What a load did.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// Messages, connections or MiB.
    pub count: f64,
    /// From the first byte to the last answer.
    pub elapsed: Duration,
}

/// A stream that is silent for so long while an answer is due has failed.
const SILENCE: Duration = Duration::from_secs(10);

/// A datagram that is not answered within this is sent again.
const LOST: Duration = Duration::from_millis(250);

/// A connection to the server, or a socket connected to its address.
pub trait Link: AsFd {
    /// What is not answered may have been lost.
    const LOSSY: bool;
    fn send(&self, data: &[u8]) -> io::Result<usize>;
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Link for TcpStream {
    const LOSSY: bool = false;
    fn send(&self, data: &[u8]) -> io::Result<usize> {
        (&mut &*self).write(data)
    }
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&mut &*self).read(buffer)
    }
}

impl Link for UdpSocket {
    const LOSSY: bool = true;
    fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.send(data)
    }
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }
}

/// A connection from an address of loopback that changes with `number`, so that closed ones do
/// not use up the ports. It blocks.
pub fn connect(server: SocketAddr, number: usize) -> TcpStream {
    let last = u8::try_from(number % 200).unwrap() + 2;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    socket.into()
}

/// A socket for datagrams to and from the server. It blocks.
pub fn connect_udp(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket
}

/// Sends a message on a blocking stream, and checks that it comes back in upper case.
pub fn exchange(mut stream: &TcpStream, message: &[u8]) {
    stream.write_all(message).unwrap();
    let mut answer = vec![0; message.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, message.to_ascii_uppercase(), "the server answers something else");
}

/// Connections that have each exchanged `message`, and do not block from here on.
pub fn streams(server: SocketAddr, count: usize, message: &[u8]) -> Vec<TcpStream> {
    let stream = |number| {
        let stream = connect(server, number);
        exchange(&stream, message);
        stream.set_nonblocking(true).unwrap();
        stream
    };
    (0..count).map(stream).collect()
}

/// A message of `length` lower-case letters.
pub fn message(length: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(length).collect()
}

/// Makes a message of 8 bytes or more unlike the ones before: a VM that has a string already need
/// not make it again, which would flatter it.
pub fn stamp(message: &mut [u8], number: u64) {
    for (letter, digit) in message.iter_mut().zip(number.to_le_bytes().into_iter().take(4)) {
        *letter = b'a' + (digit & 15);
    }
    for (letter, digit) in message[4..].iter_mut().zip(number.to_le_bytes().into_iter().take(4)) {
        *letter = b'a' + (digit >> 4);
    }
}

/// Sockets that an epoll descriptor watches, by their index.
struct Watched<L> {
    epoll: Epoll,
    links: Vec<L>,
}

impl<L: Link> Watched<L> {
    fn new(links: Vec<L>, flags: EpollFlags) -> Self {
        let watched = Self { epoll: Epoll::new(EpollCreateFlags::empty()).unwrap(), links };
        for index in 0..watched.links.len() {
            watched.watch(index, flags);
        }
        watched
    }

    fn watch(&self, index: usize, flags: EpollFlags) {
        self.epoll.add(&self.links[index], EpollEvent::new(flags, index as u64)).unwrap();
    }

    /// The sockets where something happened; none where nothing did within `limit`.
    fn wait<'a>(&self, events: &'a mut [EpollEvent], limit: Duration) -> &'a [EpollEvent] {
        let count = self.epoll.wait(events, EpollTimeout::try_from(limit).unwrap()).unwrap();
        &events[..count]
    }
}

fn index_of(event: &EpollEvent) -> usize {
    usize::try_from(event.data()).unwrap()
}

/// Each socket sends a message, or several in one write, whenever the answer to its last one is
/// there. Answers are as long as what they answer.
pub struct PingPong<L> {
    watched: Watched<L>,
    /// What is written at once: messages of one length.
    batch: Vec<u8>,
    /// How many they are.
    messages: usize,
    missing: Vec<usize>,
    sent: u64,
}

impl<L: Link> PingPong<L> {
    /// On sockets that do not block.
    pub fn new(links: Vec<L>, message: &[u8]) -> Self {
        Self::pipelined(links, message, 1)
    }

    /// On sockets that do not block, with so many messages in each write.
    pub fn pipelined(links: Vec<L>, message: &[u8], messages: usize) -> Self {
        let missing = vec![0; links.len()];
        let batch = message.repeat(messages);
        let watched = Watched::new(links, EpollFlags::EPOLLIN);
        Self { watched, batch, messages, missing, sent: 0 }
    }

    fn send(&mut self, index: usize) {
        let length = self.batch.len() / self.messages;
        for message in self.batch.chunks_exact_mut(length) {
            self.sent += 1;
            stamp(message, self.sent);
        }
        let sent = self.watched.links[index].send(&self.batch).unwrap();
        assert_eq!(sent, self.batch.len(), "what is written at once fits an empty socket");
        self.missing[index] = sent;
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

/// Connections that send one message each and close once it is answered, `at_once` of them open.
pub fn churn(server: SocketAddr, at_once: usize, length: Duration) -> Done {
    let began = Instant::now();
    let mut message = message(32);
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
                    received += moved(stream.receive(&mut buffer));
                }
                if !over && event.events().contains(EpollFlags::EPOLLOUT) {
                    pieces += 1;
                    stamp(&mut self.piece, pieces);
                    sent += moved(stream.send(&self.piece));
                }
            }
            if over && received == sent {
                let count = received as f64 / f64::from(1 << 20);
                return Done { count, elapsed: began.elapsed() };
            }
        }
    }
}

/// How many bytes went through; none where the socket was not ready after all.
fn moved(result: io::Result<usize>) -> usize {
    match result {
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) => panic!("{error}"),
    }
}
