//! Logs faults: the first of a kind in full, its repeats as a count, so that a handler which
//! fails at every message does not drown the log.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

use super::fault::Fault;
use crate::world::{Sighting, World};

/// How long repeats of a fault are counted before they are told of.
const WINDOW: Duration = Duration::from_secs(5);

/// Places whose faults are counted at once; beyond that every fault is logged in full.
const MOST_PLACES: usize = 256;

/// Different faults of one place that are logged in full within a window: texts often hold a part
/// of what a peer sent.
const MOST_TEXTS: usize = 4;

/// The faults of one VM within the last window, by their place, and how often each was repeated.
pub(super) struct Reporter {
    places: Rc<RefCell<HashMap<String, Place>>>,
    world: Option<Rc<World>>,
}

/// The faults of one place.
#[derive(Default)]
struct Place {
    /// Each that was logged in full, and its repeats.
    told: Vec<(Fault, u64)>,
    /// How many others there were.
    others: u64,
}

impl Reporter {
    /// In a simulated world its witness is told of every fault, and nothing is logged.
    pub(super) fn new(world: Option<Rc<World>>) -> Self {
        Self { places: Rc::default(), world }
    }

    /// Logs `fault`, or counts it.
    pub(super) fn report(&self, fault: &Fault) {
        if let Some(world) = &self.world {
            let (summary, whole) = (fault.summary(), fault.to_string());
            return world.note(Sighting::Fault { summary, whole });
        }
        let key = fault.key();
        let mut places = self.places.borrow_mut();
        let is_new = !places.contains_key(&key);
        if is_new && places.len() >= MOST_PLACES {
            return tell(fault);
        }
        let place = places.entry(key.clone()).or_default();
        let text = fault.summary();
        if let Some((_, repeats)) = place.told.iter_mut().find(|(told, _)| told.summary() == text) {
            *repeats += 1;
        } else if place.told.len() < MOST_TEXTS {
            tell(fault);
            place.told.push((fault.clone(), 0));
        } else {
            place.others += 1;
        }
        if is_new {
            tokio::task::spawn_local(tell_later(Rc::clone(&self.places), key));
        }
    }

    /// Tells of the repeats that were counted so far, because there will be no later.
    pub(super) fn tell_repeats(&self) {
        for place in self.places.take().into_values() {
            place.tell_repeats();
        }
    }
}

impl Place {
    fn tell_repeats(&self) {
        let window = WINDOW.as_secs();
        for (fault, count) in self.told.iter().filter(|(_, count)| *count > 0) {
            let (generation, hash, summary) = (fault.generation(), fault.hash(), fault.summary());
            warn!(
                generation,
                hash, "handler fault repeated {count} times within {window} s: {summary}"
            );
        }
        if let Some((fault, _)) = self.told.first().filter(|_| self.others > 0) {
            let (generation, hash, summary) = (fault.generation(), fault.hash(), fault.summary());
            let others = self.others;
            warn!(
                generation,
                hash, "{others} other faults within {window} s at the place of: {summary}"
            );
        }
    }
}

fn tell(fault: &Fault) {
    let (generation, hash) = (fault.generation(), fault.hash());
    warn!(generation, hash, "handler fault: {fault}");
}

async fn tell_later(places: Rc<RefCell<HashMap<String, Place>>>, key: String) {
    sleep(WINDOW).await;
    let place = places.borrow_mut().remove(&key);
    if let Some(place) = place {
        place.tell_repeats();
    }
}
