//! Very many connections at once, as far as the limits allow.

use std::time::Instant;

use scriptsock::net::descriptors;

use crate::Effort;
use crate::aims::{Aim, Finding};
use crate::idle::fill;
use crate::load::exchange;
use crate::process::Server;

const WANTED: usize = 100_000;

/// Descriptors that a process has open beside its connections.
const OTHERS: usize = 100;

/// One in so many is asked whether it works.
const ASKED: usize = 100;

/// Opens them, asks some of them, and prints what it took.
pub fn measure(_: Effort) -> Vec<Finding> {
    let aim = Aim::Least(WANTED as f64, "");
    // The server inherits it.
    let limit = descriptors::raise_limit().unwrap_or(u64::MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(OTHERS);
    let count = WANTED.min(limit);
    let server = Server::with_options(&["--max-conns", &count.to_string()]);
    let (began, before) = (Instant::now(), server.memory());
    let open = fill(&server, count);
    for stream in open.iter().step_by(ASKED) {
        exchange(stream, b"hello");
    }
    let each = (server.memory().pss - before.pss) * 1024.0 / count as f64;
    let took = began.elapsed().as_secs_f64();
    println!("{count} connections: open in {took:.1} s, {each:.0} bytes each");
    if count == WANTED {
        return vec![Finding::figure("connections at once", count as f64, None, aim)];
    }
    println!("  not {WANTED}: the limit of open descriptors is {}", limit + OTHERS);
    let why = format!("{count}, no more descriptors");
    vec![Finding::skipped("connections at once", &why, aim)]
}
