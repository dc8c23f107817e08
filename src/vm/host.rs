//! What the API's functions know of the running call: which coroutine it is, what it waits for,
//! and whose generation it belongs to.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::conn::Conn;
use crate::handler::Wait;
use crate::script::Bundle;

/// Shared by the functions of one VM.
pub(super) type SharedHost = Rc<Host>;

/// Told when a script asks the server to stop.
pub type StopRequest = Arc<dyn Fn() + Send + Sync>;

/// See the module.
pub(super) struct Host {
    /// The address of the running call's coroutine, 0 between calls.
    pub(super) current: Cell<usize>,
    /// Counts calls.
    pub(super) calls: Cell<u64>,
    /// A body is running: nothing may be waited for, sent or ordered.
    pub(super) loading: Cell<bool>,
    /// The connection whose callback is running.
    pub(super) conn: RefCell<Option<Rc<Conn>>>,
    /// What the running call is about to wait for.
    pub(super) pending: RefCell<Option<Wait>>,
    /// Logs are dropped, as in a trial.
    pub(super) silent: bool,
    /// The files of each generation that is alive, by its number.
    pub(super) bundles: RefCell<HashMap<u64, Arc<Bundle>>>,
    /// The generation of the running call, as log lines name it.
    pub(super) running: RefCell<Label>,
    /// Asks the server to stop.
    pub(super) stop: StopRequest,
    /// The use of `server.state` beside other workers was told of.
    pub(super) noted_state: Cell<bool>,
}

/// How log lines name a generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Label {
    /// Its number.
    pub(super) number: u64,
    /// The first digits of its content's hash.
    pub(super) hash: Arc<str>,
}

/// Longer times are cut to this many seconds: a hundred years, which every clock can hold.
pub(super) const LONGEST_TIME: f64 = 100.0 * 365.25 * 86_400.0;

/// The text for what a body must not do.
pub(super) const WHILE_LOADING: &str = "not while loading; use on_load";

impl Host {
    pub(super) fn new(silent: bool, stop: StopRequest) -> Self {
        Self {
            current: Cell::new(0),
            calls: Cell::new(0),
            loading: Cell::new(false),
            conn: RefCell::default(),
            pending: RefCell::default(),
            silent,
            bundles: RefCell::default(),
            running: RefCell::default(),
            stop,
            noted_state: Cell::new(false),
        }
    }

    /// Whether the running call serves `conn`.
    pub(super) fn serves(&self, conn: &Rc<Conn>) -> bool {
        self.conn.borrow().as_ref().is_some_and(|served| Rc::ptr_eq(served, conn))
    }

    /// Notes that the running call is about to wait; the text says why it cannot.
    pub(super) fn wait(
        &self,
        call: &str,
        state: usize,
        can_yield: bool,
        wait: Wait,
    ) -> Option<String> {
        if self.loading.get() {
            return Some(format!("{call}: {WHILE_LOADING}"));
        }
        if state != self.current.get() {
            return Some(format!(
                "{call} cannot wait in a coroutine of the script's own; use spawn for a task of its own"
            ));
        }
        if !can_yield {
            return Some(format!(
                "{call} cannot wait inside a sort or gsub callback, a metamethod or an iterator"
            ));
        }
        *self.pending.borrow_mut() = Some(wait);
        None
    }
}
