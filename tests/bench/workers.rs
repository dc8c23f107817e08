//! Two workers against one.
//!
//! Twice the throughput shows only where the load has a core of its own beside the two. Where
//! there are just two cores, one worker shares its core with the load, and what can be compared is
//! the CPU time a message: it says whether workers disturb each other.

use crate::Effort;
use crate::aims::{Aim, Finding};
use crate::process::{Server, core_count};
use crate::table;
use crate::turns;
use crate::workloads::ECHO;

/// The first of the loads, on both, and prints it.
pub fn measure(effort: Effort) -> Vec<Finding> {
    let workload = &ECHO[0];
    let servers = [&Server::with_workers(2), &Server::with_workers(1)];
    let [two, one] = turns::measure(effort, servers, workload.load);
    println!("{:<40} {:>30} {:>30} {:>8}", workload.names.title, "2 workers", "1 worker", "ratio");
    table::row(workload.names.rate, &two.rate, &one.rate);
    table::row(workload.names.cost, &two.cost, &one.cost);
    if core_count() < 3 {
        println!("  two cores: the load shares one of them with the server");
    }
    let what = "two workers against one, tcp ping-pong";
    vec![
        Finding::ratio(what, "us", [&two.cost, &one.cost], Aim::Ratio(1.00))
            .with_throughput(&two.rate, &one.rate),
    ]
}
