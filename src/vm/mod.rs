//! The Lua VM of a worker: builds generations, makes one live, and answers the events of
//! connections with its callbacks. The only module that names mlua.

mod api;
mod background;
mod budget;
mod compile;
mod fault;
mod found;
mod framing;
mod generation;
mod hint;
mod host;
mod lifecycle;
mod machine;
mod raw;
mod reply;
mod report;
mod subject;
mod tasks;
mod trouble;
mod value;

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Mutex, Notify, OwnedMutexGuard};
use tracing::warn;

pub use api::deliver;
pub use background::run_tasks;
pub use budget::{Watchdog, WatchdogHandle};
pub use fault::Fault;
pub use found::Found;
pub use generation::Generation;
pub use host::{Call as Dial, Dialler, FramingRules, Site, StopRequest};
pub use machine::Place;

use crate::conn::{Conn, Framings};
use crate::handler::{Event, Handler, Kind, Outcome, Rules, Step, Woken};
use crate::script::Bundle;
use generation::{Callback, Name};
use host::Host;
use machine::{Machine, Memory, Ran};
use raw::{Argument, Coroutine};
use subject::{Kept, Subject, What};
use tasks::Owner;
use trouble::{Cause, Trouble};

/// What a VM is made with.
#[derive(Clone)]
pub struct Config {
    /// `--memory`, in bytes.
    pub memory: usize,
    /// The worker it belongs to.
    pub place: Place,
    /// Ends calls that are over their budget.
    pub watchdog: WatchdogHandle,
    /// Called by `server.stop`.
    pub stop: StopRequest,
    /// How framings are made.
    pub framing: FramingRules,
}

/// Compiles and runs the script in a VM of its own that is thrown away: the trial that every
/// reload begins with. Says what the script is; nothing of the VM is left.
///
/// # Errors
/// What is wrong with the script.
pub fn try_out(bundle: &Arc<Bundle>, number: u64, config: &Config) -> Result<Found, Box<Fault>> {
    let machine = new_machine(config, bundle, None)?;
    let generation = Generation::build(&machine, bundle, number, config.place)?;
    Ok(Found::of(&generation, config.framing.max_message))
}

/// A VM for a worker, or for a trial.
fn new_machine(
    config: &Config,
    bundle: &Arc<Bundle>,
    site: Option<&Site>,
) -> Result<Rc<Machine>, Box<Fault>> {
    let silent = site.is_none();
    let host = Host::new(site.cloned(), config.framing.clone(), silent, Arc::clone(&config.stop));
    let machine = Machine::new(config.memory, &config.watchdog, host);
    machine.map(Rc::new).map_err(|error| {
        let trouble = Trouble::raised(format!("no Lua state could be made: {error}"));
        Box::new(Fault::loading(trouble, &host::Label::default(), bundle))
    })
}

/// The VM of one worker.
pub struct Vm {
    config: Config,
    site: Site,
    live: RefCell<Rc<Generation>>,
    number: Cell<u64>,
    rules: Cell<Rules>,
    framings: RefCell<Framings>,
    calls: Cell<u64>,
    /// What the task that failed last used over its budget, until somebody asks.
    overrun: Cell<std::time::Duration>,
    exhausted: Notify,
    /// Held while a generation is built, so that a reload and a rebuild do not overtake each other.
    building: Arc<Mutex<()>>,
    rebuilding: Cell<bool>,
}

/// A generation that was built and loaded and waits to go live. While it does, no other is built.
/// One that is dropped instead ends what it has made.
pub struct Prepared {
    generation: Option<Rc<Generation>>,
    _building: OwnedMutexGuard<()>,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(generation) = &self.generation {
            generation.end();
        }
    }
}

/// A callback that waits.
pub struct Call {
    coroutine: Coroutine,
    subject: Kept,
}

impl Vm {
    /// A VM whose first generation is `bundle` as number 1; its `on_load` is yet to run.
    ///
    /// # Errors
    /// What is wrong with the script.
    pub fn new(config: Config, bundle: &Arc<Bundle>, site: Site) -> Result<Self, Box<Fault>> {
        let machine = new_machine(&config, bundle, Some(&site))?;
        let live = Generation::build(&machine, bundle, 1, config.place)?;
        Ok(Self {
            config,
            site,
            number: Cell::new(live.number()),
            rules: Cell::new(live.rules()),
            framings: RefCell::new(live.framings()),
            live: RefCell::new(live),
            calls: Cell::new(0),
            overrun: Cell::default(),
            exhausted: Notify::new(),
            building: Arc::default(),
            rebuilding: Cell::new(false),
        })
    }

