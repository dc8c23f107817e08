//! The budget of a call: a watchdog thread that notices a call which runs long, and the interrupt
//! that ends it. Leaves to others what a call is (`raw`) and how its end is told (`fault`).
//!
//! The watchdog looks at each VM's call counter once a tick. When it first sees a call, whose
//! counter is odd, it notes the CPU clock of the VM's thread; from the next tick on it arms the
//! VM's interrupt, a function pointer that Luau polls at every call, return and loop edge and
//! inside pattern matching. The interrupt, on that thread, ends the call once its CPU clock has
//! gone on by the budget, and else disarms itself until the next tick. A call that waits for the
//! processor, or whose process is stopped, uses no budget. Where the system does not show a
//! thread's clock to others, the interrupt notes it at its first firing.
//!
//! A call is ended by a Rust panic that unwinds through Luau's frames to the `catch_unwind` in
//! `raw`. Luau's handlers catch C++ exceptions of their own type only, so neither `pcall` nor
//! `coroutine.resume`, nor a C function that called back into Lua, runs another statement; the
//! frames of the coroutine stay readable, and it is thrown away afterwards.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::panic::resume_unwind;
use std::ptr::null_mut;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use mlua::Lua;
use mlua::ffi;
use nix::time::{ClockId, clock_gettime};

use super::raw::{self, Ended};

/// Ticks without a call after which the watchdog sleeps until the next one.
const IDLE_TICKS: u32 = 20;

/// The thread that watches the VMs of all workers. Ends when it is dropped.
pub struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    budget: Duration,
    watched: Mutex<Vec<Watched>>,
    asleep: AtomicBool,
    stopped: AtomicBool,
}

/// What the watchdog knows of one VM.
struct Watched {
    calls: Arc<AtomicU64>,
    noted: Arc<Noted>,
    thread_clock: Option<ClockId>,
    interrupt: InterruptField,
    seen: u64,
}

/// The CPU time of the VM's thread when a call was first seen.
#[derive(Default)]
struct Noted {
    /// In nanoseconds.
    time: AtomicU64,
    /// The counter of the call that it was seen for; written after `time`.
    call: AtomicU64,
}

impl Noted {
    fn set(&self, call: u64, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.time.store(nanoseconds, Ordering::Relaxed);
        self.call.store(call, Ordering::Release);
    }

    fn of(&self, call: u64) -> Option<Duration> {
        let seen = self.call.load(Ordering::Acquire) == call;
        seen.then(|| Duration::from_nanos(self.time.load(Ordering::Relaxed)))
    }
}

/// The address of `lua_Callbacks::interrupt` of one VM.
#[derive(Clone, Copy)]
struct InterruptField(*mut ffi::lua_Callbacks);

// SAFETY: the watchdog's thread touches the field only as an atomic pointer and only while it
// holds `Shared::watched`; `Meter::drop` removes the entry under the same lock before the VM ends.
unsafe impl Send for InterruptField {}

impl InterruptField {
    fn arm(self) {
        self.set(interrupt as *mut c_void);
    }

    fn disarm(self) {
        self.set(null_mut());
    }

    fn set(self, function: *mut c_void) {
        // SAFETY: the callbacks live as long as the VM, which outlives every `InterruptField`
        // (see above). `Option<fn>` has the size and the null of a pointer, and Luau reads the
        // field with one aligned load.
        unsafe {
            let field = (&raw mut (*self.0).interrupt).cast::<*mut c_void>();
            AtomicPtr::from_ptr(field).store(function, Ordering::Relaxed);
        }
    }
}

