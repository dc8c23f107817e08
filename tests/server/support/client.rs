//! A plain blocking client of a stream socket, TCP or Unix. Every read and write has a time limit.

use super::{CLIENT_LIMIT, printable};
use socket2::SockRef;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// One connection to the server.
pub struct Client {
    stream: Stream,
}

impl Client {
    /// Connects over TCP.
    #[track_caller]
    pub fn tcp(address: SocketAddr) -> Self {
        match Self::try_tcp(address) {
            Ok(client) => client,
            Err(error) => panic!("connect to {address}: {error}"),
        }
    }

    /// Connects over TCP, or says why not.
    pub fn try_tcp(address: SocketAddr) -> io::Result<Self> {
        Ok(Self::of_tcp(TcpStream::connect_timeout(&address, CLIENT_LIMIT)?))
    }

    /// One end of a TCP connection that exists.
    #[track_caller]
    pub fn of_tcp(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream: Stream::Tcp(stream) }.with_limits()
    }

    /// One end of a Unix connection that exists.
    #[track_caller]
    pub fn of_unix(stream: UnixStream) -> Self {
        Self { stream: Stream::Unix(stream) }.with_limits()
    }

    /// Connects to a Unix stream socket.
    #[track_caller]
    pub fn unix(path: &Path) -> Self {
        let stream = match UnixStream::connect(path) {
            Ok(stream) => stream,
            Err(error) => panic!("connect to {}: {error}", path.display()),
        };
        Self::of_unix(stream)
    }

    fn with_limits(self) -> Self {
        self.set_read_limit(CLIENT_LIMIT);
        self.set_write_limit(CLIENT_LIMIT);
        self
    }

    /// How long a read waits from now on.
    pub fn set_read_limit(&self, limit: Duration) {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(limit)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(limit)),
        }
        .unwrap();
    }

    /// How long a blocked write waits from now on.
    pub fn set_write_limit(&self, limit: Duration) {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_write_timeout(Some(limit)),
            Stream::Unix(stream) => stream.set_write_timeout(Some(limit)),
        }
        .unwrap();
    }

    /// A second handle of the same connection, for a thread that reads while this one writes.
    pub fn second_handle(&self) -> Self {
        let stream = match &self.stream {
            Stream::Tcp(stream) => Stream::Tcp(stream.try_clone().unwrap()),
            Stream::Unix(stream) => Stream::Unix(stream.try_clone().unwrap()),
        };
        Self { stream }
    }

    /// The client's own address, which the server sees as the peer. TCP only.
    pub fn local_addr(&self) -> SocketAddr {
        match &self.stream {
            Stream::Tcp(stream) => stream.local_addr().unwrap(),
            Stream::Unix(_) => panic!("a Unix socket has no such address"),
        }
    }

    /// The address of the other end. TCP only.
    pub fn peer_addr(&self) -> SocketAddr {
        match &self.stream {
            Stream::Tcp(stream) => stream.peer_addr().unwrap(),
            Stream::Unix(_) => panic!("a Unix socket has no such address"),
        }
    }

    /// Sends all of `data`.
    #[track_caller]
    pub fn send(&mut self, data: &[u8]) {
        if let Err(error) = self.try_send(data) {
            panic!("send {}: {error}", printable(data));
        }
    }

    /// Sends all of `data`, or says why not.
    pub fn try_send(&mut self, data: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(data),
            Stream::Unix(stream) => stream.write_all(data),
        }
    }

    /// Reads as many bytes as `expected` has and compares.
    #[track_caller]
    pub fn expect(&mut self, expected: &[u8]) {
        let mut got = vec![0; expected.len()];
        let mut filled = 0;
        let end = loop {
            if filled == got.len() {
                break String::new();
            }
            match self.read_some(&mut got[filled..]) {
                Ok(0) => break ", then end of stream".to_owned(),
                Ok(count) => filled += count,
                Err(error) => break format!(", then {error}"),
            }
        };
        let got = &got[..filled];
        assert!(
            got == expected,
            "expected {}\n     got {}{end}",
            printable(expected),
            printable(got)
        );
    }

    /// Sends `data` and expects `reply`.
    #[track_caller]
    pub fn exchange(&mut self, data: &[u8], reply: &[u8]) {
        self.send(data);
        self.expect(reply);
    }

    /// The other way round: expects `question`, then sends `answer`.
    #[track_caller]
    pub fn answer(&mut self, question: &[u8], answer: &[u8]) {
        self.expect(question);
        self.send(answer);
    }

    /// What one read gives; empty at end of stream.
    #[track_caller]
    pub fn read_once(&mut self) -> Vec<u8> {
        match self.try_read_once() {
            Ok(data) => data,
            Err(error) => panic!("read: {error}"),
        }
    }

    /// What one read gives, or why it gives nothing; empty at end of stream.
    pub fn try_read_once(&mut self) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; 65536];
        let count = self.read_some(&mut buffer)?;
        buffer.truncate(count);
        Ok(buffer)
    }

    /// Everything until end of stream.
    #[track_caller]
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let result = match &mut self.stream {
            Stream::Tcp(stream) => stream.read_to_end(&mut all),
            Stream::Unix(stream) => stream.read_to_end(&mut all),
        };
        if let Err(error) = result {
            panic!("after {}: {error}", printable(&all));
        }
        all
    }

    /// The server has closed in order: nothing more but end of stream.
    #[track_caller]
    pub fn expect_eof(&mut self) {
        let rest = self.read_to_end();
        assert!(rest.is_empty(), "expected end of stream, got {}", printable(&rest));
    }

    /// The server is gone, in order or by a reset, and sent nothing more.
    #[track_caller]
    pub fn expect_gone(&mut self) {
        match self.read_some(&mut [0; 64]) {
            Ok(0) => {}
            Ok(count) => panic!("expected the end, got {count} bytes"),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("expected the end, got {error}"),
        }
    }

    /// The server has reset the connection, before or after the bytes that it sent.
    #[track_caller]
    pub fn expect_reset(&mut self) {
        loop {
            match self.read_some(&mut [0; 4096]) {
                Ok(0) => panic!("expected a reset, got an end in order"),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                Err(error) => panic!("expected a reset, got {error}"),
            }
        }
    }

    /// Nothing arrives within `pause`, and the connection stays open.
    #[track_caller]
    pub fn expect_silence(&mut self, pause: Duration) {
        self.set_read_limit(pause);
        match self.read_some(&mut [0; 64]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            other => panic!("expected silence, got {other:?}"),
        }
        self.set_read_limit(CLIENT_LIMIT);
    }

    /// Ends the sending side; the receiving side stays open.
    pub fn half_close(&self) {
        match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
        .unwrap();
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        match &self.stream {
            Stream::Tcp(stream) => SockRef::from(stream).set_linger(Some(Duration::ZERO)),
            Stream::Unix(stream) => SockRef::from(stream).set_linger(Some(Duration::ZERO)),
        }
        .unwrap();
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match &mut self.stream {
                Stream::Tcp(stream) => stream.read(buffer),
                Stream::Unix(stream) => stream.read(buffer),
            };
            // Such as by a stop of the whole test run, which is continued.
            if !matches!(&read, Err(error) if error.kind() == ErrorKind::Interrupted) {
                return read;
            }
        }
    }
}
