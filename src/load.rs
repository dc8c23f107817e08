//! A load for a server: many connections that send messages and check the answers, on one thread,
//! without a runtime and without Lua, so that it costs about what a plain native server does.
//!
//! - [`Plan`] says what is wanted, [`run`] does it, [`Report`] is the result.
//! - `exchange` is what is sent and what must come back, `message` the bytes of it.
//!   `schedule` says when messages are due, `tally` counts. These are pure.
//! - With a dialogue, a `player` says what is sent and what must come, and `dialogue` does it.
//! - A `link` is one connection; the `engine` moves all of them, with `opening`, `sending`
//!   and `receiving` for the three things that can happen to one. `stages` is the life of a run,
//!   `account` what is told of it.
//!
//! The exactness of times: the clock is read once after each read from a socket, and what arrives
//! in one read is taken as arrived then. The next message is taken as sent at the same instant,
//! which is a fraction of a microsecond early.
//!
//! Deliberately absent: threads. One core drives what a server on another core can answer; where
//! it does not, several of these can run at a time.

mod account;
mod alarm;
mod dialogue;
mod engine;
mod exchange;
mod link;
mod message;
mod opening;
mod plan;
mod player;
mod receiving;
mod report;
mod schedule;
mod sending;
mod stages;
mod tally;

use std::io;
use std::sync::atomic::AtomicBool;

pub use exchange::{Expect, Wrong};
pub use message::stamps;
pub use plan::{Content, LARGEST_UDP, Mode, Plan};
pub use player::{Broken, ends_connection};
pub use report::{Ended, Glance, Report, mib, per_second};
pub use tally::{Failure, Failures, Times};

use crate::net::bind::Problem;
use crate::net::client::Target;
use crate::net::descriptors;
use engine::Engine;

/// Why a load could not begin.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no such server.
    #[error("{url}: {problem}")]
    Server {
        /// As it was given.
        url: String,
        /// What stood against it.
        problem: Problem,
    },
    /// The framing and the message do not go together.
    #[error("{0}")]
    Message(String),
    /// The system does not let this program have so many connections.
    #[error(
        "the limit of {limit} open descriptors leaves room for {fit} connections: \
         raise it (ulimit -Hn), or give fewer --connections"
    )]
    Descriptors {
        /// The limit.
        limit: u64,
        /// What it leaves.
        fit: u64,
    },
    /// The system refused what every load needs.
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// Runs a load to its end, or until `stop` is set. `watch` is shown now and then how it goes.
///
/// # Errors
/// Where it could not begin. What goes wrong later stands in the report.
pub fn run(
    plan: &Plan,
    stop: &AtomicBool,
    watch: &mut dyn FnMut(&Glance),
) -> Result<Report, LoadError> {
    if let Some(limit) = descriptors::raise_limit()
        && let Some(fit) = descriptors::shortage(limit, 0, plan.connections)
    {
        return Err(LoadError::Descriptors { limit, fit });
    }
    let target = Target::resolve(&plan.server, plan.needs_ports())
        .map_err(|problem| LoadError::Server { url: plan.server.to_string(), problem })?;
    Engine::new(plan, target)?.run(stop, watch)
}
