//! What the API's functions know of the running call: which coroutine it is, what it waits for,
//! whose generation it belongs to; and of the worker that it runs on.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use super::Generation;
use super::budget::Renewal;
use super::raw::{Frame, Pinned};
use super::report::Reporter;
use super::tasks::{Owner, Tasks};
use crate::conn::{Conn, Framings};
use crate::frame::{Framing, Spec};
use crate::handler::{Dialling, Wait};
use crate::net::address::Address;
use crate::roster::Roster;
use crate::script::Bundle;
use crate::world::World;

/// Shared by the functions of one VM.
pub(super) type SharedHost = Rc<Host>;

/// Told when a script asks the server to stop.
pub type StopRequest = Arc<dyn Fn() + Send + Sync>;

/// Makes outgoing connections.
pub type Dialler = Rc<dyn Fn(Call) -> Dialling>;

/// An outgoing connection that a script asks for.
pub struct Call {
    /// Where to.
    pub address: Address,
    /// How long it may take.
    pub limit: Duration,
    /// Its framings.
    pub framings: Framings,
}

/// What is the same for all VMs of a worker, one after the other.
#[derive(Clone)]
pub struct Site {
    /// The open connections; it knows what crosses workers.
    pub roster: Rc<Roster>,
    /// Makes outgoing connections; set once the worker can.
    pub dialler: Rc<RefCell<Option<Dialler>>>,
    /// What stands in for the machine's clock and chance, where the server is simulated.
    pub world: Option<Rc<World>>,
}

/// How framings are made.
#[derive(Debug, Clone)]
pub struct FramingRules {
    /// `--framing`.
    pub forced: Option<Spec>,
    /// `--max-message`.
    pub max_message: usize,
}

/// See the module.
pub(super) struct Host {
    /// The address of the running call's coroutine, 0 between calls.
    pub(super) current: Cell<usize>,
    /// Begins the budget of the running call anew.
    pub(super) budget: RefCell<Renewal>,
    /// Counts calls.
    pub(super) calls: Cell<u64>,
    /// Why nothing may be waited for, sent or ordered: a body is running, or a framing function.
    pub(super) forbids: Cell<Option<&'static str>>,
    /// The connection whose callback, timer or task is running.
    pub(super) conn: RefCell<Option<Rc<Conn>>>,
    /// What the running call is about to wait for.
    pub(super) pending: RefCell<Option<Wait>>,
    /// Logs are dropped, as in a trial.
    pub(super) silent: bool,
    /// The files of each generation that is alive, by its number.
    pub(super) bundles: RefCell<HashMap<u64, Arc<Bundle>>>,
    /// The generations that are alive, by their serial.
    pub(super) generations: RefCell<HashMap<u64, Weak<Generation>>>,
    /// Where the running call comes from.
    pub(super) origin: RefCell<Rc<Origin>>,
    /// The objects that scripts hold for open connections, by the connection's id.
    pub(super) objects: RefCell<HashMap<u64, Rc<Pinned>, BuildHasherDefault<IdHasher>>>,
    /// Timers, tasks and outgoing connections.
    pub(super) tasks: Rc<Tasks>,
    /// The worker; none in a trial.
    pub(super) site: Option<Site>,
    /// How framings are made.
    pub(super) framing_rules: FramingRules,
    /// Framings that reads asked for by text, because parsing costs more than looking up.
    pub(super) known_framings: RefCell<HashMap<Vec<u8>, Rc<Framing>>>,
    /// An error that is on its way, and where it came from before it was raised again.
    pub(super) kept_frames: RefCell<Option<(Vec<u8>, Vec<Frame>)>>,
    /// Logs the script's faults.
    pub(super) reporter: Reporter,
    /// Asks the server to stop.
    pub(super) stop: StopRequest,
    /// The use of `server.state` beside other workers was told of.
    pub(super) noted_state: Cell<bool>,
}

/// The version of the script that a call comes from.
#[derive(Debug, Default)]
pub(super) struct Origin {
    pub(super) label: Label,
    /// Unique in the VM, also among versions that did not go live.
    pub(super) serial: u64,
}

/// How log lines name a generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Label {
    /// Its number.
    pub(super) number: u64,
    /// The first digits of its content's hash.
    pub(super) hash: Arc<str>,
}

