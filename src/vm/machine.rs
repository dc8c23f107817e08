//! One Lua state: its libraries, sandbox, coroutines and meter. Runs functions under budget and
//! memory limit; what they are for is `generation`'s and the module root's business.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use mlua::{Function, Lua, LuaOptions, StdLib, Table, Value};
use tokio_util::sync::CancellationToken;

use super::api;
use super::budget::{Meter, WatchdogHandle};
use super::host::{Host, Origin, WHILE_FRAMING, WHILE_LOADING};
use super::raw::{Argument, Caller, Coroutine, Coroutines, Ended, Pinned, Resumed, method};
use super::trouble::{Cause, Trouble};
use super::value::is_out_of_memory;
use crate::conn::{Conn, Received};
use crate::handler::{Wait, Woken};

/// What a VM may hold above its limit: room for the host to work in when a script has used all
/// of its own, and for a new generation beside the running one.
fn reserve(memory: usize) -> usize {
    (memory / 8).max(8 * 1024 * 1024)
}

/// Names of the base that each generation defines for itself (Luau resolves names against the
/// base while it loads, and would ignore the generation's), and those that reach too far.
const REMOVED: [&str; 8] =
    ["print", "require", "_G", "loadstring", "getfenv", "setfenv", "collectgarbage", "newproxy"];

/// See the module.
pub(super) struct Machine {
    // Before `lua`: it looks into it until it is dropped.
    meter: Meter,
    coroutines: RefCell<Coroutines>,
    caller: Caller,
    new_conn: Function,
    new_environment: Function,
    pub(super) tostring: Pinned,
    serials: Cell<u64>,
    /// An error value is being asked for its text, which runs code of the script.
    pub(super) describing: Cell<bool>,
    /// `server.state`.
    state: Table,
    pub(super) host: Rc<Host>,
    pub(super) lua: Lua,
    pub(super) memory: usize,
    /// Heap size at which the next check collects.
    collect_at: Cell<usize>,
    /// Its data is over the limit, and it is to be replaced.
    exhausted: Cell<bool>,
    /// It was replaced: calls that wait do not go on.
    retired: Cell<bool>,
    retirement: CancellationToken,
}

/// Which worker a VM belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number, from 1.
    pub worker: usize,
    /// How many there are.
    pub workers: usize,
}

/// A function that ran, until its end or a wait.
pub(super) enum Ran {
    /// Its results are on the coroutine.
    Returned(Coroutine),
    /// It waits.
    Waits(Coroutine, Wait),
}

/// How much of a VM's memory is in use after a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// Within the limit.
    Sound,
    /// What cannot be collected is over the limit.
    Exhausted,
}

impl Machine {
    /// A Lua state whose heap may grow to `memory` bytes.
    pub(super) fn new(memory: usize, watchdog: &WatchdogHandle, host: Host) -> mlua::Result<Self> {
        let lua = Lua::new_with(StdLib::ALL_SAFE, LuaOptions::default())?;
        let host = Rc::new(host);
        let functions = api::host_functions(&lua, &host)?;
        let (new_environment, new_conn) =
            api::prelude(&lua)?.call::<(Function, Function)>((functions, api::parts(&lua)?))?;
        let base = lua.globals();
        for name in REMOVED {
            base.raw_set(name, Value::Nil)?;
        }
        lua.sandbox(true)?;
        let limit = memory.saturating_add(reserve(memory));
        lua.set_memory_limit(limit)?;
        let coroutines = Coroutines::new(&lua, limit)?;
        let meter = watchdog.watch(&lua)?;
        host.budget.replace(meter.renewal());
        Ok(Self {
            meter,
            caller: coroutines.caller(),
            coroutines: RefCell::new(coroutines),
            new_conn,
            new_environment,
            tostring: Pinned::new(&lua, lua.globals().get::<Function>("tostring")?)?,
            serials: Cell::new(0),
            describing: Cell::new(false),
            state: lua.create_table()?,
            host,
            lua,
            memory,
            collect_at: Cell::new(memory / 4 * 3),
            exhausted: Cell::new(false),
            retired: Cell::new(false),
            retirement: CancellationToken::new(),
        })
    }

    /// The environment of generation `number`, whose files have the chunk names `sources`.
    pub(super) fn environment(
        &self,
        number: u64,
        place: Place,
        main: &str,
        sources: &[&str],
    ) -> mlua::Result<Table> {
        let names = self.lua.create_table()?;
        for source in sources {
            names.raw_set(*source, true)?;
        }
        names.raw_set("main", main)?;
        let environment: Table = self.new_environment.call((
            number,
            place.worker,
            place.workers > 1,
            &self.state,
            names,
        ))?;
        // Lets Luau use what it resolved at load, and its fast calls of library functions.
        environment.set_safeenv(true);
        Ok(environment)
    }

    /// A number that no other version of the script in this VM has.
    pub(super) fn next_serial(&self) -> u64 {
        self.serials.set(self.serials.get() + 1);
        self.serials.get()
    }

