//! scriptsock and its control under the same load, in turn.

use std::thread;
use std::time::Duration;

use crate::Effort;
use crate::load::Done;
use crate::process::{Kind, Server};
use crate::table::{self, Samples};

/// A load, to be run for a time again and again.
pub type Load = Box<dyn FnMut(Duration) -> Done>;

/// What is printed of a load.
pub struct Names {
    /// What it is.
    pub title: &'static str,
    /// What comes out of it a second.
    pub rate: &'static str,
    /// The server's CPU time for one of those.
    pub cost: &'static str,
}

/// Both servers; the one that is not being measured is idle.
pub struct Servers {
    pub scriptsock: Server,
    pub control: Server,
}

/// The figures of one server.
#[derive(Default)]
pub struct Figures {
    /// What came out, a second.
    pub rate: Samples,
    /// The server's CPU time for one of those, in microseconds.
    pub cost: Samples,
}

impl Servers {
    /// Uppercase echo: the default handler against plain reads and writes.
    pub fn echo() -> Self {
        Self { scriptsock: Server::scriptsock(), control: Server::control(Kind::Echo) }
    }

    /// scriptsock with this handler against a control.
    pub fn with_handler(text: &str, control: Kind) -> Self {
        Self { scriptsock: Server::with_handler(text), control: Server::control(control) }
    }

    /// Loads both in turn and prints what came out.
    pub fn compare(&self, effort: Effort, names: &Names, load: impl Fn(&Server) -> Load) {
        let [scriptsock, control] = self.measure(effort, load);
        table::compare(names.title);
        table::row(names.rate, &scriptsock.rate, &control.rate);
        table::row(names.cost, &scriptsock.cost, &control.cost);
    }

    /// Loads both in turn, after a warm-up.
    pub fn measure(&self, effort: Effort, load: impl Fn(&Server) -> Load) -> [Figures; 2] {
        let sides = [&self.scriptsock, &self.control];
        let mut loads = sides.map(&load);
        let mut figures = [Figures::default(), Figures::default()];
        for load in &mut loads {
            load(effort.round / 3);
        }
        for _ in 0..effort.rounds {
            for ((server, load), figures) in sides.iter().zip(&mut loads).zip(&mut figures) {
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
}

/// Lets the server fall asleep, which makes its CPU time exact.
fn settle() {
    thread::sleep(Duration::from_millis(5));
}
