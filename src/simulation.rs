//! A server without sockets and under a clock of its own, for dialogues: the real worker, sessions
//! and VM over connections in memory. Time stands still while there is something to do and then
//! goes on at once to whatever is next, so that an hour of sleep takes no time, and a run can be
//! had again exactly.
//!
//! A simulation takes a thread for itself, one after the other; several threads can have one each.

mod door;
mod hourglass;
mod idle;
pub mod rerun;
mod seen;
mod stage;
pub mod suite;
mod upstreams;

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use tokio::runtime::{self, LocalOptions};
use tokio_util::sync::CancellationToken;

use crate::accept::Slots;
use crate::frame::Spec;
use crate::hub::Hub;
use crate::play::{Cuts, Failure, Heard, Play};
use crate::script::Bundle;
use crate::settings::Settings;
use crate::transcript::Dialogue;
use crate::vm::{Config, FramingRules, Place, WatchdogHandle};
use crate::worker::{Floor, Setup, Shared};
use crate::world::{EPOCH, World};
use hourglass::Hourglass;
use idle::Idle;
use stage::{Props, Seen, SimulatedStage};
use upstreams::Upstreams;

/// CPU time that one run may take: what takes longer does not come to rest.
const LONGEST_RUN: Duration = Duration::from_secs(5);

/// The index of no step: the handler is being loaded.
const BEFORE_THE_FIRST: usize = usize::MAX;

/// Where chance begins if a dialogue does not say so.
const SEED: u64 = 1;

/// What one run needs.
#[derive(Clone)]
pub struct Run<'a> {
    /// The dialogue.
    pub dialogue: &'a Dialogue,
    /// The handler it is held with.
    pub bundle: Arc<Bundle>,
    /// The folder of the dialogue, where the handlers are that it reloads.
    pub folder: &'a Path,
    /// The server's settings; what concerns sockets is not looked at.
    pub settings: Arc<Settings>,
    /// Ends calls that are over their budget.
    pub watchdog: WatchdogHandle,
    /// How streams are cut.
    pub cuts: Cuts,
    /// Ends it before its end.
    pub stop: CancellationToken,
}

/// How a run went.
#[derive(Debug)]
pub struct Ran {
    /// Whether all steps were as they should be.
    pub outcome: Result<(), Failure>,
    /// What everybody heard.
    pub heard: Heard,
    /// What the handler logged, a line each, with its level.
    pub log: Vec<String>,
}

impl Ran {
    fn without_a_step(failure: Failure) -> Self {
        Self { outcome: Err(failure), heard: Heard::new(), log: Vec::new() }
    }
}

impl Run<'_> {
    /// Plays the dialogue; blocks this thread until it is over.
    #[must_use]
    pub fn go(&self) -> Ran {
        let ran = in_a_runtime(async |idle| self.within_limit(&idle).await);
        ran.unwrap_or_else(|error| {
            Ran::without_a_step(self.failure(format!("no runtime: {error}")))
        })
    }

    async fn within_limit(&self, idle: &Arc<Idle>) -> Ran {
        let hourglass = Hourglass::turn(LONGEST_RUN);
        let seen = Rc::new(Seen::default());
        let upstreams = Upstreams::new(&self.dialogue.directives.upstreams, Rc::clone(&seen));
        let at = Cell::new(BEFORE_THE_FIRST);
        let stopped = |problem: String| {
            let failure = match self.dialogue.steps.get(at.get()) {
                Some(placed) => Failure::of_step(self.dialogue, placed, problem),
                None => self.failure(problem),
            };
            Ran { log: seen.take_log(), ..Ran::without_a_step(failure) }
        };
        tokio::select! {
            ran = self.play(idle, &seen, &upstreams, &at) => ran,
            () = self.stop.cancelled() => {
                Ran::without_a_step(self.failure("nobody waits for it any more".to_owned()))
            }
            problem = upstreams.flooded() => stopped(problem),
            () = hourglass.run_out() => stopped(format!(
                "the server did not come to rest, and was stopped after {} s of work: \
                 does the handler do something again and again without a pause?",
                LONGEST_RUN.as_secs()
            )),
        }
    }

    async fn play(
        &self,
        idle: &Arc<Idle>,
        seen: &Rc<Seen>,
        upstreams: &Upstreams,
        at: &Cell<usize>,
    ) -> Ran {
        let witness = Rc::clone(seen);
        let chance = self.dialogue.directives.seed.unwrap_or(SEED);
        let world = Rc::new(World::new(EPOCH, chance, move |sighting| witness.note(sighting)));
        let stop = CancellationToken::new();
        let framing = self.dialogue.directives.framing.as_ref();
        let setup = setup(&self.settings, framing, &self.bundle, &self.watchdog, &stop);
        let dialler = upstreams.dialler();
        let floor = match Floor::build(setup, Some(world), dialler) {
            Ok(floor) => floor,
            Err(fault) => {
                let ran = Ran::without_a_step(self.failure(fault.to_string()));
                return Ran { log: seen.take_log(), ..ran };
            }
        };
        let framings = floor.framings();
        let directives = &self.dialogue.directives;
        let (sent, replied) =
            (directives.eol_beside(&framings.read), directives.eol_beside(&framings.reply));
        let props = Props { directives, folder: self.folder.to_owned(), stop };
        let upstreams = upstreams.clone();
        let stage = SimulatedStage::new(props, floor, upstreams, Rc::clone(seen), Arc::clone(idle));
        let play = Play::new(self.dialogue, &stage, sent, self.cuts, at).hearing_lines_end(replied);
        let (outcome, heard) = play.run().await;
        Ran { outcome, heard, log: seen.take_log() }
    }

    fn failure(&self, problem: String) -> Failure {
        Failure::before(&self.dialogue.file, problem)
    }
}

/// Runs something under a clock that stands still while there is something to do; it is told when
/// there is not. What the server logs meanwhile concerns nobody.
fn in_a_runtime<T>(run: impl AsyncFnOnce(Arc<Idle>) -> T) -> io::Result<T> {
    let idle = Arc::new(Idle::default());
    let parked = Arc::clone(&idle);
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .on_thread_park(move || parked.note())
        .build_local(LocalOptions::default())?;
    let silence = tracing::subscriber::NoSubscriber::default();
    Ok(tracing::subscriber::with_default(silence, || runtime.block_on(run(idle))))
}

/// What the one worker of a simulation starts with; `framing` goes before that of the settings.
fn setup(
    settings: &Arc<Settings>,
    framing: Option<&Spec>,
    bundle: &Arc<Bundle>,
    watchdog: &WatchdogHandle,
    stop: &CancellationToken,
) -> Setup {
    let stopping = stop.clone();
    let config = Config {
        memory: settings.memory,
        place: Place { worker: 1, workers: 1 },
        watchdog: watchdog.clone(),
        stop: Arc::new(move || stopping.cancel()),
        framing: FramingRules {
            forced: framing.or(settings.framing.as_ref()).cloned(),
            max_message: settings.max_message,
        },
    };
    Setup {
        config,
        // The first client that leaves is not the end of a dialogue.
        settings: Arc::new(Settings { once: false, ..Settings::clone(settings) }),
        sources: Vec::new(),
        bundle: Arc::clone(bundle),
        shared: Arc::new(Shared {
            ids: Arc::new(AtomicU64::new(1)),
            known_peers: Arc::new(AtomicUsize::new(0)),
            slots: Slots::new(settings.max_conns),
            stop: stop.clone(),
            hub: Hub::new(1, settings.memory),
            audiences: Vec::new(),
        }),
    }
}

/// The folder that names in a dialogue begin at.
#[must_use]
pub fn folder_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}
