//! The whole comparison: every figure that the project is held to beside its aim, and servers in
//! other environments where the machine has them.

use crate::aims::{self, Aim, Finding};
use crate::control::Kind;
use crate::process::Server;
use crate::table::{Samples, grid};
use crate::turns::{self, Figures};
use crate::workloads::{ECHO, Need, Workload};
use crate::{Effort, handlers, idle, latency, lines, many, peers, wakeups, workers};

/// A server that takes part.
struct Entrant {
    name: &'static str,
    able: &'static [Need],
    server: Server,
}

/// One load: the figures of each server that can take it, by the server's name.
struct Row {
    title: &'static str,
    figures: Vec<(&'static str, Figures)>,
}

/// Other measurements that have an aim.
type Other = fn(Effort) -> Vec<Finding>;

const OTHERS: [Other; 7] = [
    lines::measure,
    workers::measure,
    idle::measure,
    wakeups::measure,
    many::measure,
    latency::starts,
    latency::saves,
];

/// Measures everything and prints it, the tables last.
pub fn measure(effort: Effort) {
    let (entrants, missing) = entrants(effort);
    let (mut findings, mut rows) = (Vec::new(), Vec::new());
    for workload in &ECHO {
        let row = row(effort, workload, &entrants);
        findings.push(row.finding(workload));
        rows.push(row);
        println!();
    }
    let mut names: Vec<_> = entrants.iter().map(|entrant| entrant.name).collect();
    drop(entrants);
    for measure in OTHERS {
        findings.extend(measure(effort));
        println!();
    }
    for outcome in handlers::measure(effort) {
        findings.push(outcome.finding);
        let figures = [SCRIPTSOCK, "control", LUV].into_iter().zip(outcome.figures).collect();
        rows.push(Row { title: outcome.title, figures });
    }
    println!("\nCompared is the CPU time of the server where the aim is a ratio to the control.\n");
    aims::print(&findings);
    names.retain(|name| *name != CONTROL);
    println!("\nCPU time of the server, as a multiple of the control's:\n");
    print(&names, &rows, |figures| &figures.cost);
    println!("\nThroughput, as a multiple of the control's:\n");
    print(&names, &rows, |figures| &figures.rate);
    if !missing.is_empty() {
        println!("\nnot on this machine: {}", missing.join("; "));
    }
}

const SCRIPTSOCK: &str = "scriptsock";
const CONTROL: &str = "control";
/// The name of the peer that has the handlers too.
const LUV: &str = peers::ECHO[0].name;

/// Starts all that are here; the others are named.
fn entrants(effort: Effort) -> (Vec<Entrant>, Vec<&'static str>) {
    let entrant = |name, server| Entrant { name, able: peers::ALL, server };
    let mut entrants = vec![
        entrant(SCRIPTSOCK, Server::scriptsock()),
        entrant(CONTROL, Server::control(Kind::Echo)),
    ];
    let mut missing = Vec::new();
    for peer in peers::ECHO.iter().filter(|_| effort.peers) {
        match peer.start() {
            Ok(server) => {
                entrants.push(Entrant { name: peer.name, able: peer.able, server });
            }
            Err(_) => missing.push(peer.from),
        }
    }
    (entrants, missing)
}

/// Loads all that can take it, in turn.
fn row(effort: Effort, workload: &Workload, entrants: &[Entrant]) -> Row {
    let able: Vec<_> =
        entrants.iter().filter(|entrant| entrant.able.contains(&workload.needs)).collect();
    let servers: Vec<_> = able.iter().map(|entrant| &entrant.server).collect();
    let figures = turns::measure_all(effort, &servers, workload.load);
    turns::show(&workload.names, &figures[0], &figures[1]);
    let names = able.iter().map(|entrant| entrant.name);
    Row { title: workload.names.title, figures: names.zip(figures).collect() }
}

impl Row {
    fn of(&self, name: &str) -> Option<&Figures> {
        self.figures.iter().find(|(known, _)| *known == name).map(|(_, figures)| figures)
    }

    fn finding(&self, workload: &Workload) -> Finding {
        let [(_, ours), (_, control), ..] = self.figures.as_slice() else {
            unreachable!("both are always there")
        };
        let costs = [&ours.cost, &control.cost];
        Finding::ratio(self.title, "us", costs, Aim::Ratio(workload.aim))
            .with_throughput(&ours.rate, &control.rate)
    }
}

/// Each server's ratio to the control.
fn print(names: &[&str], rows: &[Row], take: fn(&Figures) -> &Samples) {
    let head: Vec<_> = ["work"].iter().chain(names).copied().collect();
    let cells = |row: &Row| {
        let control = take(row.of(CONTROL)?);
        let ratio = |name: &&str| row.of(name).map(|figures| take(figures).ratio(control));
        let cell = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        let ratios = names.iter().map(ratio).map(cell);
        Some([row.title.to_owned()].into_iter().chain(ratios).collect())
    };
    grid(&head, &rows.iter().filter_map(cells).collect::<Vec<_>>());
}
