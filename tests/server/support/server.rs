//! Starts the program in a temporary folder, waits for its ready lines, ends it with the test.

use super::lines::Lines;
use super::{Client, DatagramClient, wait_until};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tempfile::TempDir;

/// Names of signals, as the shell's `kill` takes them.
pub const SIGTERM: &str = "TERM";
/// Interrupt from the terminal.
pub const SIGINT: &str = "INT";
/// Reload now.
pub const SIGHUP: &str = "HUP";
/// Stop the process where it is.
pub const SIGSTOP: &str = "STOP";
/// Let a stopped process go on.
pub const SIGCONT: &str = "CONT";

/// What a test wants started.
pub struct Builder {
    dir: TempDir,
    args: Vec<String>,
    listen: Vec<String>,
    env: Vec<(String, String)>,
    nofile: Option<u64>,
    ready_lines: Option<usize>,
}

/// A program that ended instead of starting.
#[derive(Debug)]
pub struct Failed {
    /// Exit status; minus the signal's number where a signal ended it.
    pub status: i32,
    /// All of standard error.
    pub stderr: String,
    /// All of standard output.
    pub stdout: String,
}

/// A running program.
pub struct Server {
    dir: TempDir,
    pid: u32,
    child: Mutex<Child>,
    out: Lines,
    log: Lines,
    ready: Vec<String>,
    errors_expected: AtomicBool,
    clients: AtomicUsize,
}

impl Builder {
    /// Writes `handler.lua` and starts with it.
    pub fn script(self, text: &str) -> Self {
        self.file("handler.lua", text).args(["--script", "handler.lua"])
    }

    /// Writes a file, below the folder that the program is started in.
    pub fn file(self, path: &str, text: &str) -> Self {
        write(self.dir.path(), path, text);
        self
    }

    /// Further arguments.
    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.args.extend(args.into_iter().map(str::to_owned));
        self
    }

    /// One more listener; without any there are TCP and UDP on free ports of 127.0.0.1.
    pub fn listen(mut self, url: impl Into<String>) -> Self {
        self.listen.push(url.into());
        self
    }

    /// One environment variable.
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Starts with `count` file descriptors at most, soft and hard.
    pub fn rlimit_nofile(mut self, count: u64) -> Self {
        self.nofile = Some(count);
        self
    }

    /// How many ready lines to wait for, where it is not one a `listen`.
    pub fn ready_lines(mut self, count: usize) -> Self {
        self.ready_lines = Some(count);
        self
    }

    /// The folder that the program will be started in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the program and waits until it is ready.
    #[track_caller]
    pub fn start(mut self) -> Server {
        if self.listen.is_empty() && self.ready_lines.is_none() {
            self = self.listen("tcp://127.0.0.1:0").listen("udp://127.0.0.1:0");
        }
        let expected = self.ready_lines.unwrap_or(self.listen.len());
        let (child, out, log) = self.spawn();
        let mut server = Server {
            dir: self.dir,
            pid: child.id(),
            child: Mutex::new(child),
            out,
            log,
            ready: Vec::new(),
            errors_expected: AtomicBool::new(false),
            clients: AtomicUsize::new(0),
        };
        let ready = server.out.wait(|lines| lines.get(..expected).map(<[String]>::to_vec));
        match ready {
            Ok(ready) => server.ready = ready,
            Err(why) => panic!("not {expected} ready lines: {why}; output:\n{}", server.out.text()),
        }
        server
    }

    /// Starts the program and waits until it has given up.
    #[track_caller]
    pub fn start_expecting_failure(self) -> Failed {
        let (mut child, mut out, mut log) = self.spawn();
        let status = wait_until("the program should give up", || {
            let status = child.try_wait().unwrap();
            if status.is_none() && !out.text().is_empty() {
                child.kill().unwrap();
                panic!("the program should give up, but it is ready: {}", out.text());
            }
            status
        });
        out.finish();
        log.finish();
        Failed { status: code(status), stderr: log.text(), stdout: out.text() }
    }

    fn spawn(&self) -> (Child, Lines, Lines) {
        let program = env!("CARGO_BIN_EXE_scriptsock");
        let mut command = match self.nofile {
            None => Command::new(program),
            Some(count) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("ulimit -n {count}; exec \"$0\" \"$@\"")).arg(program);
                shell
            }
        };
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("SCRIPTSOCK_") {
                command.env_remove(key);
            }
        }
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        command.args(self.listen.iter().flat_map(|url| ["--listen", url]));
        command.args(&self.args).current_dir(self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = Lines::collect(child.stdout.take().unwrap());
        let log = Lines::collect(child.stderr.take().unwrap());
        (child, out, log)
    }
}

impl Failed {
    /// It gave up with `status`, said so in one line that holds each of `parts`, and wrote
    /// nothing to standard output.
    #[track_caller]
    pub fn assert_one_line(&self, status: i32, parts: &[&str]) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "not one line: {self:?}");
        assert!(self.stderr.starts_with("scriptsock: "), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {self:?}");
        }
        assert_eq!(self.stdout, "");
    }
}

