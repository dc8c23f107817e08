//! What happens to a generation outside of connections: `on_load` before it goes live,
//! `on_unload` after it was replaced, and a new VM for it where the old one is over its memory
//! limit.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::error;

use super::fault::Fault;
use super::generation::{Generation, Name};
use super::machine::{Memory, Ran};
use super::raw::Argument;
use super::trouble::Trouble;
use super::{Vm, new_machine, reply};
use crate::handler::wait_for;

/// The longest that an `on_load` may take, waits included: while it runs no other version of the
/// script can go live.
const LOAD_LIMIT: Duration = Duration::from_secs(10);

/// How long a VM that could not be rebuilt is left as it is.
const REBUILD_PAUSE: Duration = Duration::from_secs(5);

impl Vm {
    /// Runs the generation's `on_load`, waits included; `previous` is the number it replaces.
    ///
    /// # Errors
    /// It failed, returned nil and a reason, or waited for too long.
    pub async fn load(
        &self,
        generation: &Rc<Generation>,
        previous: Option<u64>,
    ) -> Result<(), Box<Fault>> {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 generations")]
        let previous = previous.map(|number| number as f64);
        let arguments = [previous.map_or(Argument::Nil, Argument::Number)];
        let fault = |text: String| {
            let name = Name::Load.as_str();
            let trouble = Trouble::raised(text);
            Box::new(Fault::callback(name, trouble, generation.label(), &generation.bundle))
        };
        let loading = self.run_alone(generation, Name::Load, &arguments);
        let Ok(loaded) = timeout(LOAD_LIMIT, loading).await else {
            let seconds = LOAD_LIMIT.as_secs();
            return Err(fault(format!("it had not ended after {seconds} seconds")));
        };
        loaded?;
        // A VM of its own must have room for what the script keeps from the start.
        let alone = !Rc::ptr_eq(&generation.machine, &self.live().machine) || previous.is_none();
        if alone && generation.machine.collect() == Memory::Exhausted {
            let text =
                "what the script keeps once it is loaded is over the memory limit (--memory)";
            return Err(fault(text.to_owned()));
        }
        Ok(())
    }

    /// Runs the generation's `on_unload`, waits included, then ends what the generation made; a
    /// failure is logged.
    pub async fn unload(&self, generation: &Rc<Generation>) {
        if let Err(fault) = self.run_alone(generation, Name::Unload, &[]).await {
            generation.machine.host.reporter.report(&fault);
        }
        generation.end();
    }

    /// The worker ends: tells of the faults that were only counted so far.
    pub fn tell_repeats(&self) {
        self.live().machine.host.reporter.tell_repeats();
    }

    /// Runs a callback that belongs to no connection.
    async fn run_alone(
        &self,
        generation: &Rc<Generation>,
        name: Name,
        arguments: &[Argument<'_>],
    ) -> Result<(), Box<Fault>> {
        let Err(trouble) = self.follow(generation, name, arguments).await else { return Ok(()) };
        let (label, bundle) = (generation.label(), &generation.bundle);
        let fault = Fault::callback(name.as_str(), trouble, label, bundle);
        self.tell_error(generation, &fault.text()).await;
        Err(Box::new(fault))
    }

    /// Runs the generation's `on_error` for what belongs to no connection; a failure is logged,
    /// and that is the end of it.
    pub(super) async fn tell_error(&self, generation: &Rc<Generation>, text: &str) {
        let arguments = [Argument::Bytes(text.as_bytes())];
        if let Err(trouble) = self.follow(generation, Name::Error, &arguments).await {
            let (label, bundle) = (generation.label(), &generation.bundle);
            let fault = Fault::callback(Name::Error.as_str(), trouble, label, bundle);
            generation.machine.host.reporter.report(&fault);
        }
    }

    /// Runs a callback to its end, waits included. What it returns counts only where that is nil
    /// and a reason, which is a failure.
    async fn follow(
        &self,
        generation: &Rc<Generation>,
        name: Name,
        arguments: &[Argument<'_>],
    ) -> Result<(), Trouble> {
        let Some(callback) = generation.callback(name) else { return Ok(()) };
        let Generation { machine, origin, .. } = &**generation;
        let mut ran = machine.call(origin, None, &callback.function, arguments);
        loop {
            match ran {
                Ok(Ran::Returned(coroutine)) => {
                    let refusal = reply::refusal(&coroutine);
                    machine.put_back(coroutine);
                    self.keep_within_memory(machine, None);
                    return refusal.map_or(Ok(()), |reason| Err(Trouble::raised(reason)));
                }
                Ok(Ran::Waits(coroutine, wait)) => {
                    let (woken, _) = wait_for(wait).await;
                    ran = machine.resume(origin, None, coroutine, &woken);
                }
                Err(trouble) => {
                    self.keep_within_memory(machine, Some(trouble.cause));
                    return Err(trouble);
                }
            }
        }
    }

    /// Replaces a VM whose data is over the limit by one with the same script and empty state;
    /// tries again for as long as that fails. One such task is enough.
    pub async fn rebuild(&self) {
        if self.rebuilding.replace(true) {
            return;
        }
        while self.live().machine.collect() == Memory::Exhausted {
            match self.try_rebuild().await {
                Ok(()) => break,
                Err(fault) => {
                    let (generation, hash) = (fault.generation(), fault.hash());
                    error!(generation, hash, "the VM could not be rebuilt: {fault}");
                    sleep(REBUILD_PAUSE).await;
                }
            }
        }
        self.rebuilding.set(false);
    }

    async fn try_rebuild(&self) -> Result<(), Box<Fault>> {
        let _building = self.building.lock().await;
        let old = self.live();
        if !old.machine.is_exhausted() {
            return Ok(());
        }
        let machine = new_machine(&self.config, &old.bundle, Some(&self.site))?;
        let built = Generation::build(&machine, &old.bundle, old.number(), self.config.place)?;
        if let Err(fault) = self.load(&built, None).await {
            // What it has made would keep it, and its VM, for ever.
            built.end();
            return Err(fault);
        }
        self.swap(&built);
        Ok(())
    }
}
