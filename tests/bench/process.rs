//! The servers that are measured: started on a core of their own, asked for their CPU time and
//! memory, ended when dropped.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::control::Kind;

/// A running server.
pub struct Server {
    child: Child,
    folder: TempDir,
    /// Where it takes connections.
    pub tcp: SocketAddr,
    /// Where it takes datagrams, if it does.
    pub udp: Option<SocketAddr>,
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
        Self::with_options(&[])
    }

    /// The same with further options.
    pub fn with_options(options: &[&str]) -> Self {
        Self::ours(options, tempdir(), &server_core())
    }

    /// The same with so many workers, on every core but the load's; on that one too where there
    /// are only two.
    pub fn with_workers(count: usize) -> Self {
        let mut cores = cores();
        if cores.len() > 2 {
            cores.retain(|core| !load_core().contains(core));
        }
        Self::ours(&["--workers", &count.to_string()], tempdir(), &cores)
    }

    /// scriptsock with this handler, in the file [`Server::handler`].
    pub fn with_handler(text: &str) -> Self {
        let folder = tempdir();
        fs::write(folder.path().join("handler.lua"), text).unwrap();
        Self::ours(&["--script", "handler.lua"], folder, &server_core())
    }

    fn ours(options: &[&str], folder: TempDir, cores: &[usize]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scriptsock"));
        Self::announced(command.args(LISTEN).args(options), folder, cores).unwrap()
    }

    /// A native control.
    pub fn control(kind: Kind) -> Self {
        let mut program = Command::new(std::env::current_exe().unwrap());
        let program = program.args([crate::CONTROL, kind.name()]);
        Self::announced(program, tempdir(), &server_core()).unwrap()
    }

    /// Starts one that says where it takes connections, and then where it takes datagrams.
    pub fn announced(command: &mut Command, folder: TempDir, cores: &[usize]) -> io::Result<Self> {
        let mut child = spawn(command.stdout(Stdio::piped()), &folder, cores)?;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |scheme: &str| -> Option<SocketAddr> {
            lines.next()?.ok()?.strip_prefix(scheme)?.parse().ok()
        };
        let (tcp, udp) = (address("tcp://"), address("udp://"));
        // From here on it is ended when dropped.
        let server = Self { child, folder, tcp: tcp.unwrap_or(NOWHERE), udp };
        if udp.is_some() { Ok(server) } else { Err(io::Error::other("it did not get ready")) }
    }

    /// Starts one that says nothing, and takes connections there.
    pub fn silent(command: &mut Command, folder: TempDir, tcp: SocketAddr) -> io::Result<Self> {
        let child = spawn(command.stdout(Stdio::null()), &folder, &server_core())?;
        let mut server = Self { child, folder, tcp, udp: None };
        let limit = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(tcp).is_err() {
            if server.child.try_wait()?.is_some() || Instant::now() > limit {
                return Err(io::Error::other("it did not get ready"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Waits until all of its threads sleep, so that nothing is left to do.
    pub fn wait_until_asleep(&self) {
        let asleep = |thread: io::Result<fs::DirEntry>| {
            let stat = fs::read_to_string(thread.unwrap().path().join("stat"));
            // Behind the name, which may have any letters. A thread that has ended has no file.
            stat.is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|s| s.starts_with(" S ")))
        };
        while !fs::read_dir(self.proc("task")).unwrap().all(asleep) {
            thread::yield_now();
        }
    }

    /// Has it stop in order, and waits until it has.
    pub fn stop(mut self) {
        let kill = format!("kill -s TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "it did not stop in order");
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

    /// How often its threads have fallen asleep, and so were woken, since they began.
    pub fn wake_ups(&self) -> u64 {
        let threads = fs::read_dir(self.proc("task")).unwrap();
        threads.filter_map(|thread| woken(&thread.ok()?.path())).sum()
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

const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Options for free ports of loopback.
pub const LISTEN: [&str; 4] = ["-l", "tcp://127.0.0.1:0", "-l", "udp://127.0.0.1:0"];

/// Starts a server in its folder, on those cores.
fn spawn(command: &mut Command, folder: &TempDir, cores: &[usize]) -> io::Result<Child> {
    // A child inherits the cores, and all its threads from it.
    pin(cores);
    let child =
        command.current_dir(folder.path()).stdin(Stdio::null()).stderr(Stdio::null()).spawn();
    pin(&load_core());
    child
}

/// A folder that a server is started in.
pub fn tempdir() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The nanoseconds on a processor of the thread whose folder in `/proc` this is; none where it
/// has just ended.
fn used_by(thread: &Path) -> Option<u64> {
    let text = fs::read_to_string(thread.join("schedstat")).ok()?;
    text.split(' ').next()?.parse().ok()
}

/// How often the thread whose folder this is gave up its core to wait.
fn woken(thread: &Path) -> Option<u64> {
    let text = fs::read_to_string(thread.join("status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
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

/// The first core.
pub fn server_core() -> Vec<usize> {
    cores().into_iter().take(1).collect()
}

/// The second core, or the only one.
fn load_core() -> Vec<usize> {
    let cores = cores();
    cores.get(1).or(cores.first()).copied().into_iter().collect()
}

/// Puts this thread on cores; where that is refused it stays where it is.
fn pin(cores: &[usize]) {
    let mut set = CpuSet::new();
    if !cores.is_empty() && cores.iter().all(|core| set.set(*core).is_ok()) {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

/// How many cores there are.
pub fn core_count() -> usize {
    cores().len()
}

/// Puts the load on its core; whether the server has another.
pub fn pin_to_load_core() -> bool {
    pin(&load_core());
    cores().len() > 1
}
