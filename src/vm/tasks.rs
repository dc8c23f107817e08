//! Timers and tasks of a VM: what is due when, what was spawned, and whom it ends with. Running
//! them is the module root's business. A timer that waits is an entry in a map and no task of the
//! runtime; one that was cancelled is nothing.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::Generation;
use super::raw::Pinned;
use crate::conn::Conn;

/// Timers and tasks that a worker holds at most: each costs about 300 bytes beside what its
/// function keeps.
const MOST_TASKS: usize = 200_000;

/// Whom something ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// The connection with this id.
    Conn(u64),
    /// The generation with this serial.
    Generation(u64),
}

/// What makes a function run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    /// `after`.
    After,
    /// `every`, with its period.
    Every(Duration),
    /// `spawn`.
    Spawn,
}

impl Trigger {
    /// The function of the API that it was made with.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::After => "after",
            Self::Every(_) => "every",
            Self::Spawn => "spawn",
        }
    }
}

/// A function that runs later, or is running.
pub(super) struct Task {
    id: u64,
    pub(super) trigger: Trigger,
    pub(super) function: Pinned,
    pub(super) generation: Rc<Generation>,
    /// The connection whose callback made it.
    pub(super) conn: Option<Rc<Conn>>,
    owner: Owner,
    due: Cell<Instant>,
    running: RefCell<Option<AbortHandle>>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Tasks {
    ids: Cell<u64>,
    /// All of them, by their id.
    all: RefCell<HashMap<u64, Rc<Task>>>,
    due: RefCell<BTreeSet<(Instant, u64)>>,
    spawned: RefCell<VecDeque<u64>>,
    timers_first: Cell<bool>,
    owners: RefCell<HashMap<Owner, Owned>>,
    /// Who owns each outgoing connection.
    conn_owners: RefCell<HashMap<u64, Owner>>,
    changed: Notify,
}

/// What one owner has.
#[derive(Default)]
struct Owned {
    tasks: HashSet<u64>,
    /// How many of the tasks were spawned.
    spawned: usize,
    conns: HashMap<u64, Rc<Conn>>,
}

impl Task {
    /// It goes on in the background, and can be ended through `handle`.
    pub(super) fn goes_on(&self, handle: AbortHandle) {
        self.running.replace(Some(handle));
    }
}

impl Owned {
    fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.conns.is_empty()
    }
}

impl Tasks {
    /// Adds a function that is to run after `delay`, or for `spawn` as soon as it can; its id.
    /// `None` where there are too many.
    pub(super) fn add(
        &self,
        trigger: Trigger,
        delay: Duration,
        function: Pinned,
        generation: Rc<Generation>,
        (owner, conn): (Owner, Option<Rc<Conn>>),
    ) -> Option<u64> {
        if self.all.borrow().len() >= MOST_TASKS {
            return None;
        }
        let id = self.next_id();
        let due = Instant::now() + delay;
        let mut owners = self.owners.borrow_mut();
        let things = owners.entry(owner).or_default();
        things.tasks.insert(id);
        if trigger == Trigger::Spawn {
            things.spawned += 1;
            self.spawned.borrow_mut().push_back(id);
            self.changed.notify_one();
        } else {
            self.schedule(due, id);
        }
        let (due, running) = (Cell::new(due), RefCell::default());
        let task = Task { id, trigger, function, generation, conn, owner, due, running };
        self.all.borrow_mut().insert(id, Rc::new(task));
        Some(id)
    }

    /// A number that no other task has.
    pub(super) fn next_id(&self) -> u64 {
        self.ids.set(self.ids.get() + 1);
        self.ids.get()
    }

    fn schedule(&self, due: Instant, id: u64) {
        let mut dues = self.due.borrow_mut();
        let is_first = dues.first().is_none_or(|(first, _)| due < *first);
        dues.insert((due, id));
        if is_first {
            self.changed.notify_one();
        }
    }

