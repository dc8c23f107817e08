//! From "the script may have changed" to a new generation on every worker, or on none: read,
//! compare, try, have every worker prepare it, then swap everywhere. Owns the number and the
//! digest of what is live.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::gate::{Gate, Print};
use crate::script::{Bundle, Digest, ReadError, Source};
use crate::settings::Watch;
use crate::shadow::Shadow;
use crate::vm::{self, Config, Fault};
use crate::watch::Watcher;
use crate::worker::{Order, Worker};

/// A main file without content is most likely a save that is not finished, and so may be what
/// polling happens to see: both are looked at again after this, until they stay the same.
const UNFINISHED: Duration = Duration::from_millis(100);

/// Looks at a script that keeps changing.
const MOST_LOOKS: u32 = 10;

/// When a script that could not be read is tried again, because what was in the way, such as a
/// shortage of descriptors, may be gone without a change of the file.
const RETRY: Duration = Duration::from_secs(1);

/// Keeps the workers at the newest version of the script.
pub struct Reloader<'a> {
    source: &'a Source,
    watcher: Watcher,
    workers: &'a [Worker],
    config: Config,
    gate: Option<Gate>,
    shadow: Option<Shadow>,
    live: Live,
    /// The dialogues that the live generation was held with.
    seen: Option<Print>,
    /// What was looked at has changed meanwhile.
    overtaken: bool,
    refused: Option<Refused>,
}

/// The generation that all workers run.
#[derive(Debug, Clone)]
struct Live {
    number: u64,
    bundle: Arc<Bundle>,
}

impl Live {
    fn digest(&self) -> Digest {
        self.bundle.digest()
    }
}

/// Why the script as it is now is not live; told once.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refused {
    Missing,
    Unreadable(String),
    /// With what the dialogues of the gate are like, which may be why.
    Faulty(Digest, Option<Print>),
}

/// Why a script does not go live.
enum Obstacle {
    Fault(Box<Fault>),
    Gate(String),
    /// It, or a dialogue, was changed while the dialogues were played.
    Overtaken,
}

/// What stands before a script that is to go live, and what is done with it then.
pub struct Stations {
    /// Dialogues that must pass.
    pub gate: Option<Gate>,
    /// Says which replies it changes.
    pub shadow: Option<Shadow>,
}

impl<'a> Reloader<'a> {
    /// The workers run `bundle` as generation 1.
    pub fn new(
        source: &'a Source,
        watcher: Watcher,
        workers: &'a [Worker],
        config: Config,
        stations: Stations,
        bundle: &Arc<Bundle>,
    ) -> Self {
        let Stations { gate, shadow } = stations;
        let live = Live { number: 1, bundle: Arc::clone(bundle) };
        let seen = gate.as_ref().map(Gate::print);
        let mut reloader = Self {
            source,
            watcher,
            workers,
            config,
            gate,
            shadow,
            live,
            seen,
            overtaken: false,
            refused: None,
        };
        reloader.watch(bundle.watched().clone());
        reloader
    }

    /// Watches what the script depends on, and the dialogues of the gate.
    fn watch(&mut self, mut folders: BTreeSet<PathBuf>) {
        folders.extend(self.gate.iter().flat_map(Gate::watched));
        self.watcher.watch(&folders);
    }

    /// Reloads whenever the script changes or `asked` is notified; never returns.
    pub async fn run(&mut self, asked: &Notify) {
        loop {
            let unreadable = matches!(self.refused, Some(Refused::Unreadable(_)));
            let explicit = tokio::select! {
                () = self.watcher.changed() => false,
                () = asked.notified() => true,
                () = sleep(RETRY), if unreadable && self.watcher.mode() != Watch::Off => false,
            };
            self.reload(explicit).await;
            while self.overtaken {
                self.overtaken = false;
                self.reload(false).await;
            }
        }
    }

    /// Makes the script live as it is now; `explicit` has it say so where nothing changed.
    async fn reload(&mut self, explicit: bool) {
        let number = self.live.number;
        let Some(bundle) = self.read(explicit).await else { return };
        if bundle.digest() == self.live.digest() {
            let was_refused = self.refused.take().is_some();
            if explicit || was_refused {
                let hash = self.live.digest();
                info!(generation = number, %hash, "script unchanged, generation {number} stays live");
            }
            return self.look_at_gate().await;
        }
        let print = self.gate.as_ref().map(Gate::print);
        let refused = Refused::Faulty(bundle.digest(), print);
        if !explicit && self.refused.as_ref() == Some(&refused) {
            return;
        }
        let hash = bundle.digest();
        match self.replace(Arc::new(bundle), print).await {
            Ok(()) => {
                self.refused = None;
                self.seen = print;
                return;
            }
            Err(Obstacle::Fault(fault)) => {
                let (generation, hash) = (fault.generation(), fault.hash());
                warn!(generation, hash, "reload failed, generation {number} stays live\n{fault}");
            }
            Err(Obstacle::Overtaken) => {
                self.overtaken = true;
                return;
            }
            Err(Obstacle::Gate(why)) => {
                let generation = number + 1;
                warn!(
                    generation, %hash,
                    "the gate is closed, generation {number} stays live: {why}"
                );
            }
        }
        self.refused = Some(refused);
    }

