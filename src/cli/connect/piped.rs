//! Without a terminal to type on: what is piped in goes to the peer, what the peer says to standard
//! output, both at once and byte for byte, as `nc -N` does it. For datagrams a line is one.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::time::Duration;

use nix::errno::Errno;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, stdin, stdout};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::ending::Ending;
use super::{Manner, is_gone, is_refusal, reason, tell};
use crate::cli::Exit;
use crate::net::link::Link;

/// What is read at a time.
const PIECE: usize = 64 * 1024;

/// Bytes of the longest line that is tried as a datagram; UDP takes 65,507.
const LONGEST_DATAGRAM: usize = 256 * 1024;

/// Why it is over before both sides have ended.
enum Stop {
    /// Nothing came for as long as was to be waited.
    Silence,
    /// Nobody reads standard output any more.
    Unread,
    Failed(anyhow::Error),
}

/// One run.
struct Pipe<'a> {
    link: &'a Link,
    manner: &'a Manner,
    /// All of the input is sent.
    ended: Cell<bool>,
    end: Notify,
    /// How long to wait for an answer once it is.
    patience: Option<Duration>,
    refused: Cell<bool>,
    answered: Cell<bool>,
    /// Something could not be sent.
    unsent: Cell<bool>,
    /// A send has found the connection reset, which only one call is told.
    reset: Cell<bool>,
}

/// Sends and receives until both sides have ended.
///
/// # Errors
/// The connection broke, or one of the standard streams did.
pub(super) async fn pipe(link: &Link, manner: &Manner) -> anyhow::Result<Exit> {
    let pipe = Pipe {
        link,
        manner,
        ended: Cell::new(false),
        end: Notify::new(),
        patience: manner.patience(link),
        refused: Cell::new(false),
        answered: Cell::new(false),
        unsent: Cell::new(false),
        reset: Cell::new(false),
    };
    let both = if link.is_datagram() {
        tokio::try_join!(pipe.send_lines(), pipe.receive())
    } else {
        tokio::try_join!(pipe.send_bytes(), pipe.receive())
    };
    match both {
        Ok(_) | Err(Stop::Silence) => Ok(pipe.exit()),
        Err(Stop::Unread) => Ok(Exit::Stopped),
        Err(Stop::Failed(error)) => Err(error),
    }
}

