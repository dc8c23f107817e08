//! Logs faults: the first of a kind in full, its repeats as a count, so that a handler which
//! fails at every message does not drown the log.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

use super::fault::Fault;

/// How long repeats of a fault are counted before they are told of.
const WINDOW: Duration = Duration::from_secs(5);

/// Different faults that are counted at once; beyond that every fault is logged in full.
const MOST_KINDS: usize = 256;

/// The faults of one VM within the last window, and how often each was repeated.
#[derive(Default)]
pub(super) struct Reporter {
    repeats: Rc<RefCell<HashMap<String, u64>>>,
}

impl Reporter {
    /// Logs `fault`, or counts it.
    pub(super) fn report(&self, fault: &Fault) {
        let key = fault.key();
        let mut repeats = self.repeats.borrow_mut();
        if let Some(count) = repeats.get_mut(&key) {
            *count += 1;
            return;
        }
        let (generation, hash) = (fault.generation(), fault.hash());
        warn!(generation, hash, "handler fault: {fault}");
        if repeats.len() < MOST_KINDS {
            repeats.insert(key.clone(), 0);
            tokio::task::spawn_local(tell_repeats(Rc::clone(&self.repeats), key, fault.clone()));
        }
    }
}

async fn tell_repeats(repeats: Rc<RefCell<HashMap<String, u64>>>, key: String, fault: Fault) {
    sleep(WINDOW).await;
    let count = repeats.borrow_mut().remove(&key).unwrap_or(0);
    if count > 0 {
        let (generation, hash) = (fault.generation(), fault.hash());
        let (window, summary) = (WINDOW.as_secs(), fault.summary());
        warn!(
            generation,
            hash, "handler fault repeated {count} times within {window} s: {summary}"
        );
    }
}