    /// Tells where the dialogues of the gate have changed, and the live script fails them now.
    async fn look_at_gate(&mut self) {
        let Some(gate) = &self.gate else { return };
        let print = Some(gate.print());
        if self.seen == print {
            return;
        }
        if let Err(why) = gate.admit(&self.live.bundle).await {
            let (generation, hash) = (self.live.number, self.live.digest());
            warn!(generation, %hash, "generation {generation} would not pass the gate now: {why}");
        }
        self.seen = print;
    }

    /// Reads the script, and watches what it consists of now.
    async fn read(&mut self, explicit: bool) -> Option<Bundle> {
        let number = self.live.number;
        let error = match self.read_settled().await {
            Ok(bundle) => {
                self.watch(bundle.watched().clone());
                return Some(bundle);
            }
            Err(error) => error,
        };
        self.watch(self.source.watched());
        let refused = if error.is_missing() {
            Refused::Missing
        } else {
            Refused::Unreadable(error.to_string())
        };
        if explicit || self.refused.as_ref() != Some(&refused) {
            if refused == Refused::Missing {
                warn!(
                    generation = number,
                    hash = %self.live.digest(),
                    "script is missing, generation {number} stays live until it returns"
                );
            } else {
                warn!(
                    generation = number,
                    hash = %self.live.digest(),
                    "reload failed, generation {number} stays live\n{error}"
                );
            }
        }
        self.refused = Some(refused);
        None
    }

    /// Reads the script once it is whole, so far as can be told.
    async fn read_settled(&self) -> Result<Bundle, ReadError> {
        let mut read = self.source.read();
        for _ in 0..MOST_LOOKS {
            let Ok(bundle) = &read else { break };
            let empty = bundle.main().content().is_empty();
            let polled =
                self.watcher.mode() == Watch::Poll && bundle.digest() != self.live.digest();
            if !empty && !polled {
                break;
            }
            let digest = bundle.digest();
            sleep(UNFINISHED).await;
            read = self.source.read();
            if read.as_ref().is_ok_and(|again| again.digest() == digest) {
                break;
            }
        }
        read
    }

    /// Tries the bundle, plays the dialogues of the gate with it, has every worker prepare it, and
    /// swaps everywhere.
    async fn replace(&mut self, bundle: Arc<Bundle>, print: Option<Print>) -> Result<(), Obstacle> {
        let number = self.live.number + 1;
        vm::try_out(&bundle, number, &self.config).map_err(Obstacle::Fault)?;
        self.pass_gate(&bundle, print).await?;
        if let Err(fault) = self.prepare(&bundle, number).await {
            for worker in self.workers {
                // A worker that is gone ends the server, which notices by itself.
                let _ = worker.orders.send(Order::Abort).await;
            }
            return Err(Obstacle::Fault(fault));
        }
        let mut swapped = Vec::new();
        for worker in self.workers {
            let (answer, answered) = oneshot::channel();
            let _ = worker.orders.send(Order::Commit(answer)).await;
            swapped.push(answered);
        }
        for answered in swapped {
            let _ = answered.await;
        }
        tell_live(number, &bundle);
        if let Some(shadow) = &self.shadow {
            shadow.compare((self.live.number, &self.live.bundle), (number, &bundle));
        }
        self.live = Live { number, bundle };
        Ok(())
    }

    /// Plays the dialogues, which were like `print` a moment ago, unless they or the script have
    /// changed meanwhile.
    async fn pass_gate(
        &mut self,
        bundle: &Arc<Bundle>,
        print: Option<Print>,
    ) -> Result<(), Obstacle> {
        let Self { gate, watcher, source, .. } = self;
        let Some(gate) = gate else { return Ok(()) };
        let mut admitting = pin!(gate.admit(bundle));
        let admitted = loop {
            tokio::select! {
                admitted = &mut admitting => break admitted,
                () = watcher.changed() => {
                    let is_same = |now: Bundle| now.digest() == bundle.digest();
                    if Some(gate.print()) != print || !source.read().is_ok_and(is_same) {
                        return Err(Obstacle::Overtaken);
                    }
                }
            }
        };
        admitted.map(drop).map_err(Obstacle::Gate)
    }

    async fn prepare(&self, bundle: &Arc<Bundle>, number: u64) -> Result<(), Box<Fault>> {
        let mut prepared = Vec::new();
        for worker in self.workers {
            let (answer, answered) = oneshot::channel();
            let order = Order::Prepare { bundle: Arc::clone(bundle), number, answer };
            let _ = worker.orders.send(order).await;
            prepared.push(answered);
        }
        let mut outcome = Ok(());
        for answered in prepared {
            // All are awaited, so that none prepares any more when the others are aborted.
            let answer = answered.await;
            let answer =
                answer.unwrap_or_else(|_| Err(Box::new(Fault::unanswered(number, bundle))));
            outcome = outcome.and(answer);
        }
        outcome
    }
}

/// Tells that a generation is live.
pub fn tell_live(number: u64, bundle: &Bundle) {
    info!(
        generation = number,
        hash = %bundle.digest(),
        script = bundle.main().shown(),
        "generation {number} is live"
    );
}