    fn machine(&self) -> Rc<Machine> {
        Rc::clone(&self.live.borrow().machine)
    }

    /// The live generation.
    pub fn live(&self) -> Rc<Generation> {
        Rc::clone(&self.live.borrow())
    }

    /// Compiles and runs `bundle` as generation `number` beside the live one, and runs its
    /// `on_load`, waits included.
    ///
    /// # Errors
    /// What is wrong with the script.
    pub async fn prepare(&self, bundle: &Arc<Bundle>, number: u64) -> Result<Prepared, Box<Fault>> {
        let building = Arc::clone(&self.building).lock_owned().await;
        let live = self.live();
        // Where the data of the live one leaves no room, the new one begins without it.
        let machine = if live.machine.is_exhausted() {
            new_machine(&self.config, bundle, Some(&self.site))?
        } else {
            Rc::clone(&live.machine)
        };
        let generation = Generation::build(&machine, bundle, number, self.config.place)?;
        let prepared = Prepared { generation: Some(Rc::clone(&generation)), _building: building };
        self.load(&generation, Some(live.number())).await?;
        Ok(prepared)
    }

    /// Makes `prepared` the live generation; returns the one it replaces.
    pub fn commit(&self, mut prepared: Prepared) -> Rc<Generation> {
        match prepared.generation.take() {
            Some(generation) => self.swap(&generation),
            // Only here is it taken.
            None => self.live(),
        }
    }

    fn swap(&self, generation: &Rc<Generation>) -> Rc<Generation> {
        self.number.set(generation.number());
        self.rules.set(generation.rules());
        self.framings.replace(generation.framings());
        let old = self.live.replace(Rc::clone(generation));
        if !Rc::ptr_eq(&old.machine, &generation.machine) {
            old.machine.retire();
            // What frames them now would keep the VM that is gone, and all its data.
            self.site.roster.for_each(|conn| conn.leave_vm(generation.framings()));
            warn!(
                used = %bytesize::ByteSize::b(old.machine.lua.used_memory() as u64),
                limit = %bytesize::ByteSize::b(self.config.memory as u64),
                generation = generation.number(),
                hash = &*generation.label().hash,
                "the script's data is over the memory limit: its VM was rebuilt with empty \
                 state; give it a larger --memory, or keep less"
            );
        }
        old
    }

    /// Takes up what a call came to.
    fn settle(&self, subject: Subject<'_>, ran: Result<Ran, Trouble>) -> Step<Coroutine> {
        let machine = &subject.generation.machine;
        match ran {
            Ok(Ran::Returned(coroutine)) => {
                let answer = subject.deliver(&coroutine);
                machine.put_back(coroutine);
                self.keep_within_memory(machine, None);
                Step::Done(match answer {
                    Ok(outcome) => outcome,
                    Err(problem) => self.fail(subject, Trouble::raised(problem)),
                })
            }
            Ok(Ran::Waits(coroutine, wait)) => Step::Wait(coroutine, wait),
            Err(trouble) => {
                let cause = trouble.cause;
                let outcome = self.fail(subject, trouble);
                self.keep_within_memory(machine, Some(cause));
                Step::Done(outcome)
            }
        }
    }

    /// As [`Vm::settle`], for a call that began just now.
    fn settle_first(&self, subject: Subject<'_>, ran: Result<Ran, Trouble>) -> Step<Call> {
        match self.settle(subject, ran) {
            Step::Done(outcome) => Step::Done(outcome),
            Step::Wait(coroutine, wait) => {
                Step::Wait(Call { coroutine, subject: subject.keep() }, wait)
            }
        }
    }

    fn fail(&self, subject: Subject<'_>, trouble: Trouble) -> Outcome {
        let Subject { what, generation, conn, message, .. } = subject;
        if let Cause::Budget(used) = trouble.cause {
            if matches!(what, What::Task(_)) {
                self.overrun.set(used);
            }
            if let Some(conn) = conn {
                conn.penalise(used);
            }
        }
        let fault = Fault::callback(what.name(), trouble, generation.label(), &generation.bundle)
            .about(conn.map(|conn| &**conn), message);
        generation.machine.host.reporter.report(&fault);
        Outcome::Failed(fault.text())
    }

