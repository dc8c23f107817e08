//! Servers under the same load, in turn.

use std::thread;
use std::time::Duration;

use crate::Effort;
use crate::load::Done;
use crate::process::Server;
use crate::table::{self, Samples};

/// A load, to be run for a time again and again.
pub type Load = Box<dyn FnMut(Duration) -> Done>;

/// What is printed of a load.
#[derive(Clone, Copy)]
pub struct Names {
    /// What it is.
    pub title: &'static str,
    /// What comes out of it a second.
    pub rate: &'static str,
    /// The server's CPU time for one of those.
    pub cost: &'static str,
}

/// The figures of one server.
#[derive(Default)]
pub struct Figures {
    /// What came out, a second.
    pub rate: Samples,
    /// The server's CPU time for one of those, in microseconds.
    pub cost: Samples,
}

/// Loads the servers in turn, after a warm-up; each one is idle while it is another's turn.
pub fn measure<const N: usize>(
    effort: Effort,
    servers: [&Server; N],
    load: impl Fn(&Server) -> Load,
) -> [Figures; N] {
    let mut all = measure_all(effort, &servers, load).into_iter();
    servers.map(|_| all.next().unwrap())
}

/// The same with as many servers as there are.
pub fn measure_all(
    effort: Effort,
    servers: &[&Server],
    load: impl Fn(&Server) -> Load,
) -> Vec<Figures> {
    let mut loads: Vec<_> = servers.iter().map(|server| load(server)).collect();
    let mut figures: Vec<_> = servers.iter().map(|_| Figures::default()).collect();
    for load in &mut loads {
        load(effort.round / 3);
    }
    for _ in 0..effort.rounds {
        for ((server, load), figures) in servers.iter().zip(&mut loads).zip(&mut figures) {
            settle();
            let before = server.cpu();
            let done = load(effort.round);
            settle();
            let used = server.cpu().saturating_sub(before);
            figures.rate.push(done.count / done.elapsed.as_secs_f64());
            figures.cost.push(used.as_secs_f64() * 1e6 / done.count);
        }
    }
    figures
}

/// Prints scriptsock's figures beside the control's.
pub fn show(names: &Names, scriptsock: &Figures, control: &Figures) {
    table::compare(names.title);
    table::row(names.rate, &scriptsock.rate, &control.rate);
    table::row(names.cost, &scriptsock.cost, &control.cost);
}

/// Lets the server fall asleep, which makes its CPU time exact.
fn settle() {
    thread::sleep(Duration::from_millis(5));
}