/// Hashes the ids of connections, which count up and are chosen by nobody.
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        // Odd, so that ids in a row differ in their low bits still, and now in their high ones too.
        self.0 = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Longer times are cut to this many seconds: a hundred years, which every clock can hold.
pub(super) const LONGEST_TIME: f64 = 100.0 * 365.25 * 86_400.0;

/// A shorter timeout, in seconds, would have a worker do nothing else.
pub(super) const SHORTEST_TIMEOUT: f64 = 0.001;

/// The text for what a body must not do.
pub(super) const WHILE_LOADING: &str = "not while loading; use on_load";

/// The text for what a framing function must not do.
pub(super) const WHILE_FRAMING: &str = "not in a framing function";

impl Host {
    pub(super) fn new(
        site: Option<Site>,
        framing_rules: FramingRules,
        silent: bool,
        stop: StopRequest,
    ) -> Self {
        let world = site.as_ref().and_then(|site| site.world.clone());
        Self {
            current: Cell::new(0),
            budget: RefCell::default(),
            calls: Cell::new(0),
            forbids: Cell::new(None),
            conn: RefCell::default(),
            pending: RefCell::default(),
            silent,
            bundles: RefCell::default(),
            generations: RefCell::default(),
            origin: RefCell::default(),
            objects: RefCell::default(),
            tasks: Rc::default(),
            site,
            framing_rules,
            known_framings: RefCell::default(),
            kept_frames: RefCell::default(),
            reporter: Reporter::new(world),
            stop,
            noted_state: Cell::new(false),
        }
    }

    /// What stands in for the machine's clock and chance, if something does.
    pub(super) fn world(&self) -> Option<&Rc<World>> {
        self.site.as_ref().and_then(|site| site.world.as_ref())
    }

    /// What the running call must not do at this time, as an error of `call`.
    pub(super) fn forbidden(&self, call: &str) -> Option<String> {
        self.forbids.get().map(|why| format!("{call}: {why}"))
    }

    /// Whether the running call serves `conn`, or has connected to it: only then it waits for it,
    /// because nobody else may be held up by a peer.
    pub(super) fn serves(&self, conn: &Rc<Conn>) -> bool {
        conn.is_outgoing()
            || self.conn.borrow().as_ref().is_some_and(|served| Rc::ptr_eq(served, conn))
    }

    /// Who owns what the running call makes.
    pub(super) fn owner(&self) -> Owner {
        match self.owning_conn() {
            Some(conn) => Owner::Conn(conn.id),
            None => Owner::Generation(self.origin.borrow().serial),
        }
    }

    /// The connection that owns what the running call makes.
    pub(super) fn owning_conn(&self) -> Option<Rc<Conn>> {
        self.conn.borrow().clone().filter(|conn| !conn.is_gone())
    }

    /// The generation that the running call belongs to; none while its body runs.
    pub(super) fn generation(&self) -> Option<Rc<Generation>> {
        self.generations.borrow().get(&self.origin.borrow().serial).and_then(Weak::upgrade)
    }

    /// The generation whose rules are in force for `conn`; the running call may be of another one.
    pub(super) fn entered_generation(&self, conn: &Conn) -> Option<Rc<Generation>> {
        let own = self.generation().filter(|own| own.number() == conn.generation());
        own.or_else(|| {
            let generations = self.generations.borrow();
            let alive = generations.values().filter_map(Weak::upgrade);
            // A number may have been that of others which were refused.
            let mut of_number = alive.filter(|other| other.number() == conn.generation());
            of_number.find(|other| !other.has_ended())
        })
    }

    /// Notes that the running call is about to wait; the text says why it cannot.
    pub(super) fn wait(
        &self,
        call: &str,
        state: usize,
        can_yield: bool,
        wait: Wait,
    ) -> Option<String> {
        let problem = self.cannot_wait(call, state, can_yield);
        if problem.is_none() {
            *self.pending.borrow_mut() = Some(wait);
        }
        problem
    }

    /// Why the running call cannot wait.
    pub(super) fn cannot_wait(&self, call: &str, state: usize, can_yield: bool) -> Option<String> {
        if let Some(problem) = self.forbidden(call) {
            return Some(problem);
        }
        if state != self.current.get() {
            return Some(format!(
                "{call} cannot wait in a coroutine of the script's own; use spawn for a task of its own"
            ));
        }
        if !can_yield {
            return Some(format!(
                "{call} cannot wait inside a sort or gsub callback or a metamethod"
            ));
        }
        None
    }
}