    /// Collects where the heap is near its limit or a call has failed for want of memory; where
    /// that does not help, [`Vm::exhausted`] resolves.
    fn keep_within_memory(&self, machine: &Rc<Machine>, failed: Option<Cause>) {
        // What is to be replaced, or was, is not worth a collection for each of its last calls.
        if machine.is_retired() || machine.is_exhausted() {
            return;
        }
        let memory = match failed {
            Some(Cause::Memory) => machine.collect(),
            _ => machine.check_memory(),
        };
        if memory == Memory::Exhausted {
            self.exhausted.notify_one();
        }
    }

    /// Resolves when the script's data is over the memory limit.
    pub async fn exhausted(&self) {
        self.exhausted.notified().await;
    }
}

impl Handler for Vm {
    type Call = Call;

    fn start(&self, conn: &Rc<Conn>, event: Event<'_>) -> Step<Call> {
        let generation = self.live();
        let name = Name::from(event.kind());
        match generation.callback(name) {
            None => Step::Done(Outcome::NOTHING),
            Some(callback) => self.start_callback(&generation, callback, name, conn, event),
        }
    }

    fn resume(&self, call: Call, woken: &Woken) -> Step<Call> {
        let Call { coroutine, subject } = call;
        self.calls.set(self.calls.get() + 1);
        let Generation { machine, origin, .. } = &*subject.generation;
        let ran = machine.resume(origin, subject.conn.as_ref(), coroutine, woken);
        match self.settle(subject.subject(), ran) {
            Step::Done(outcome) => Step::Done(outcome),
            Step::Wait(coroutine, wait) => Step::Wait(Call { coroutine, subject }, wait),
        }
    }

    fn wants(&self, kind: Kind) -> bool {
        self.live.borrow().callback(kind.into()).is_some()
    }

    fn generation(&self) -> u64 {
        self.number.get()
    }

    fn rules(&self) -> Rules {
        self.rules.get()
    }

    fn framings(&self) -> Framings {
        self.framings.borrow().clone()
    }

    fn calls(&self) -> u64 {
        self.calls.get()
    }

    fn hash(&self) -> Arc<str> {
        Arc::clone(&self.live.borrow().label().hash)
    }

    fn given_up(&self, call: &Call) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(call.subject.generation.machine.own_retirement())
    }

    fn has_tasks(&self, conn: &Conn) -> bool {
        self.live.borrow().machine.host.tasks.has_spawned(conn.id)
    }

    fn release(&self, conn: &Conn) {
        self.live.borrow().machine.host.tasks.end(Owner::Conn(conn.id));
    }

    fn forget(&self, conn: &Conn) {
        let machine = self.machine();
        machine.host.tasks.disown(conn.id);
        machine.forget(conn);
    }
}

impl Vm {
    fn start_callback(
        &self,
        generation: &Rc<Generation>,
        callback: &Callback,
        name: Name,
        conn: &Rc<Conn>,
        event: Event<'_>,
    ) -> Step<Call> {
        self.calls.set(self.calls.get() + 1);
        let machine = &generation.machine;
        let message = match event {
            Event::Message(bytes) => Some(bytes),
            _ => None,
        };
        let framing = message.is_some().then(|| conn.reply_framing());
        let subject = Subject {
            what: What::Callback(name),
            generation,
            conn: Some(conn),
            framing: framing.as_ref(),
            message,
        };
        // The script's object for the connection is made only for a callback that takes it.
        let conn_position = usize::from(matches!(event, Event::Message(_) | Event::Error(_)));
        let taken = usize::from(callback.parameters);
        let object = (taken > conn_position).then(|| machine.object(conn)).transpose();
        let ran = match &object {
            Ok(object) => {
                let object = object.as_deref().map_or(Argument::Nil, Argument::Pinned);
                let arguments = match event {
                    Event::Message(bytes) => [Argument::Bytes(bytes), object],
                    Event::Error(text) => [Argument::Bytes(text.as_bytes()), object],
                    Event::Close(reason) => [object, Argument::Bytes(reason.as_str().as_bytes())],
                    Event::Connect | Event::Session | Event::Eof | Event::Idle | Event::Reload => {
                        [object, Argument::Nil]
                    }
                };
                let arguments = &arguments[..taken.min(arguments.len())];
                machine.call(&generation.origin, Some(conn), &callback.function, arguments)
            }
            Err(error) => Err(machine.no_room(error)),
        };
        self.settle_first(subject, ran)
    }
}
