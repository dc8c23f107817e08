//! The native controls: what a person would write with tokio alone. One thread, a task and a
//! buffer of 64 KiB a connection.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime;
use tokio::sync::broadcast;

use crate::process::Kind;

const BUFFER: usize = 64 * 1024;

/// Messages that a subscriber may be behind.
const BEHIND: usize = 64;

/// Serves TCP and UDP on free ports of loopback until it is killed; ready lines as scriptsock's.
pub fn serve(kind: Kind) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        announce(listener.local_addr().unwrap(), socket.local_addr().unwrap()).unwrap();
        tokio::spawn(answer_datagrams(socket));
        let everybody = broadcast::Sender::new(BEHIND);
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            match kind {
                Kind::Echo => drop(tokio::spawn(answer_stream(stream))),
                Kind::Lines => drop(tokio::spawn(answer_lines(stream))),
                Kind::Broadcast => {
                    let subscription = everybody.subscribe();
                    tokio::spawn(fan_out(stream, everybody.clone(), subscription));
                }
            }
        }
    });
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

/// `read`, each whole line uppercase into the replies, one write for all of them.
async fn answer_lines(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = Lines::default();
    let mut replies = Vec::new();
    while lines.read(&mut stream).await? {
        while let Some(line) = lines.next() {
            let begin = replies.len();
            replies.extend_from_slice(line);
            replies[begin..].make_ascii_uppercase();
            replies.push(b'\n');
        }
        stream.write_all(&replies).await?;
        replies.clear();
    }
    Ok(())
}

/// Gives each line to everybody, and writes what everybody is given.
async fn fan_out(
    mut stream: TcpStream,
    everybody: broadcast::Sender<Arc<[u8]>>,
    mut subscription: broadcast::Receiver<Arc<[u8]>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut from, mut to) = stream.split();
    let mut lines = Lines::default();
    loop {
        tokio::select! {
            read = lines.read(&mut from) => {
                if !read? {
                    return Ok(());
                }
                while let Some(line) = lines.next() {
                    // This connection is there to get it.
                    let _ = everybody.send([line, b"\n"].concat().into());
                }
            }
            given = subscription.recv() => {
                // One that is too far behind is dropped.
                let Ok(message) = given else { return Ok(()) };
                to.write_all(&message).await?;
            }
        }
    }
}

/// A buffer, and the whole lines in it that were not taken yet.
struct Lines {
    buffer: Box<[u8]>,
    begin: usize,
    end: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self { buffer: vec![0; BUFFER].into(), begin: 0, end: 0 }
    }
}

impl Lines {
    /// Reads more behind the part of a line that is left; whether there was more.
    async fn read(&mut self, stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<bool> {
        self.buffer.copy_within(self.begin..self.end, 0);
        (self.begin, self.end) = (0, self.end - self.begin);
        let count = stream.read(&mut self.buffer[self.end..]).await?;
        self.end += count;
        Ok(count > 0)
    }

    /// The next line, without its LF.
    fn next(&mut self) -> Option<&[u8]> {
        let rest = &self.buffer[self.begin..self.end];
        let length = memchr::memchr(b'\n', rest)?;
        self.begin += length + 1;
        Some(&rest[..length])
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