    /// The script's object for `conn`, always the same one.
    pub(super) fn object(&self, conn: &Rc<Conn>) -> mlua::Result<Rc<Pinned>> {
        if let Some(object) = self.host.objects.borrow().get(&conn.id) {
            return Ok(Rc::clone(object));
        }
        let handle = method::handle(&self.lua, conn)?;
        let object: Table = self.new_conn.call(handle)?;
        let object = Rc::new(Pinned::new(&self.lua, object)?);
        self.host.objects.borrow_mut().insert(conn.id, Rc::clone(&object));
        Ok(object)
    }

    /// The connection is gone: its object lives on only where the script keeps it.
    pub(super) fn forget(&self, conn: &Conn) {
        self.host.objects.borrow_mut().remove(&conn.id);
    }

    /// Calls `function` in a coroutine of its own.
    pub(super) fn call(
        &self,
        origin: &Rc<Origin>,
        conn: Option<&Rc<Conn>>,
        function: &Pinned,
        arguments: &[Argument<'_>],
    ) -> Result<Ran, Trouble> {
        let coroutine = self.coroutines.borrow_mut().take();
        let coroutine = coroutine.map_err(|error| self.no_room(&error))?;
        let running = self.enter(origin, conn, &coroutine);
        let used = self.lua.used_memory();
        let resumed = self.caller.call(&coroutine, function, arguments, used);
        drop(running);
        self.leave(origin, coroutine, resumed)
    }

    /// Goes on with a call whose wait has ended.
    pub(super) fn resume(
        &self,
        origin: &Rc<Origin>,
        conn: Option<&Rc<Conn>>,
        coroutine: Coroutine,
        woken: &Woken,
    ) -> Result<Ran, Trouble> {
        if self.retired.get() {
            let text = "the VM was rebuilt while the call waited".to_owned();
            return Err(Trouble { cause: Cause::Memory, text, frames: coroutine.frames() });
        }
        let dialled = match woken {
            Woken::Dialled(Ok(dialled)) => Some(self.object(dialled)),
            _ => None,
        };
        let text = |text: &'static str| Argument::Bytes(text.as_bytes());
        let (one, two, three);
        let answer: &[Argument<'_>] = match (woken, &dialled) {
            (_, Some(Err(error))) => return Err(self.no_room(error)),
            (_, Some(Ok(object))) => {
                one = [Argument::Pinned(object)];
                &one
            }
            (Woken::Received(Received::Message(message)), _) => {
                one = [Argument::Bytes(message)];
                &one
            }
            (Woken::Ready | Woken::Dialled(Ok(_)), _) => {
                one = [Argument::Boolean(true)];
                &one
            }
            (Woken::Closed, _) => {
                two = [Argument::Nil, text("closed")];
                &two
            }
            (Woken::Received(Received::Ended(end)), _) => {
                two = [Argument::Nil, text(end.as_str())];
                &two
            }
            (Woken::Dialled(Err(error)), _) => {
                let (text, code) = (error.text.as_bytes(), error.code.as_bytes());
                three = [Argument::Nil, Argument::Bytes(text), Argument::Bytes(code)];
                &three
            }
        };
        let running = self.enter(origin, conn, &coroutine);
        let resumed = self.caller.resume(&coroutine, answer);
        drop(running);
        self.leave(origin, coroutine, resumed)
    }

    /// As [`Machine::call`] for a body, which cannot wait.
    pub(super) fn run_body(
        &self,
        origin: &Rc<Origin>,
        body: &Pinned,
    ) -> Result<Coroutine, Trouble> {
        self.call_forbidding(WHILE_LOADING, origin, body, &[])
    }

    /// As [`Machine::call`] for a framing function, which cannot wait.
    pub(super) fn run_framing(
        &self,
        origin: &Rc<Origin>,
        function: &Pinned,
        arguments: &[Argument<'_>],
    ) -> Result<Coroutine, Trouble> {
        self.call_forbidding(WHILE_FRAMING, origin, function, arguments)
    }

    fn call_forbidding(
        &self,
        why: &'static str,
        origin: &Rc<Origin>,
        function: &Pinned,
        arguments: &[Argument<'_>],
    ) -> Result<Coroutine, Trouble> {
        self.host.forbids.set(Some(why));
        let ran = self.call(origin, None, function, arguments);
        self.host.forbids.set(None);
        match ran? {
            Ran::Returned(coroutine) => Ok(coroutine),
            // `Host::wait` refuses.
            Ran::Waits(..) => Err(Trouble::raised(why)),
        }
    }

    /// Takes back the coroutine of a call that has returned.
    pub(super) fn put_back(&self, coroutine: Coroutine) {
        self.coroutines.borrow_mut().put_back(coroutine);
    }

    fn enter(
        &self,
        origin: &Rc<Origin>,
        conn: Option<&Rc<Conn>>,
        coroutine: &Coroutine,
    ) -> Running<'_> {
        let host = &self.host;
        host.current.set(coroutine.address());
        host.calls.set(host.calls.get() + 1);
        // Attempts at one number differ in their content.
        if !Rc::ptr_eq(&host.origin.borrow(), origin) {
            host.origin.replace(Rc::clone(origin));
        }
        host.conn.replace(conn.cloned());
        if host.kept_frames.borrow().is_some() {
            host.kept_frames.take();
        }
        self.meter.begin();
        Running(self)
    }

    #[inline]
    fn leave(
        &self,
        origin: &Rc<Origin>,
        coroutine: Coroutine,
        resumed: Resumed,
    ) -> Result<Ran, Trouble> {
        match resumed {
            Resumed::Returned if self.host.pending.borrow().is_none() => {
                Ok(Ran::Returned(coroutine))
            }
            resumed => self.leave_unfinished(origin, coroutine, resumed),
        }
    }

    /// As [`Machine::leave`], for a call that waits or has failed, or was to wait and did not.
    fn leave_unfinished(
        &self,
        origin: &Rc<Origin>,
        coroutine: Coroutine,
        resumed: Resumed,
    ) -> Result<Ran, Trouble> {
        let pending = self.host.pending.take();
        match resumed {
            Resumed::Returned => Ok(Ran::Returned(coroutine)),
            Resumed::Yielded => match pending {
                Some(wait) => Ok(Ran::Waits(coroutine, wait)),
                None => Err(Trouble {
                    cause: Cause::Raised,
                    text: "coroutine.yield outside of a coroutine: a callback waits with sleep \
                           and the like"
                        .into(),
                    frames: coroutine.frames(),
                }),
            },
            Resumed::Raised => Err(self.raised(origin, &coroutine)),
            Resumed::OutOfMemory => Err(self.out_of_memory(coroutine.frames())),
            Resumed::Ended(Ended::Memory { frames }) => Err(self.out_of_memory(frames)),
            Resumed::Ended(Ended::Budget { used, frames }) => Err(Trouble {
                cause: Cause::Budget(used),
                text: format!(
                    "the call was ended: it ran for {} ms of CPU time, more than its budget; \
                     a long computation says sleep(0) now and then, or gets a larger --budget",
                    used.as_millis()
                ),
                frames,
            }),
        }
    }

    /// The error that a call has raised.
    fn raised(&self, origin: &Rc<Origin>, coroutine: &Coroutine) -> Trouble {
        let mut frames = coroutine.frames();
        let kept = self.host.kept_frames.take();
        match coroutine.pop(&self.lua) {
            Ok(value) if is_out_of_memory(&value) => self.out_of_memory(frames),
            value => {
                if let (Ok(Value::String(text)), Some((known, origin))) = (&value, kept)
                    && *text.as_bytes() == known
                {
                    frames = origin;
                }
                let text = self.error_text(origin, value);
                Trouble { cause: Cause::Raised, text, frames }
            }
        }
    }

    /// Collects where the heap has grown near the limit, and says whether that was enough.
    pub(super) fn check_memory(&self) -> Memory {
        let used = self.lua.used_memory();
        if used < self.collect_at.get() {
            return Memory::Sound;
        }
        self.collect()
    }

    /// Whether what cannot be collected was over the limit when that was last looked at.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }

    /// Another VM takes its place; wakes the calls that wait.
    pub(super) fn retire(&self) {
        self.retired.set(true);
        self.host.tasks.clear();
        self.retirement.cancel();
    }

    /// Whether another VM has taken its place.
    pub(super) fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// Resolves when another VM takes its place.
    pub(super) async fn retirement(&self) {
        self.retirement.cancelled().await;
    }

    /// As [`Machine::retirement`], for a call that waits and does not hold the VM by this.
    pub(super) fn own_retirement(&self) -> impl Future<Output = ()> + use<> {
        self.retirement.clone().cancelled_owned()
    }

    /// Collects everything that can be.
    pub(super) fn collect(&self) -> Memory {
        // A failure shows in what is used.
        if let Err(error) = self.lua.gc_collect() {
            tracing::debug!(%error, "collection failed");
        }
        let used = self.lua.used_memory();
        if used > self.memory {
            self.exhausted.set(true);
            return Memory::Exhausted;
        }
        self.exhausted.set(false);
        // A tenth of growth before the next, so that a nearly full VM is not always collecting.
        self.collect_at.set((self.memory / 4 * 3).max(used + used / 10).min(self.memory));
        Memory::Sound
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The host's functions hold the host, and these hold the VM: it would never end.
        self.host.tasks.clear();
        self.host.objects.take();
    }
}

/// A call is running, until this is dropped: also where a panic passes.
struct Running<'a>(&'a Machine);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Machine { meter, host, .. } = self.0;
        meter.end();
        host.current.set(0);
        host.conn.take();
        // A call that was ended within a body that it required leaves this behind.
        host.forbids.set(None);
    }
}
