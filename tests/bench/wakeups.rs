//! How often a server wakes up while nothing happens.

use std::thread;
use std::time::Duration;

use crate::Effort;
use crate::aims::{Aim, Finding};
use crate::control::Kind;
use crate::process::Server;
use crate::workloads::streams;

/// Connections that are open meanwhile; each has had one answer.
const OPEN: usize = 64;

/// Time for the server to come to rest before the count begins.
const REST: Duration = Duration::from_secs(2);

/// Counts for as long as the command line says, and prints the figures.
pub fn measure(effort: Effort) -> Vec<Finding> {
    let servers = [Server::scriptsock(), Server::control(Kind::Echo)];
    let open = servers.each_ref().map(|server| streams(server, OPEN));
    thread::sleep(REST);
    let before = servers.each_ref().map(Server::wake_ups);
    thread::sleep(effort.idle);
    let after = servers.each_ref().map(Server::wake_ups);
    drop(open);
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let [ours, theirs] = [0, 1].map(|index: usize| (after[index] - before[index]) as f64);
    let what = format!("wake-ups in {} s, {OPEN} connections open", effort.idle.as_secs());
    println!("{what}: {ours}, control {theirs}");
    vec![Finding::figure(&what, ours, Some(theirs), Aim::Most(0.0, ""))]
}
