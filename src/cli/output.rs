//! A file that nobody may be reading: a pipe that is full would hold up whoever writes to it, and
//! with the log that is the server.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What a pipe takes at once without blocking when it says that it is writable (`PIPE_BUF` on Linux).
const PIECE: usize = 4096;

/// How long a reader that has fallen behind is waited for, in milliseconds.
const PATIENCE: u16 = 200;

/// Writes what the reader takes. Once it has taken nothing for a while, lines are dropped and
/// counted, until it reads again. Clones write to the same file.
pub struct Output<F>(Arc<Mutex<State<F>>>);

impl<F> Clone for Output<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct State<F> {
    file: F,
    dropped: u64,
}

impl<F: AsFd + Write> Output<F> {
    /// Writes to `file`.
    pub fn new(file: F) -> Self {
        Self(Arc::new(Mutex::new(State { file, dropped: 0 })))
    }
}

impl<F: AsFd + Write> State<F> {
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        // A reader that was given up is not waited for again.
        let patience = if self.dropped == 0 { PATIENCE } else { 0 };
        if self.dropped > 0 && self.is_writable(0) {
            let dropped = std::mem::take(&mut self.dropped);
            writeln!(self.file, "... {dropped} log lines were dropped, because nobody read them")?;
        }
        for piece in line.chunks(PIECE) {
            if !self.is_writable(patience) {
                self.dropped += 1;
                return Ok(());
            }
            self.file.write_all(piece)?;
        }
        Ok(())
    }

    fn is_writable(&self, patience: u16) -> bool {
        let mut files = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
        // Where the system cannot tell, the write itself will.
        poll(&mut files, PollTimeout::from(patience)).map_or(true, |ready| ready > 0)
    }
}

/// Each write is taken for one line, which is how the log writes.
impl<F: AsFd + Write> Write for Output<F> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.write_line(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    #[test]
    fn a_reader_that_stands_still_stops_nobody_and_is_told_what_it_missed() {
        let (reader, writer) = io::pipe().unwrap();
        let mut output = Output::new(writer);
        let line = [b'x'; 999].iter().chain(b"\n").copied().collect::<Vec<u8>>();
        for _ in 0..1000 {
            output.write_all(&line).unwrap();
        }
        let dropped = output.0.lock().unwrap().dropped;
        assert!(dropped > 0 && dropped < 1000, "{dropped} of 1000 lines were dropped");

        let mut lines = BufReader::new(reader).lines();
        for _ in 0..1000 - dropped {
            assert_eq!(lines.next().unwrap().unwrap().len(), 999);
        }
        output.write_all(b"back\n").unwrap();
        let told = lines.next().unwrap().unwrap();
        assert_eq!(told, format!("... {dropped} log lines were dropped, because nobody read them"));
        assert_eq!(lines.next().unwrap().unwrap(), "back");
    }
}
