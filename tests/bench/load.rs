//! The load: non-blocking sockets behind epoll, one thread, no runtime, so that it costs less than
//! the servers do. Every load runs for a time and then until the last answer is there.

mod bulk;
mod churn;
mod fan_out;
mod ping_pong;
mod window;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::{Domain, Socket, Type};

pub use bulk::Bulk;
pub use churn::churn;
pub use fan_out::FanOut;
pub use ping_pong::PingPong;
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

/// Connections that have each exchanged a line, and do not block from here on.
pub fn streams(server: SocketAddr, count: usize) -> Vec<TcpStream> {
    let stream = |number| {
        let stream = connect(server, number);
        exchange(&stream, b"Hello, 123\n");
        stream.set_nonblocking(true).unwrap();
        stream
    };
    (0..count).map(stream).collect()
}

/// A message of `length` lower-case letters.
pub fn message(length: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(length).collect()
}

/// The same, but that LF is the last: for servers that read lines only.
pub fn line(length: usize) -> Vec<u8> {
    let mut line = message(length - 1);
    line.push(b'\n');
    line
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

/// What a socket did; none where it was not ready.
fn taken(result: io::Result<usize>) -> Option<usize> {
    match result {
        Ok(count) => Some(count),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}
