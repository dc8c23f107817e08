//! Collects the lines of one output of the program in a thread, for waiting and searching.

use super::LIMIT;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

#[derive(Default)]
struct Collected {
    lines: Vec<String>,
    ended: bool,
}

/// The lines of one pipe so far, growing while the program runs.
pub struct Lines {
    shared: Arc<(Mutex<Collected>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Lines {
    /// Starts to collect from `pipe`.
    pub fn collect(pipe: impl Read + Send + 'static) -> Self {
        let shared = Arc::<(Mutex<Collected>, Condvar)>::default();
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || gather(BufReader::new(pipe), &theirs));
        Self { shared, thread: Some(thread) }
    }

    /// Waits until `found` gives a value from the lines so far. `Err` says why there will be
    /// none: the limit has passed, or the output has ended.
    pub fn wait<T>(&self, found: impl Fn(&[String]) -> Option<T>) -> Result<T, &'static str> {
        let deadline = Instant::now() + LIMIT;
        let (lock, changed) = &*self.shared;
        let mut collected = lock.lock().unwrap();
        loop {
            if let Some(value) = found(&collected.lines) {
                return Ok(value);
            }
            if collected.ended {
                return Err("the output ended");
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("the limit has passed");
            }
            collected = changed.wait_timeout(collected, left).unwrap().0;
        }
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        let collected = self.shared.0.lock().unwrap();
        collected.lines.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    /// Waits for the end of the output; only after the program has ended.
    pub fn finish(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn gather(mut pipe: impl BufRead, shared: &(Mutex<Collected>, Condvar)) {
    let (lock, changed) = shared;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = pipe.read_until(b'\n', &mut line);
        let mut collected = lock.lock().unwrap();
        if !matches!(read, Ok(count) if count > 0) {
            collected.ended = true;
            changed.notify_all();
            return;
        }
        let text = String::from_utf8_lossy(&line);
        collected.lines.push(text.strip_suffix('\n').unwrap_or(&text).to_owned());
        changed.notify_all();
    }
}
