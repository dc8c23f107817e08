//! The benchmark: scriptsock against a native control, in one run.
//!
//! `cargo bench --bench server -- [NAMES...] [OPTIONS]`
//!
//! The control ([`control`]) does what the handler does without Lua, on the same runtime: most
//! often uppercase echo, as the default handler. It is this program started again. Server and load are pinned to a core each.
//! Rounds alternate between the two servers, so that what disturbs the machine meets both. Printed
//! are medians, the extremes behind them, and the median of the ratios of neighbouring rounds.
//! The steadiest figure is the CPU time of the server a message: it counts all of its threads and
//! the kernel's work in their name. Nothing here fails because it was slow; a wrong answer does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a benchmark may stop at the first surprise, and prints four digits"
)]

mod aims;
mod codec;
mod compare;
mod control;
mod handlers;
mod idle;
mod instructions;
mod latency;
mod lines;
mod load;
mod many;
mod peers;
mod process;
mod publish;
mod runaway;
mod table;
mod turns;
mod wakeups;
mod workers;
mod workloads;

use std::time::{Duration, Instant};

use control::Kind;
use workloads::ECHO;

/// Given as the first argument, makes this program the control.
pub const CONTROL: &str = "serve-as-control";

/// Given as the first argument, has instructions counted instead of time measured.
const INSTRUCTIONS: &str = "instructions";

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// How long a round lasts.
    pub round: Duration,
    /// Rounds of each server.
    pub rounds: usize,
    /// How long an idle server is watched.
    pub idle: Duration,
    /// Whether servers in other environments take part.
    pub peers: bool,
}

/// Measures something and prints it.
type Measure = fn(Effort);

/// The measurements beside the loads of the echo, by name, in the order they run in.
const OTHERS: [(&str, Measure); 12] = [
    ("lines", |effort| drop(lines::measure(effort))),
    ("workers", |effort| drop(workers::measure(effort))),
    ("idle", |effort| drop(idle::measure(effort))),
    ("wakeups", |effort| drop(wakeups::measure(effort))),
    ("many", |effort| drop(many::measure(effort))),
    ("start", |effort| drop(latency::starts(effort))),
    ("save", |effort| drop(latency::saves(effort))),
    ("handlers", |effort| drop(handlers::measure(Effort { peers: false, ..effort }))),
    ("runaway", runaway::measure),
    ("codec", codec::measure),
    ("call", lines::call),
    ("publish", publish::measure),
];

/// All that there is to know, in one run; only where it is named.
const COMPARE: &str = "compare";

const USAGE: &str = "\
usage: [NAMES...] [OPTIONS], or instructions [--renew]
  --seconds N       how long a round lasts (1)
  --rounds N        rounds of each server (5)
  --idle-seconds N  how long wake-ups are counted (10)
  --no-peers        leave out servers in other environments";

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == CONTROL).is_some() {
        let kind = Kind::named(&arguments.next().unwrap_or_default());
        return control::serve(kind.expect("a kind of control"));
    }
    if arguments.next_if(|first| first == INSTRUCTIONS).is_some() {
        let renew = arguments.next().is_some_and(|argument| argument == "--renew");
        std::process::exit(i32::from(!instructions::check(renew)));
    }
    let (effort, names) = match read(arguments) {
        Ok(wanted) => wanted,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}\nnames: {}", known().collect::<Vec<_>>().join(" "));
            std::process::exit(2);
        }
    };
    let began = Instant::now();
    println!(
        "{} rounds of {:?} for each server; {}",
        effort.rounds,
        effort.round,
        if process::pin_to_load_core() {
            "server and load have a core each"
        } else {
            "one core for all, so server and load disturb each other"
        }
    );
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    for workload in ECHO.iter().filter(|workload| wanted(workload.name)) {
        println!();
        workload.measure(effort);
    }
    for (_, measure) in OTHERS.iter().filter(|(name, _)| wanted(name)) {
        println!();
        measure(effort);
    }
    if names.iter().any(|name| name == COMPARE) {
        println!();
        compare::measure(effort);
    }
    println!("\n{:.0} s in all", began.elapsed().as_secs_f64());
}

/// Every name of a measurement.
fn known() -> impl Iterator<Item = &'static str> {
    let loads = ECHO.iter().map(|workload| workload.name);
    loads.chain(OTHERS.iter().map(|(name, _)| *name)).chain([COMPARE])
}

/// Reads the command line; an error is what a person is told.
fn read(mut arguments: impl Iterator<Item = String>) -> Result<(Effort, Vec<String>), String> {
    let mut effort = Effort {
        round: Duration::from_secs(1),
        rounds: 5,
        idle: Duration::from_secs(10),
        peers: true,
    };
    let mut names = Vec::new();
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().and_then(|value| value.parse::<f64>().ok());
            let value = value.filter(|value| (0.1..=1000.0).contains(value));
            value.ok_or_else(|| format!("{argument} takes a number from 0.1 to 1000"))
        };
        match argument.as_str() {
            // Cargo passes it.
            "--bench" => {}
            "--seconds" => effort.round = Duration::from_secs_f64(number()?),
            "--idle-seconds" => effort.idle = Duration::from_secs_f64(number()?),
            "--no-peers" => effort.peers = false,
            "--rounds" => {
                #[expect(clippy::cast_possible_truncation, reason = "up to 1000")]
                #[expect(clippy::cast_sign_loss, reason = "from 1")]
                let rounds = number()?.max(1.0) as usize;
                effort.rounds = rounds;
            }
            name if known().any(|known| known == name) => names.push(name.to_owned()),
            other => return Err(format!("unknown argument '{other}'")),
        }
    }
    Ok((effort, names))
}