impl Server {
    /// Starts to describe a server.
    pub fn builder() -> Builder {
        Builder {
            dir: TempDir::new().unwrap(),
            args: Vec::new(),
            listen: Vec::new(),
            env: Vec::new(),
            nofile: None,
            ready_lines: None,
        }
    }

    /// The folder that the program runs in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The ready lines, in their order.
    pub fn ready(&self) -> &[String] {
        &self.ready
    }

    /// Everything on standard output so far.
    pub fn stdout_text(&self) -> String {
        self.out.text()
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The address of the first TCP listener.
    pub fn tcp_addr(&self) -> SocketAddr {
        self.address("tcp://").parse().unwrap()
    }

    /// The address of the first UDP listener.
    pub fn udp_addr(&self) -> SocketAddr {
        self.address("udp://").parse().unwrap()
    }

    /// The file of the first Unix stream listener.
    pub fn unix_path(&self) -> PathBuf {
        self.dir().join(self.address("unix://"))
    }

    /// A new connection to the first TCP listener.
    #[track_caller]
    pub fn tcp(&self) -> Client {
        Client::tcp(self.tcp_addr())
    }

    /// A new peer of the first UDP listener.
    #[track_caller]
    pub fn udp(&self) -> DatagramClient {
        DatagramClient::udp(self.udp_addr())
    }

    /// A new connection to the first Unix stream listener.
    #[track_caller]
    pub fn unix(&self) -> Client {
        Client::unix(&self.unix_path())
    }

    /// A new peer of the first Unix datagram listener.
    #[track_caller]
    pub fn unixgram(&self) -> DatagramClient {
        let number = self.clients.fetch_add(1, Ordering::Relaxed);
        let own = self.dir().join(format!("client-{number}.sock"));
        DatagramClient::unix(&own, &self.dir().join(self.address("unixgram://")))
    }

    /// Writes a file of the program's folder in place.
    pub fn save(&self, path: &str, text: &str) {
        write(self.dir(), path, text);
    }

    /// Waits until a line of the log contains `text`, since the start; gives the first such line.
    #[track_caller]
    pub fn wait_log(&self, text: &str) -> String {
        self.wait_log_count(text, 1).remove(0)
    }

    /// Waits until `count` lines of the log contain `text`; gives those lines.
    #[track_caller]
    pub fn wait_log_count(&self, text: &str, count: usize) -> Vec<String> {
        let found = self.log.wait(|lines| {
            let hits: Vec<_> = lines.iter().filter(|line| line.contains(text)).cloned().collect();
            (hits.len() >= count).then_some(hits)
        });
        match found {
            Ok(hits) => hits,
            Err(why) => panic!("no {count} log lines with {text:?}: {why}"),
        }
    }

    /// How many lines of the log contain `text` now.
    pub fn log_count(&self, text: &str) -> usize {
        self.log.text().lines().filter(|line| line.contains(text)).count()
    }

    /// The log so far.
    pub fn log_text(&self) -> String {
        self.log.text()
    }

    /// No line of the log contains `text` so far.
    #[track_caller]
    pub fn assert_no_log(&self, text: &str) {
        let log = self.log.text();
        let hit = log.lines().find(|line| line.contains(text));
        assert!(hit.is_none(), "unwanted in the log: {hit:?}");
    }

    /// This test provokes errors in the log.
    pub fn expect_errors(&self) {
        self.errors_expected.store(true, Ordering::Relaxed);
    }

    /// Sends a signal to the program.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let _not_reaped_meanwhile = self.child();
        let kill = format!("kill -s {name} {}", self.pid);
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success(), "{kill}: {status}");
    }

    /// Waits until the program has ended by itself; minus the number where a signal ended it.
    /// Its output is complete afterwards.
    #[track_caller]
    pub fn wait_exit(&mut self) -> i32 {
        let status = wait_until("the program should end", || self.child().try_wait().unwrap());
        self.out.finish();
        self.log.finish();
        code(status)
    }

    /// Whether the program still runs.
    pub fn is_running(&self) -> bool {
        self.child().try_wait().unwrap().is_none()
    }

    /// CPU time that the program has used, user and system, in steps of 10 ms.
    pub fn cpu_time(&self) -> Duration {
        const TICKS_A_SECOND: u64 = 100;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap();
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)
    }

    /// Resident memory of the program in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap()
    }

    #[track_caller]
    fn address(&self, scheme: &str) -> &str {
        let found = self.ready.iter().find_map(|line| {
            let (name, address) = line.split_once(scheme)?;
            (name.is_empty() || name.ends_with('=')).then_some(address)
        });
        let Some(address) = found else { panic!("no {scheme} listener in {:?}", self.ready) };
        address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(child) = self.child.get_mut() {
            // Fails only where the program has ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        self.out.finish();
        self.log.finish();
        let log = self.log.text();
        if std::thread::panicking() {
            eprintln!("--- log of the server\n{log}---");
            return;
        }
        assert!(!log.contains("panicked"), "the server panicked:\n{log}");
        if !self.errors_expected.load(Ordering::Relaxed) {
            assert!(!log.contains(" ERROR "), "errors that no one expected:\n{log}");
        }
    }
}

fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|number| -number)).unwrap()
}
