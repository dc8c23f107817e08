//! The benchmark: scriptsock against a native control, in one run.
//!
//! `cargo bench --bench server -- [NAMES...] [--seconds N] [--rounds N]`
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

mod codec;
mod compare;
mod control;
mod idle;
mod latency;
mod lines;
mod load;
mod process;
mod publish;
mod runaway;
mod table;
mod throughput;

use std::time::{Duration, Instant};

use process::Kind;

/// Given as the first argument, makes this program the control.
pub const CONTROL: &str = "serve-as-control";

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// How long a round lasts.
    pub round: Duration,
    /// Rounds of each server.
    pub rounds: usize,
}

/// Measures something and prints it.
type Measure = fn(Effort);

/// The measurements by name, in the order they run in.
const MEASUREMENTS: [(&str, Measure); 15] = [
    ("tcp32", throughput::tcp_small),
    ("tcp1k", throughput::tcp_large),
    ("pipelined", throughput::pipelined),
    ("udp64", throughput::udp),
    ("window", throughput::udp_window),
    ("churn", throughput::churn),
    ("bulk", throughput::bulk),
    ("idle", idle::measure),
    ("save", latency::saves),
    ("start", latency::starts),
    ("runaway", runaway::measure),
    ("codec", codec::measure),
    ("lines", lines::measure),
    ("call", lines::call),
    ("publish", publish::measure),
];

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == CONTROL).is_some() {
        let name = arguments.next().unwrap_or_default();
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        return control::serve(kind.expect("a kind of control"));
    }
    let (effort, names) = match read(arguments) {
        Ok(wanted) => wanted,
        Err(problem) => {
            let known: Vec<_> = MEASUREMENTS.iter().map(|(name, _)| *name).collect();
            eprintln!("{problem}\nusage: [NAMES...] [--seconds N] [--rounds N]");
            eprintln!("names: {}", known.join(" "));
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
    for (name, measure) in MEASUREMENTS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!();
            measure(effort);
        }
    }
    println!("\n{:.0} s in all", began.elapsed().as_secs_f64());
}

/// Reads the command line; an error is what a person is told.
fn read(mut arguments: impl Iterator<Item = String>) -> Result<(Effort, Vec<String>), String> {
    let mut effort = Effort { round: Duration::from_secs(1), rounds: 5 };
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
            "--rounds" => {
                #[expect(clippy::cast_possible_truncation, reason = "up to 1000")]
                #[expect(clippy::cast_sign_loss, reason = "from 1")]
                let rounds = number()?.max(1.0) as usize;
                effort.rounds = rounds;
            }
            name if MEASUREMENTS.iter().any(|(known, _)| *known == name) => {
                names.push(name.to_owned());
            }
            other => return Err(format!("unknown argument '{other}'")),
        }
    }
    Ok((effort, names))
}
