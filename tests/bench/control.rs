//! The native controls: what a person would write with tokio alone. One thread, a task and a
//! buffer of 64 KiB a connection.

mod handlers;
mod lines;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};

pub use handlers::{adler, crc32};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::runtime;
use tokio::sync::broadcast;

const BUFFER: usize = 64 * 1024;

/// Messages that a subscriber may be behind.
const BEHIND: usize = 64;

/// What a native control does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Uppercase echo of whatever a read returns, and of datagrams.
    Echo,
    /// The same with no buffer while a connection is silent.
    Bare,
    /// The same line by line.
    Lines,
    /// Gives each line to every connection.
    Broadcast,
    /// Keeps values by their keys.
    KeyValue,
    /// Counts up a field of a JSON object.
    Json,
    /// Answers by Adler-32 of 1 KiB.
    Adler,
    /// Answers by CRC-32 of 1 KiB.
    Crc,
}

impl Kind {
    /// Each as the program's argument.
    const ALL: [(Self, &str); 8] = [
        (Self::Echo, "echo"),
        (Self::Bare, "bare"),
        (Self::Lines, "lines"),
        (Self::Broadcast, "broadcast"),
        (Self::KeyValue, "kv"),
        (Self::Json, "json"),
        (Self::Adler, "adler"),
        (Self::Crc, "crc"),
    ];

    /// As the program's argument.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(kind, _)| *kind == self).unwrap().1
    }

    /// Of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(kind, _)| kind)
    }
}

/// Serves TCP and UDP on free ports of loopback until it is killed; ready lines as scriptsock's.
pub fn serve(kind: Kind) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = listen().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        announce(listener.local_addr().unwrap(), socket.local_addr().unwrap()).unwrap();
        tokio::spawn(answer_datagrams(socket));
        let everybody = broadcast::Sender::new(BEHIND);
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            match kind {
                Kind::Echo => spawn(answer_stream(stream)),
                Kind::Bare => spawn(answer_without_buffer(stream)),
                Kind::Lines => spawn(lines::answer(stream, handlers::upper)),
                Kind::Broadcast => {
                    let subscription = everybody.subscribe();
                    spawn(lines::fan_out(stream, everybody.clone(), subscription));
                }
                Kind::KeyValue => spawn(lines::answer(stream, |line, replies| {
                    VALUES.with_borrow_mut(|values| handlers::key_value(values, line, replies));
                })),
                Kind::Json => spawn(lines::answer(stream, handlers::json)),
                Kind::Adler => spawn(handlers::checksums(stream, adler)),
                Kind::Crc => spawn(handlers::checksums(stream, crc32)),
            }
        }
    });
}

thread_local! {
    /// What all connections share.
    static VALUES: RefCell<HashMap<Vec<u8>, Vec<u8>>> = RefCell::default();
}

/// An error ends one connection only.
fn spawn(connection: impl Future<Output = io::Result<()>> + Send + 'static) {
    tokio::spawn(connection);
}

/// Takes connections, as many waiting ones as scriptsock has.
fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    socket.listen(1024)
}

fn announce(tcp: SocketAddr, udp: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "tcp://{tcp}\nudp://{udp}")?;
    out.flush()
}

/// `read`, uppercase in place, `write_all`.
async fn answer_stream(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let message = &mut buffer[..count];
        message.make_ascii_uppercase();
        stream.write_all(message).await?;
    }
}

/// Waits until there is something, and only then reads into a buffer that all share.
async fn answer_without_buffer(stream: TcpStream) -> io::Result<()> {
    thread_local! {
        static SHARED: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
    }
    stream.set_nodelay(true)?;
    loop {
        stream.readable().await?;
        let read = SHARED.with_borrow_mut(|buffer| {
            let count = stream.try_read(buffer)?;
            let message = &mut buffer[..count];
            message.make_ascii_uppercase();
            // Short messages, as this control gets, fit the socket's buffer.
            if count > 0 { stream.try_write(message) } else { Ok(0) }
        });
        match read {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn answer_datagrams(socket: UdpSocket) {
    let mut buffer = vec![0; BUFFER];
    loop {
        // An error is about one peer, whose port is closed.
        let Ok((count, peer)) = socket.recv_from(&mut buffer).await else { continue };
        let message = &mut buffer[..count];
        message.make_ascii_uppercase();
        let _ = socket.send_to(message, peer).await;
    }
}
