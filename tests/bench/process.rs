//! The servers that are measured: started on a core of their own, asked for their CPU time and
//! memory, ended when dropped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A running server.
pub struct Server {
    child: Child,
    folder: TempDir,
    /// Where it takes connections.
    pub tcp: SocketAddr,
    /// Where it takes datagrams.
    pub udp: SocketAddr,
}

/// What a native control does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Uppercase echo of whatever a read returns, and of datagrams.
    Echo,
    /// The same line by line.
    Lines,
    /// Gives each line to every connection.
    Broadcast,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Echo, Self::Lines, Self::Broadcast];

    /// As the program's argument.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Lines => "lines",
            Self::Broadcast => "broadcast",
        }
    }
}

/// Memory of a process in KiB.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Pages in memory, those shared with other processes by share.
    pub pss: f64,
    /// Pages in memory.
    pub rss: f64,
}

impl Server {
    /// scriptsock with the default handler, uppercase echo.
    pub fn scriptsock() -> Self {
        Self::start(Command::new(env!("CARGO_BIN_EXE_scriptsock")).args(LISTEN), tempdir())
    }

    /// scriptsock with this handler, in the file [`Server::handler`].
    pub fn with_handler(text: &str) -> Self {
        let folder = tempdir();
        fs::write(folder.path().join("handler.lua"), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_scriptsock"));
        Self::start(command.args(LISTEN).args(["--script", "handler.lua"]), folder)
    }

    /// A native control.
    pub fn control(kind: Kind) -> Self {
        let program = std::env::current_exe().unwrap();
        Self::start(Command::new(program).args([crate::CONTROL, kind.name()]), tempdir())
    }

    /// Starts it and waits for its ready lines.
    fn start(command: &mut Command, folder: TempDir) -> Self {
        let cores = cores();
        // A child inherits the core, and all its threads from it.
        pin(cores.first());
        let child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        pin(cores.get(1).or(cores.first()));
        let mut child = child.unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |scheme: &str| -> SocketAddr {
            let line = lines.next().expect("a ready line").unwrap();
            line.strip_prefix(scheme).expect("its scheme").parse().unwrap()
        };
        let (tcp, udp) = (address("tcp://"), address("udp://"));
        Self { child, folder, tcp, udp }
    }

    /// The handler's file.
    pub fn handler(&self) -> std::path::PathBuf {
        self.folder.path().join("handler.lua")
    }

    fn proc(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.child.id())
    }

    /// The CPU time that its threads have used, to the nanosecond where they are asleep.
    pub fn cpu(&self) -> Duration {
        let threads = fs::read_dir(self.proc("task")).unwrap();
        let used = threads.filter_map(|thread| used_by(&thread.ok()?.path()));
        Duration::from_nanos(used.sum())
    }

    /// Its memory now.
    pub fn memory(&self) -> Memory {
        let text = fs::read_to_string(self.proc("smaps_rollup")).unwrap();
        let value = |key: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        Memory { pss: value("Pss:"), rss: value("Rss:") }
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(self.proc("fd")).unwrap().count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which the measurement has noticed then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The CPU time that this thread has used.
pub fn own_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

const LISTEN: [&str; 4] = ["-l", "tcp://127.0.0.1:0", "-l", "udp://127.0.0.1:0"];

fn tempdir() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The nanoseconds on a processor of the thread whose folder in `/proc` this is; none where it
/// has just ended.
fn used_by(thread: &Path) -> Option<u64> {
    let text = fs::read_to_string(thread.join("schedstat")).ok()?;
    text.split(' ').next()?.parse().ok()
}

/// The cores that this program may use, as it was started.
fn cores() -> Vec<usize> {
    static CORES: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();
    let found = CORES.get_or_init(|| {
        let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
        (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect()
    });
    found.clone()
}

/// Puts this thread on a core; where that is refused it stays where it is.
fn pin(core: Option<&usize>) {
    let mut set = CpuSet::new();
    if core.is_some_and(|core| set.set(*core).is_ok()) {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

/// Puts the load on the second core; whether there is one.
pub fn pin_to_load_core() -> bool {
    let cores = cores();
    pin(cores.get(1));
    cores.len() > 1
}