impl Pipe<'_> {
    fn exit(&self) -> Exit {
        let in_vain = self.refused.get() && !self.answered.get();
        if in_vain || self.unsent.get() { Exit::Failed } else { Exit::Stopped }
    }

    async fn send_bytes(&self) -> Result<(), Stop> {
        let mut input = stdin();
        let mut buffer = vec![0; PIECE];
        let mut ending = self.manner.eol.map(Ending::new);
        loop {
            let count = input.read(&mut buffer).await.map_err(|error| broken_input(&error))?;
            let piece = &buffer[..count];
            let taken = match &mut ending {
                Some(ending) if count == 0 => self.send_all(ending.rest()).await?,
                Some(ending) => self.send_all(&ending.change(piece)).await?,
                None => self.send_all(piece).await?,
            };
            if !taken {
                // What the peer does tells whether that is an error.
                return Ok(());
            }
            if count == 0 {
                break;
            }
        }
        match self.link.end() {
            Err(error) if !is_gone(&error) => Err(self.broken(&error)),
            _ => {
                self.all_sent();
                Ok(())
            }
        }
    }

    /// Sends bytes; false if the peer takes no more.
    async fn send_all(&self, mut bytes: &[u8]) -> Result<bool, Stop> {
        while !bytes.is_empty() {
            match self.link.send(bytes).await {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if is_gone(&error) => {
                    self.reset.set(error.kind() == ErrorKind::ConnectionReset);
                    return Ok(false);
                }
                Err(error) => return Err(self.broken(&error)),
            }
        }
        Ok(true)
    }

    async fn send_lines(&self) -> Result<(), Stop> {
        let mut input = BufReader::with_capacity(PIECE, stdin());
        let mut line = Vec::new();
        let mut number = 0;
        loop {
            line.clear();
            number += 1;
            let mut part = (&mut input).take(LONGEST_DATAGRAM as u64);
            if part.read_until(b'\n', &mut line).await.map_err(|error| broken_input(&error))? == 0 {
                break;
            }
            if line.len() == LONGEST_DATAGRAM && !line.ends_with(b"\n") {
                self.refuse(number, "it is longer than any datagram");
                self.skip_line(&mut input).await?;
                continue;
            }
            if let Some(eol) = self.manner.eol {
                end_with(&mut line, eol.bytes());
            }
            self.send_datagram(number, &line).await;
        }
        self.all_sent();
        Ok(())
    }

    async fn skip_line(&self, input: &mut (impl AsyncBufReadExt + Unpin)) -> Result<(), Stop> {
        loop {
            let there = input.fill_buf().await.map_err(|error| broken_input(&error))?;
            let end = there.iter().position(|byte| *byte == b'\n');
            let count = end.map_or(there.len(), |at| at + 1);
            input.consume(count);
            if end.is_some() || count == 0 {
                return Ok(());
            }
        }
    }

    async fn send_datagram(&self, number: usize, data: &[u8]) {
        let mut sent = self.link.send(data).await;
        if sent.as_ref().is_err_and(is_refusal) {
            // That was about the one before; this one has not left yet.
            self.tell_refusal();
            sent = self.link.send(data).await;
        }
        match sent {
            Ok(_) => {}
            Err(error) if is_refusal(&error) => self.tell_refusal(),
            Err(error) => {
                let length = data.len();
                self.refuse(number, &format!("{} ({length} bytes)", reason(&error)));
            }
        }
    }

    fn refuse(&self, number: usize, why: &str) {
        self.unsent.set(true);
        tell(&format!("line {number} was not sent: {why}"));
    }

    fn tell_refusal(&self) {
        if !self.refused.replace(true) {
            tell(&super::refusal(self.link));
        }
    }

    fn all_sent(&self) {
        self.ended.set(true);
        self.end.notify_one();
    }

    async fn receive(&self) -> Result<(), Stop> {
        let mut output = stdout();
        let mut answer = self.manner.answer(self.link.is_datagram());
        let mut buffer = vec![0; LONGEST_DATAGRAM];
        loop {
            let count = match self.receive_some(&mut buffer).await {
                Ok(count) => count,
                Err(Stop::Silence) => {
                    write(&mut output, &answer.rest()).await?;
                    return Err(Stop::Silence);
                }
                Err(stop) => {
                    // The error counts more than one of standard output.
                    let _ = write(&mut output, &answer.rest()).await;
                    return Err(stop);
                }
            };
            if count == 0 && !self.link.is_datagram() {
                write(&mut output, &answer.rest()).await?;
                let reset = self.reset.get().then(|| Errno::ECONNRESET.into());
                return reset.map_or(Ok(()), |error| Err(self.broken(&error)));
            }
            self.answered.set(true);
            write(&mut output, &answer.take(&buffer[..count])).await?;
        }
    }

    /// The next bytes, however long they take while there is something to send.
    async fn receive_some(&self, buffer: &mut [u8]) -> Result<usize, Stop> {
        loop {
            let received = match self.patience {
                Some(patience) if self.ended.get() => {
                    let received = timeout(patience, self.link.receive(buffer)).await;
                    received.map_err(|_| Stop::Silence)?
                }
                _ => tokio::select! {
                    received = self.link.receive(buffer) => received,
                    () = self.end.notified() => continue,
                },
            };
            match received {
                Ok(count) => return Ok(count),
                Err(error) if is_refusal(&error) && self.link.is_datagram() => self.tell_refusal(),
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    fn broken(&self, error: &io::Error) -> Stop {
        Stop::Failed(anyhow::anyhow!("{}: {}", self.link.peer, reason(error)))
    }
}

fn broken_input(error: &io::Error) -> Stop {
    Stop::Failed(anyhow::anyhow!("standard input cannot be read: {}", reason(error)))
}

async fn write(output: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) -> Result<(), Stop> {
    let written = async {
        output.write_all(bytes).await?;
        output.flush().await
    };
    written.await.map_err(|error: io::Error| match error.kind() {
        ErrorKind::BrokenPipe => Stop::Unread,
        _ => Stop::Failed(anyhow::anyhow!("standard output cannot be written: {}", reason(&error))),
    })
}

/// Gives a line this end in place of its own.
fn end_with(line: &mut Vec<u8>, eol: &[u8]) {
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    line.extend_from_slice(eol);
}