impl Watchdog {
    /// Starts the thread for calls that may use `budget` of CPU time each.
    ///
    /// # Errors
    /// The system refused a thread.
    pub fn start(budget: Duration) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            budget,
            watched: Mutex::default(),
            asleep: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let watching = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("watchdog".into()).spawn(move || watching.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A handle that VMs on other threads are registered with.
    #[must_use]
    pub fn handle(&self) -> WatchdogHandle {
        WatchdogHandle {
            shared: Arc::clone(&self.shared),
            thread: self.thread.as_ref().map(|thread| thread.thread().clone()),
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The thread does not panic; if it did there is nothing left to end.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Watched>> {
        // The list stays whole whoever panicked while holding it.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The watchdog's thread.
    fn run(&self) {
        // A tenth of the budget bounds how late a call is ended; at 10 ms the thread itself costs
        // less than a per cent of a busy worker.
        let tick = (self.budget / 10).clamp(Duration::from_millis(1), Duration::from_millis(10));
        let mut idle = 0;
        while !self.stopped.load(Ordering::SeqCst) {
            idle = if self.scan() { 0 } else { idle + 1 };
            if idle < IDLE_TICKS {
                thread::park_timeout(tick);
                continue;
            }
            self.asleep.store(true, Ordering::SeqCst);
            // A call that began before it could see `asleep` is seen here.
            if !self.scan() && !self.stopped.load(Ordering::SeqCst) {
                thread::park();
            }
            self.asleep.store(false, Ordering::SeqCst);
            idle = 0;
        }
    }

    /// Arms the interrupt of every VM whose call lasts since the scan before; tells whether any
    /// VM made or makes a call.
    fn scan(&self) -> bool {
        let mut active = false;
        for vm in self.lock().iter_mut() {
            let calls = vm.calls.load(Ordering::SeqCst);
            let running = calls % 2 == 1;
            if running && calls == vm.seen {
                vm.interrupt.arm();
            } else if running && let Some(time) = vm.thread_clock.and_then(cpu_time) {
                vm.noted.set(calls, time);
            }
            active |= running || calls != vm.seen;
            vm.seen = calls;
        }
        active
    }
}

/// Registers VMs with the watchdog.
#[derive(Clone)]
pub struct WatchdogHandle {
    shared: Arc<Shared>,
    thread: Option<Thread>,
}

impl WatchdogHandle {
    /// Watches `lua` until the meter is dropped, which must happen before `lua` is.
    ///
    /// # Errors
    /// Not enough memory.
    pub(super) fn watch(&self, lua: &Lua) -> mlua::Result<Meter> {
        let calls = Arc::new(AtomicU64::new(0));
        let noted = Arc::new(Noted::default());
        let mut main = null_mut();
        // SAFETY: the closure reads pointers only and leaves the stack as it was.
        unsafe {
            lua.exec_raw::<()>((), |state| {
                main = ffi::lua_mainthread(state);
            })?;
        }
        // SAFETY: `main` is the main thread of `lua`.
        let interrupt = InterruptField(unsafe { ffi::lua_callbacks(main) });
        let clock = Rc::new(Clock {
            calls: Arc::clone(&calls),
            budget: self.shared.budget,
            interrupt,
            noted: Arc::clone(&noted),
        });
        // SAFETY: `Meter` holds the clock, and clears the pointer before it lets go of it.
        unsafe { ffi::lua_setthreaddata(main, Rc::as_ptr(&clock).cast_mut().cast()) };
        let thread_clock = own_thread_clock();
        let watched =
            Watched { calls: Arc::clone(&calls), noted, thread_clock, interrupt, seen: 0 };
        self.shared.lock().push(watched);
        Ok(Meter { calls, clock, main, watchdog: self.clone() })
    }
}

/// Counts the calls of one VM, so that the watchdog sees them.
pub(super) struct Meter {
    calls: Arc<AtomicU64>,
    clock: Rc<Clock>,
    main: *mut ffi::lua_State,
    watchdog: WatchdogHandle,
}

impl Meter {
    /// A call begins, or goes on after a wait.
    pub(super) fn begin(&self) {
        let calls = self.calls.load(Ordering::Relaxed);
        // A swap and not a store: it must be visible before `asleep` is read.
        self.calls.swap(calls + 1, Ordering::SeqCst);
        if self.watchdog.shared.asleep.load(Ordering::SeqCst)
            && let Some(thread) = &self.watchdog.thread
        {
            thread.unpark();
        }
    }

    /// Renews the budget of its calls.
    pub(super) fn renewal(&self) -> Renewal {
        Renewal(Arc::clone(&self.calls))
    }

    /// The call ended, or waits.
    pub(super) fn end(&self) {
        let calls = self.calls.load(Ordering::Relaxed);
        self.calls.store(calls + 1, Ordering::Release);
    }
}

/// Has the running call of one VM begin its budget anew, as a wait does.
#[derive(Default)]
pub(super) struct Renewal(Arc<AtomicU64>);

impl Renewal {
    /// A call is running; for the watchdog and the interrupt it is another one from here on.
    pub(super) fn renew(&self) {
        let calls = self.0.load(Ordering::Relaxed);
        self.0.store(calls + 2, Ordering::Release);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.watchdog.shared.lock().retain(|vm| !Arc::ptr_eq(&vm.calls, &self.calls));
        self.clock.interrupt.disarm();
        // SAFETY: the VM is alive still (see `watch`), and nothing reads the clock after this.
        unsafe { ffi::lua_setthreaddata(self.main, null_mut()) };
    }
}

/// What the interrupt of one VM reads.
struct Clock {
    calls: Arc<AtomicU64>,
    budget: Duration,
    interrupt: InterruptField,
    noted: Arc<Noted>,
}

impl Clock {
    /// The CPU time that the running call has used, once that is over the budget.
    fn overrun(&self) -> Option<Duration> {
        let call = self.calls.load(Ordering::Relaxed);
        if call.is_multiple_of(2) {
            return None;
        }
        let now = cpu_time(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
        let Some(since) = self.noted.of(call) else {
            self.noted.set(call, now);
            return None;
        };
        now.checked_sub(since).filter(|used| *used >= self.budget)
    }
}

fn cpu_time(clock: ClockId) -> Option<Duration> {
    clock_gettime(clock).ok().map(Duration::from)
}

/// The CPU clock of the calling thread, for others to read.
#[cfg(target_os = "linux")]
fn own_thread_clock() -> Option<ClockId> {
    use nix::libc;
    let mut clock: libc::clockid_t = 0;
    // SAFETY: the calling thread is alive, and the clock is written to a variable of its type.
    let status = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
    (status == 0).then(|| ClockId::from_raw(clock))
}

#[cfg(not(target_os = "linux"))]
fn own_thread_clock() -> Option<ClockId> {
    None
}

/// A safepoint of a function that runs long outside of Luau's own.
///
/// # Safety
/// `state` is the running coroutine, and the frames between the caller and Luau may unwind.
pub(super) unsafe fn safepoint(state: *mut ffi::lua_State) {
    // SAFETY: the callbacks live as long as the VM. The field is a function or null, and is read
    // as `InterruptField::set` writes it.
    unsafe {
        let field = (&raw mut (*ffi::lua_callbacks(state)).interrupt).cast::<*mut c_void>();
        if !AtomicPtr::from_ptr(field).load(Ordering::Relaxed).is_null() {
            interrupt(state, -1);
        }
    }
}

/// Luau calls this at its safepoints while it is armed.
unsafe extern "C-unwind" fn interrupt(state: *mut ffi::lua_State, gc: i32) {
    if gc >= 0 {
        return;
    }
    // SAFETY: Luau passes a live state; its main thread's data is the VM's clock or null.
    let clock = unsafe {
        let main = ffi::lua_mainthread(state);
        ffi::lua_getthreaddata(main).cast::<Clock>().as_ref()
    };
    let Some(clock) = clock else { return };
    clock.interrupt.disarm();
    if let Some(used) = clock.overrun() {
        // SAFETY: `state` is the running coroutine.
        let frames = unsafe { raw::frames(state) };
        resume_unwind(Box::new(Ended::Budget { used, frames }));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_renewed_call_has_its_whole_budget() {
        let watchdog = Watchdog::start(Duration::from_secs(100)).unwrap();
        let lua = Lua::new();
        let meter = watchdog.handle().watch(&lua).unwrap();
        meter.begin();
        let call = meter.calls.load(Ordering::Relaxed);
        // As if the watchdog had seen it long ago.
        let clock = Clock {
            calls: Arc::clone(&meter.calls),
            budget: Duration::ZERO,
            interrupt: meter.clock.interrupt,
            noted: Arc::default(),
        };
        clock.noted.set(call, Duration::ZERO);
        assert!(clock.overrun().is_some());
        meter.renewal().renew();
        assert!(clock.overrun().is_none(), "the time of the call before was counted");
        assert!(!meter.calls.load(Ordering::Relaxed).is_multiple_of(2), "no call is running");
        meter.end();
    }
}
