//! Has a script answer what was once sent to a server, from fresh state and at the same distances
//! in time; but whoever had an answer before it went on waits for one again. What was answered then
//! is not known here.

mod agenda;
mod crowd;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use super::door::Place;
use super::door::{Door, load};
use super::hourglass::Hourglass;
use super::idle::Idle;
use super::stage::Seen;
use super::upstreams::Upstreams;
use super::{LONGEST_RUN, SEED, in_a_runtime, setup};
use crate::script::Bundle;
use crate::settings::Settings;
use crate::vm::WatchdogHandle;
use crate::worker::Floor;
use crate::world::World;
use crowd::Crowd;

/// How long an answer is waited for that does not come: longer than a person would, and shorter
/// than most limits of silence.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Something that a peer did.
#[derive(Debug, Clone)]
pub struct Cue {
    /// Its connection, by a number that no other has.
    pub conn: u64,
    /// When, since the first one.
    pub at: Duration,
    /// What.
    pub deed: Deed,
    /// A message is whole with it: what is heard from here on is an answer to that.
    pub ends_message: bool,
    /// The peer had heard something since what it did before, and waits for that again.
    pub is_after_answer: bool,
}

/// What a peer can do.
#[derive(Debug, Clone)]
pub enum Deed {
    /// It connects, or its first datagram is about to come.
    Open(Arc<Place>),
    /// It sends a piece of a stream, or a datagram.
    Send(Arc<[u8]>),
    /// It ends its sending side.
    End,
    /// It is gone.
    Leave,
    /// It stays, and what it hears from here on counts for nothing.
    Rest,
}

/// What was answered to a cue, until the next one of its connection with which a message is whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The bytes; of datagrams, one behind the other.
    pub bytes: Vec<u8>,
    /// The server has ended the connection behind them, and the peer had not.
    pub ended: bool,
}

/// A run.
pub struct Rerun<'a> {
    /// What is answered, in order.
    pub cues: &'a [Cue],
    /// The wall clock at the first cue, since 1970.
    pub epoch: Duration,
    /// The script that answers.
    pub bundle: &'a Arc<Bundle>,
    /// The server's settings.
    pub settings: &'a Arc<Settings>,
    /// Ends calls that are over their budget.
    pub watchdog: &'a WatchdogHandle,
}

impl Rerun<'_> {
    /// The replies to all cues, by their index; blocks this thread.
    ///
    /// # Errors
    /// The script cannot be loaded from fresh state, answers too much, or does not come to rest.
    pub fn go(&self) -> Result<Vec<Reply>, String> {
        let limited = async |idle: Arc<Idle>| {
            let hourglass = Hourglass::turn(LONGEST_RUN);
            tokio::select! {
                replies = self.play(&idle) => replies,
                () = hourglass.run_out() => {
                    Err("it did not come to rest and was stopped".to_owned())
                }
            }
        };
        in_a_runtime(limited).unwrap_or_else(|error| Err(format!("no runtime: {error}")))
    }

    async fn play(&self, idle: &Idle) -> Result<Vec<Reply>, String> {
        let world = Rc::new(World::new(self.epoch, SEED, |_| {}));
        let upstreams = Upstreams::new(&BTreeMap::new(), Rc::new(Seen::default()));
        let stop = CancellationToken::new();
        let setup = setup(self.settings, None, self.bundle, self.watchdog, &stop);
        let floor = Floor::build(setup, Some(Rc::clone(&world)), upstreams.dialler());
        let floor = Rc::new(floor.map_err(|fault| fault.summary())?);
        load(Rc::clone(&floor), stop).await.map_err(|fault| fault.summary())?;
        Crowd::new(Door::new(floor), idle, world, self.cues).play().await
    }
}
