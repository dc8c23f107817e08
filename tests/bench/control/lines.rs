//! Controls that tell lines apart.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::broadcast;

use super::BUFFER;

/// `read`, the reply to each whole line into the replies, one write for all of them.
pub async fn answer(
    mut stream: TcpStream,
    mut reply: impl FnMut(&[u8], &mut Vec<u8>),
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = Lines::default();
    let mut replies = Vec::new();
    while lines.read(&mut stream).await? {
        while let Some(line) = lines.next() {
            reply(line, &mut replies);
            replies.push(b'\n');
        }
        stream.write_all(&replies).await?;
        replies.clear();
    }
    Ok(())
}

/// Gives each line to everybody, and writes what everybody is given.
pub async fn fan_out(
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
