//! A command of the program with pipes for all of its standard streams.

use super::{LIMIT, printable, wait_until};
use std::io::{ErrorKind, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

/// A running command.
pub struct Piped {
    child: Child,
    input: Option<ChildStdin>,
    out: Collected,
    err: Collected,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit status.
    pub status: i32,
    /// All of standard output.
    pub stdout: Vec<u8>,
    /// All of standard error.
    pub stderr: String,
}

/// The bytes of one pipe so far.
struct Collected {
    shared: Arc<(Mutex<Vec<u8>>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Piped {
    /// Starts the program with these arguments.
    #[track_caller]
    pub fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scriptsock"));
        command.args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take();
        let out = Collected::of(child.stdout.take().unwrap());
        let err = Collected::of(child.stderr.take().unwrap());
        Self { child, input, out, err }
    }

    /// Writes to standard input.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.input.as_mut().expect("the input has ended").write_all(bytes).unwrap();
    }

    /// Ends standard input.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// Waits until standard output is exactly this.
    #[track_caller]
    pub fn wait_stdout(&self, expected: &[u8]) {
        self.out
            .wait(&format!("{} on standard output", printable(expected)), |all| all == expected);
    }

    /// Waits until this is somewhere on standard error.
    #[track_caller]
    pub fn wait_stderr(&self, text: &str) {
        let found = |all: &[u8]| String::from_utf8_lossy(all).contains(text);
        self.err.wait(&format!("{text:?} on standard error"), found);
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// It has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends standard input and waits for the end of all.
    #[track_caller]
    pub fn finish(mut self) -> Ended {
        self.end_input();
        self.wait()
    }

    /// Waits for its end, standard input being open.
    #[track_caller]
    pub fn wait(mut self) -> Ended {
        let status = wait_until("the command should end", || self.child.try_wait().unwrap());
        Ended {
            status: status.code().expect("an exit status"),
            stdout: self.out.finish(),
            stderr: String::from_utf8(self.err.finish()).unwrap(),
        }
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        // Fails only where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Collected {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let shared = Arc::<(Mutex<Vec<u8>>, Condvar)>::default();
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(count) => {
                        theirs.0.lock().unwrap().extend_from_slice(&buffer[..count]);
                        theirs.1.notify_all();
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => panic!("read of a pipe: {error}"),
                }
            }
        });
        Self { shared, thread: Some(thread) }
    }

    #[track_caller]
    fn wait(&self, what: &str, found: impl Fn(&[u8]) -> bool) {
        let (lock, changed) = &*self.shared;
        let all = lock.lock().unwrap();
        let (all, waited) = changed.wait_timeout_while(all, LIMIT, |all| !found(all)).unwrap();
        assert!(!waited.timed_out(), "waited in vain for {what}; got {}", printable(&all));
    }

    fn finish(&mut self) -> Vec<u8> {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        std::mem::take(&mut self.shared.0.lock().unwrap())
    }
}
