//! `--shadow`: keeps the last messages, and says at every save which of their replies the new
//! script changes. No connection is touched: whole conversations are held anew in a simulation,
//! with the script from before the save and with the new one.
//!
//! Where the one from before answers otherwise than it did, its answer depended on what was before
//! the messages that are kept, on chance or on another server: then nothing can be said of it.

mod compare;
mod tap;
mod tape;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tracing::{info, warn};

use crate::script::Bundle;
use crate::settings::Settings;
use crate::simulation::rerun::Rerun;
use crate::tap::Audience;
use crate::vm::Watchdog;
use compare::Comparison;
use tape::Tape;

/// A version of the script: its number and its files.
type Version<'a> = (u64, &'a Arc<Bundle>);

/// See the module.
pub struct Shadow {
    tape: Arc<Tape>,
    settings: Arc<Settings>,
    /// A comparison is at work; there is one at a time.
    busy: Arc<AtomicBool>,
}

impl Shadow {
    /// The one that the settings ask for.
    #[must_use]
    pub fn of(settings: &Arc<Settings>) -> Option<Self> {
        let most = settings.shadow;
        let tape = || Arc::new(Tape::new(most));
        (most > 0).then(|| Self {
            tape: tape(),
            settings: Arc::clone(settings),
            busy: Arc::default(),
        })
    }

    /// Who listens to the connections.
    #[must_use]
    pub fn audience(&self) -> Arc<dyn Audience> {
        Arc::clone(&self.tape) as _
    }

    /// Says which replies change from one version to the next, from a thread of its own: the
    /// server does not wait for it.
    pub fn compare(&self, old: Version<'_>, new: Version<'_>) {
        if self.busy.swap(true, Ordering::AcqRel) {
            let (generation, hash) = (new.0, new.1.digest());
            return info!(
                generation, %hash,
                "shadow: nothing is said of this save, the last messages are still being answered \
                 for the one before"
            );
        }
        let busy = Busy(Arc::clone(&self.busy));
        let work = Work {
            tape: Arc::clone(&self.tape),
            settings: Arc::clone(&self.settings),
            old: (old.0, Arc::clone(old.1)),
            new: (new.0, Arc::clone(new.1)),
        };
        let thread = thread::Builder::new().name("shadow".to_owned()).spawn(move || {
            let _busy = busy;
            work.run();
        });
        if let Err(error) = thread {
            warn!(%error, "shadow: no thread to answer the last messages anew");
        }
    }
}

/// Says that a comparison is over, when it is dropped.
struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

struct Work {
    tape: Arc<Tape>,
    settings: Arc<Settings>,
    old: (u64, Arc<Bundle>),
    new: (u64, Arc<Bundle>),
}

impl Work {
    fn run(&self) {
        let (generation, hash) = (self.new.0, self.new.1.digest());
        match self.compared() {
            Ok(Some(comparison)) => info!(generation, %hash, "shadow: {comparison}"),
            Ok(None) => {}
            Err(why) => {
                warn!(generation, %hash, "shadow: the last messages could not be answered anew: {why}");
            }
        }
    }

    /// None where there is no message.
    fn compared(&self) -> Result<Option<Comparison>, String> {
        let recording = self.tape.recording();
        if recording.messages == 0 {
            return Ok(None);
        }
        let watchdog = Watchdog::start(self.settings.budget).map_err(|error| error.to_string())?;
        let watchdog = watchdog.handle();
        let rerun = |bundle| Rerun {
            cues: &recording.cues,
            epoch: recording.epoch,
            bundle,
            settings: &self.settings,
            watchdog: &watchdog,
        };
        let before = rerun(&self.old.1).go()?;
        let now = rerun(&self.new.1).go()?;
        let (comparison, known) = Comparison::of(&recording, self.old.0, &before, &now);
        self.tape.remember(&known);
        Ok(Some(comparison))
    }
}
