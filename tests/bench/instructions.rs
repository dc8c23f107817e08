//! Instructions that the server executes for a message, counted by callgrind: a figure that a busy
//! machine does not change, unlike time. It is compared with what `instructions.txt` keeps.
//!
//! Each load runs twice with different numbers of messages, and the counts are subtracted, so that
//! the start and the end drop out. One connection asks, and only while every thread of the server
//! sleeps: so each message finds the server in the same state, and is a wake-up of its own.
//!
//! It counts in the dev profile, which `cargo test` has built anyway.

use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::load::{self, line, stamp};
use crate::process::{LISTEN, Server, server_core, tempdir};

/// How far above what is kept a figure may be, as a factor. A C library picks other functions on
/// another processor, and a compiler's next version compiles otherwise.
const TOLERATED: f64 = 1.15;

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/instructions.txt");

/// The command that writes the file anew.
const RENEW: &str = "cargo test --bench server -- instructions --renew";

const HEAD: &str = "\
# Instructions of the server for a message, by callgrind, in the dev profile: tests/bench/instructions.rs.
";

/// Sends one write, of that number, and takes the answer.
type Step = Box<dyn FnMut(&Server, u64)>;

/// One load.
struct Work {
    name: &'static str,
    options: &'static [&'static str],
    /// Messages in a write.
    messages: usize,
    /// Writes in the two runs: so many that the VM collects its garbage many times between.
    runs: [usize; 2],
    begin: fn(&Server) -> Step,
}

const WORKS: [Work; 5] = [
    Work {
        name: "tcp",
        options: &[],
        messages: 1,
        runs: [200, 1200],
        begin: |server| ask(server, 32, 1),
    },
    // A second worker is to cost the first one's messages nothing.
    Work {
        name: "workers",
        options: &["--workers", "2"],
        messages: 1,
        runs: [200, 1200],
        begin: |server| ask(server, 32, 1),
    },
    Work {
        name: "lines",
        options: &["--framing", "line"],
        messages: 64,
        runs: [50, 250],
        begin: |server| ask(server, 32, 64),
    },
    Work { name: "udp", options: &[], messages: 1, runs: [200, 1200], begin: ask_by_datagram },
    Work {
        name: "connection",
        options: &[],
        messages: 1,
        runs: [100, 500],
        begin: |_| Box::new(connection),
    },
];

/// Counts, and compares or keeps the figures; whether all is well.
pub fn check(renew: bool) -> bool {
    if !cfg!(debug_assertions) {
        eprintln!(
            "the figures are those of the dev profile: cargo test --bench server -- instructions"
        );
        return false;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("valgrind is not there (Debian: valgrind)");
        return false;
    }
    let counted: Vec<_> = WORKS.iter().map(|work| (work.name, work.count())).collect();
    if renew {
        keep(&counted);
        println!("kept in {KEPT}");
    }
    let kept = kept();
    println!("{:<12} {:>10} {:>10} {:>9}", "a message", "counted", "kept", "change");
    let fine = counted.iter().map(|(name, count)| judge(name, *count, kept.get(*name).copied()));
    // Each one is to be printed.
    fine.fold(true, |all, fine| all & fine)
}

/// Prints a figure beside the one that is kept, and what to do; whether all is well.
fn judge(name: &str, count: f64, kept: Option<f64>) -> bool {
    let Some(kept) = kept else {
        println!("{name:<12} {count:>10.0} {:>10} nothing is kept for {ARCH}: {RENEW}", "-");
        return true;
    };
    let change = count / kept;
    println!("{name:<12} {count:>10.0} {kept:>10.0} {:>+8.1}%", (change - 1.0) * 100.0);
    if change > TOLERATED {
        println!("  too many. Where they come from is shown by a profile of the server under");
        println!("  valgrind --tool=callgrind; where they are worth it, keep the new figure:");
        println!("  {RENEW}");
    } else if change < 1.0 / TOLERATED {
        println!("  far fewer: keep the new figure, so that it stays so: {RENEW}");
    }
    change <= TOLERATED
}

/// The figures in the file, by name; none where it is about other processors.
fn kept() -> BTreeMap<String, f64> {
    let text = fs::read_to_string(KEPT).unwrap_or_default();
    let figure = |line: &str| {
        let mut words = line.split(' ');
        words.next().filter(|arch| *arch == ARCH)?;
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    text.lines().filter_map(figure).collect()
}

fn keep(counted: &[(&str, f64)]) {
    let mut text = HEAD.to_owned();
    for (name, count) in counted {
        writeln!(text, "{ARCH} {name} {count:.0}").unwrap();
    }
    fs::write(KEPT, text).unwrap();
}

impl Work {
    /// The instructions of one message.
    fn count(&self) -> f64 {
        let [few, many] = self.runs.map(|writes| self.run(writes));
        (many - few) / ((self.runs[1] - self.runs[0]) * self.messages) as f64
    }

    /// The instructions of a whole run.
    fn run(&self, writes: usize) -> f64 {
        let results = tempdir();
        let file = results.path().join("callgrind.out");
        let mut command = Command::new("valgrind");
        command.arg("--tool=callgrind");
        command.arg(format!("--callgrind-out-file={}", file.display()));
        command.arg(env!("CARGO_BIN_EXE_scriptsock")).args(LISTEN).args(self.options);
        let server = Server::announced(&mut command, tempdir(), &server_core()).unwrap();
        let mut step = (self.begin)(&server);
        for number in 0..writes {
            server.wait_until_asleep();
            step(&server, number as u64);
        }
        drop(step);
        server.stop();
        let text = fs::read_to_string(file).unwrap();
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        total.expect("a sum of all").trim().parse().unwrap()
    }
}

/// A connection that sends so many lines at once, and takes the answers.
fn ask(server: &Server, size: usize, lines: usize) -> Step {
    let stream = load::connect(server.tcp, 0);
    let mut batch = line(size).repeat(lines);
    Box::new(move |_, number| {
        for (index, line) in (0..).zip(batch.chunks_exact_mut(size)) {
            stamp(line, number * 64 + index);
        }
        load::exchange(&stream, &batch);
    })
}

fn ask_by_datagram(server: &Server) -> Step {
    let socket = load::connect_udp(server.udp.expect("a server of datagrams"));
    // One that is lost would be waited for for ever.
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut message = line(64);
    Box::new(move |_, number| {
        stamp(&mut message, number);
        socket.send(&message).unwrap();
        let mut answer = [0; 128];
        let count = socket.recv(&mut answer).unwrap();
        assert_eq!(answer[..count], message.to_ascii_uppercase());
    })
}

/// A connection of one message: each of its events finds the server asleep.
fn connection(server: &Server, number: u64) {
    let stream = load::connect(server.tcp, 0);
    let mut message = line(32);
    stamp(&mut message, number);
    server.wait_until_asleep();
    load::exchange(&stream, &message);
    server.wait_until_asleep();
}
