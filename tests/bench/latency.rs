//! How long one waits: for a save to be live, and for the first answer after the start.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::Effort;
use crate::aims::{Aim, Finding};
use crate::control::Kind;
use crate::load::{connect, exchange};
use crate::process::Server;
use crate::table::{self, Samples};

const SAVES: usize = 50;
const STARTS: usize = 20;

/// From the beginning of a save to the first answer of the new handler, on a connection that asks
/// without pause.
pub fn saves(_: Effort) -> Vec<Finding> {
    let server = Server::with_handler(&handler(0));
    let stream = connect(server.tcp, 0);
    table::alone("save to live, ms");
    let mut mark = 0;
    let mut measure = |name: &str, save: fn(&Path, &str)| {
        let times: Samples = (0..SAVES)
            .map(|_| {
                mark += 1;
                thread::sleep(Duration::from_millis(30));
                let began = Instant::now();
                save(&server.handler(), &handler(mark));
                until_answer(&stream, &answer(mark));
                began.elapsed()
            })
            .collect();
        table::single(name, &times);
        let what = format!("save to live, {name}");
        Finding::figure(&what, times.median(), None, Aim::Most(20.0, "ms"))
    };
    vec![
        measure("written in place", |path, text| fs::write(path, text).unwrap()),
        measure("renamed over", |path, text| {
            let beside = path.with_extension("new");
            fs::write(&beside, text).unwrap();
            fs::rename(beside, path).unwrap();
        }),
    ]
}

/// All answers have the same length, so that one read takes one.
fn answer(mark: usize) -> String {
    format!("mark {mark:06}")
}

fn handler(mark: usize) -> String {
    format!("return function() return \"{}\" end\n", answer(mark))
}

/// Asks until the answer is `expected`.
fn until_answer(mut stream: &TcpStream, expected: &str) {
    let limit = Instant::now() + Duration::from_secs(10);
    let mut got = vec![0; expected.len()];
    while got != expected.as_bytes() {
        assert!(Instant::now() < limit, "the save did not go live");
        stream.write_all(b"?").unwrap();
        stream.read_exact(&mut got).unwrap();
    }
}

/// From the start of the process to its ready lines and to its first answer; its memory then.
pub fn starts(_: Effort) -> Vec<Finding> {
    let [scriptsock, control] = [Server::scriptsock, || Server::control(Kind::Echo)]
        .map(|start| (0..STARTS).map(move |_| once(start)));
    // Turn about, as everywhere.
    let (ours, theirs): (Vec<_>, Vec<_>) = scriptsock.zip(control).unzip();
    let figure = |figures: &[Start], take: fn(&Start) -> f64| -> Samples {
        figures.iter().map(take).collect()
    };
    let row = |name, take: fn(&Start) -> f64| {
        table::row(name, &figure(&ours, take), &figure(&theirs, take));
    };
    table::compare("start");
    row("ms to the ready lines", |start| start.ready.as_secs_f64() * 1e3);
    row("ms to the first answer", |start| start.answered.as_secs_f64() * 1e3);
    row("MiB of memory then, PSS", |start| start.pss / 1024.0);
    row("MiB of memory then, RSS", |start| start.rss / 1024.0);
    let finding = |what, take: fn(&Start) -> f64, aim| {
        let median = |figures| figure(figures, take).median();
        Finding::figure(what, median(&ours), Some(median(&theirs)), aim)
    };
    let answered = |start: &Start| start.answered.as_secs_f64() * 1e3;
    vec![
        finding("start to first answer", answered, Aim::Most(14.0, "ms")),
        finding("memory then, RSS", |start| start.rss / 1024.0, Aim::Most(8.0, "MiB")),
    ]
}

struct Start {
    ready: Duration,
    answered: Duration,
    pss: f64,
    rss: f64,
}

fn once(start: fn() -> Server) -> Start {
    let began = Instant::now();
    let server = start();
    let ready = began.elapsed();
    exchange(&connect(server.tcp, 0), b"hello");
    let answered = began.elapsed();
    let memory = server.memory();
    Start { ready, answered, pss: memory.pss, rss: memory.rss }
}
