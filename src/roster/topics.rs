//! Who subscribed to what on one worker: by topic in the order of subscription, and by connection.
//! Bounded, and the hub is told of a topic's first and last subscriber.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::sync::Arc;

use crate::conn::Conn;
use crate::hub::{Hub, Limit};

/// Subscriptions of one worker at most; they are a script's, but in memory that is not its VM's.
const SUBSCRIPTIONS: usize = 250_000;

/// Bytes of all topics of one worker at most, each counted once however many subscribe to it.
const NAMES: usize = 64 << 20;

/// Members that left a topic are cleared away when they are as many as those who stayed and this.
const WORTH_CLEARING: usize = 16;

/// Why a connection was not subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is gone.
    #[error("closed")]
    Closed,
    /// The worker has as many subscriptions as it may.
    #[error(transparent)]
    Limit(#[from] Limit),
}

/// See the module.
pub(super) struct Topics {
    by_name: HashMap<Arc<[u8]>, Topic>,
    /// For each connection with a subscription its topics, and its place among their members.
    by_conn: HashMap<u64, HashMap<Arc<[u8]>, u64>>,
    /// How many subscriptions there are.
    count: usize,
    /// Bytes of the names in `by_name`.
    names: usize,
    next_place: u64,
    hub: Arc<Hub>,
    worker: usize,
}

/// The members of a topic by their places, which ascend. One that leaves is a gap for a while, so
/// that it need not move all others.
#[derive(Default)]
struct Topic {
    members: Vec<(u64, Option<Rc<Conn>>)>,
    gaps: usize,
}

impl Topic {
    fn is_empty(&self) -> bool {
        self.members.len() == self.gaps
    }

    fn remove(&mut self, place: u64) {
        let Ok(index) = self.members.binary_search_by_key(&place, |(place, _)| *place) else {
            return;
        };
        self.members[index].1 = None;
        self.gaps += 1;
        if self.gaps >= self.members.len() / 2 + WORTH_CLEARING {
            self.members.retain(|(_, member)| member.is_some());
            self.members.shrink_to(2 * self.members.len());
            self.gaps = 0;
        }
    }
}

impl Topics {
    pub(super) fn new(hub: Arc<Hub>, worker: usize) -> Self {
        let (by_name, by_conn) = (HashMap::new(), HashMap::new());
        Self { by_name, by_conn, count: 0, names: 0, next_place: 0, hub, worker }
    }

    pub(super) fn subscribe(&mut self, conn: &Rc<Conn>, topic: &[u8]) -> Result<(), Limit> {
        if self.by_conn.get(&conn.id).is_some_and(|own| own.contains_key(topic)) {
            return Ok(());
        }
        if self.count >= SUBSCRIPTIONS {
            return Err(Limit);
        }
        let name = self.name(topic)?;
        let place = self.next_place;
        self.next_place += 1;
        self.count += 1;
        self.by_conn.entry(conn.id).or_default().insert(Arc::clone(&name), place);
        self.by_name.entry(name).or_default().members.push((place, Some(Rc::clone(conn))));
        Ok(())
    }

    /// The kept name of a topic; a new one is about to get its first subscriber.
    fn name(&mut self, topic: &[u8]) -> Result<Arc<[u8]>, Limit> {
        if let Some((name, _)) = self.by_name.get_key_value(topic) {
            return Ok(Arc::clone(name));
        }
        if self.names + topic.len() > NAMES {
            return Err(Limit);
        }
        self.names += topic.len();
        let name = topic.into();
        self.hub.set_interest(self.worker, &name, true);
        Ok(name)
    }

    pub(super) fn unsubscribe(&mut self, id: u64, topic: &[u8]) {
        let Entry::Occupied(mut own) = self.by_conn.entry(id) else { return };
        let Some((name, place)) = own.get_mut().remove_entry(topic) else { return };
        if own.get().is_empty() {
            own.remove();
        }
        self.end(&name, place);
    }

    /// Ends all subscriptions of a connection.
    pub(super) fn leave(&mut self, id: u64) {
        for (name, place) in self.by_conn.remove(&id).into_iter().flatten() {
            self.end(&name, place);
        }
    }

    fn end(&mut self, name: &Arc<[u8]>, place: u64) {
        self.count -= 1;
        let Some(topic) = self.by_name.get_mut(name) else { return };
        topic.remove(place);
        if topic.is_empty() {
            self.by_name.remove(name);
            self.names -= name.len();
            self.hub.set_interest(self.worker, name, false);
        }
    }

    /// The subscribers of a topic, in the order of their subscriptions.
    pub(super) fn of(&self, topic: &[u8]) -> impl Iterator<Item = &Rc<Conn>> {
        let members = self.by_name.get(topic).map(|topic| &*topic.members).unwrap_or_default();
        members.iter().filter_map(|(_, member)| member.as_ref())
    }

    /// Asserts that both sides and all counts agree, and that nothing is held for nobody.
    #[cfg(test)]
    pub(super) fn check(&self) {
        assert_eq!(self.count, self.by_conn.values().map(HashMap::len).sum::<usize>());
        assert!(self.by_conn.values().all(|own| !own.is_empty()));
        assert_eq!(self.names, self.by_name.keys().map(|name| name.len()).sum::<usize>());
        let members = |topic: &Topic| topic.members.len() - topic.gaps;
        assert_eq!(self.count, self.by_name.values().map(members).sum::<usize>());
        for topic in self.by_name.values() {
            assert!(!topic.is_empty());
            assert_eq!(topic.gaps, topic.members.iter().filter(|(_, m)| m.is_none()).count());
            assert!(topic.members.is_sorted_by_key(|(place, _)| *place));
            assert!(topic.members.len() <= 2 * members(topic) + 2 * WORTH_CLEARING);
        }
    }

    /// How many subscriptions there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.count
    }
}