    /// Resolves with the next task that is to run.
    pub(super) async fn next(&self) -> Rc<Task> {
        loop {
            // In turns, so that timers without end do not keep what was spawned from beginning.
            let timers_first = !self.timers_first.get();
            self.timers_first.set(timers_first);
            let task = if timers_first {
                self.take_due().or_else(|| self.take_spawned())
            } else {
                self.take_spawned().or_else(|| self.take_due())
            };
            if let Some(task) = task {
                return task;
            }
            let first = self.due.borrow().first().map(|(due, _)| *due);
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep_until(first.unwrap_or_else(Instant::now)), if first.is_some() => {}
            }
        }
    }

    fn take_due(&self) -> Option<Rc<Task>> {
        let mut dues = self.due.borrow_mut();
        let (due, id) = *dues.first()?;
        if due > Instant::now() {
            return None;
        }
        dues.pop_first();
        self.all.borrow().get(&id).cloned()
    }

    fn take_spawned(&self) -> Option<Rc<Task>> {
        loop {
            let id = self.spawned.borrow_mut().pop_front()?;
            // One that was cancelled before it began is not there any more.
            if let Some(task) = self.all.borrow().get(&id) {
                return Some(Rc::clone(task));
            }
        }
    }

    /// A run of `task` has ended, at the earliest `pause` before the next: an `every` gets its
    /// next beat, of those that it missed none.
    pub(super) fn ended(&self, task: &Rc<Task>, pause: Duration) {
        task.running.take();
        if !self.contains(task) {
            return;
        }
        let Trigger::Every(period) = task.trigger else { return self.remove(task.id) };
        let now = Instant::now();
        let due = task.due.get();
        let since = (now + pause).saturating_duration_since(due);
        let beats = since.as_nanos() / period.as_nanos().max(1) + 1;
        let ahead = period.as_secs_f64() * f64::from(u32::try_from(beats).unwrap_or(u32::MAX));
        let next = due + Duration::try_from_secs_f64(ahead).unwrap_or(period);
        task.due.set(next);
        self.schedule(next, task.id);
    }

    /// Whether `task` was neither cancelled nor has come to its end.
    pub(super) fn contains(&self, task: &Task) -> bool {
        self.all.borrow().contains_key(&task.id)
    }

    /// Ends a timer or task, wherever it is.
    pub(super) fn cancel(&self, id: u64) {
        let running = self.all.borrow().get(&id).and_then(|task| task.running.take());
        if let Some(running) = running {
            running.abort();
        }
        self.remove(id);
    }

    fn remove(&self, id: u64) {
        let Some(task) = self.all.borrow_mut().remove(&id) else { return };
        self.due.borrow_mut().remove(&(task.due.get(), id));
        let mut owners = self.owners.borrow_mut();
        let Some(things) = owners.get_mut(&task.owner) else { return };
        things.tasks.remove(&id);
        if task.trigger == Trigger::Spawn {
            things.spawned -= 1;
        }
        let was_last = task.trigger == Trigger::Spawn && things.spawned == 0;
        if things.is_empty() {
            owners.remove(&task.owner);
        }
        drop(owners);
        if was_last && let Some(conn) = &task.conn {
            // Its conversation may have waited for this.
            conn.wake();
        }
    }

    /// Whether tasks spawned by callbacks of the connection with this id are there.
    pub(super) fn has_spawned(&self, conn: u64) -> bool {
        self.owners.borrow().get(&Owner::Conn(conn)).is_some_and(|things| things.spawned > 0)
    }

    /// An outgoing connection ends with `owner`.
    pub(super) fn adopt(&self, owner: Owner, conn: &Rc<Conn>) {
        let mut owners = self.owners.borrow_mut();
        owners.entry(owner).or_default().conns.insert(conn.id, Rc::clone(conn));
        self.conn_owners.borrow_mut().insert(conn.id, owner);
    }

    /// The connection with this id is gone; most were accepted and have no owner.
    pub(super) fn disown(&self, conn: u64) {
        let Some(owner) = self.conn_owners.borrow_mut().remove(&conn) else { return };
        let mut owners = self.owners.borrow_mut();
        let Some(things) = owners.get_mut(&owner) else { return };
        things.conns.remove(&conn);
        if things.is_empty() {
            owners.remove(&owner);
        }
    }

    /// Ends what `owner` has.
    pub(super) fn end(&self, owner: Owner) {
        let ids: Vec<u64> = match self.owners.borrow().get(&owner) {
            Some(things) => things.tasks.iter().copied().collect(),
            None => return,
        };
        for id in ids {
            self.cancel(id);
        }
        let things = self.owners.borrow_mut().remove(&owner);
        for conn in things.into_iter().flat_map(|things| things.conns.into_values()) {
            conn.close();
        }
    }

    /// Ends everything.
    pub(super) fn clear(&self) {
        let owners: Vec<Owner> = self.owners.borrow().keys().copied().collect();
        for owner in owners {
            self.end(owner);
        }
    }
}
