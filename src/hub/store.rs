//! A bounded map of keys to values that may expire. Pure: no lock, and the time is given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Limit;

/// What an entry counts beside the bytes of its key and value: a rounded average of its places in
/// the map and among the ends, and of the headers of two allocations.
const OVERHEAD: usize = 192;

/// Expired entries that one operation removes. Each adds one at most, so that the removal keeps
/// up, and none pays for a million that expire at once. What they answer does not depend on it.
const PURGED_AT_ONCE: usize = 64;

/// What a key can hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string, of any bytes.
    Text(Arc<[u8]>),
    /// A number.
    Number(f64),
    /// A boolean.
    Flag(bool),
}

/// Why a key could not be incremented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IncrError {
    /// It holds something else.
    #[error("not a number")]
    NotANumber,
    /// It is new, and there is no memory left for it.
    #[error(transparent)]
    Limit(#[from] Limit),
}

/// See the module.
pub(super) struct Store {
    /// A tree, because a hash map that grows would hold everybody up while it moves all of them.
    entries: BTreeMap<Arc<[u8]>, Entry>,
    /// Which keys end, the next one first.
    ends: BTreeSet<(Instant, Arc<[u8]>)>,
    /// What all entries count together.
    used: usize,
    limit: usize,
}

struct Entry {
    value: Value,
    end: Option<Instant>,
}

impl Entry {
    fn is_live(&self, now: Instant) -> bool {
        self.end.is_none_or(|end| now < end)
    }
}

/// What an entry counts, in bytes.
fn cost(key: &[u8], value: &Value) -> usize {
    let text = match value {
        Value::Text(text) => text.len(),
        Value::Number(_) | Value::Flag(_) => 0,
    };
    OVERHEAD + key.len() + text
}

impl Store {
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: BTreeMap::new(), ends: BTreeSet::new(), used: 0, limit }
    }

    /// Removes some of what has expired, the oldest first.
    pub(super) fn purge(&mut self, now: Instant) {
        for _ in 0..PURGED_AT_ONCE {
            if !self.purge_one(now) {
                return;
            }
        }
    }

    pub(super) fn get(&self, key: &[u8], now: Instant) -> Option<Value> {
        self.live(key, now).map(|entry| entry.value.clone())
    }

    pub(super) fn set(
        &mut self,
        key: &[u8],
        value: Value,
        ttl: Option<Duration>,
        now: Instant,
    ) -> Result<(), Limit> {
        self.make_room(key, cost(key, &value), now)?;
        let key = self.remove(key).unwrap_or_else(|| key.into());
        self.used += cost(&key, &value);
        // An end that no clock can show is none.
        let end = ttl.and_then(|ttl| now.checked_add(ttl));
        if let Some(end) = end {
            self.ends.insert((end, Arc::clone(&key)));
        }
        self.entries.insert(key, Entry { value, end });
        Ok(())
    }

    pub(super) fn add(
        &mut self,
        key: &[u8],
        value: Value,
        ttl: Option<Duration>,
        now: Instant,
    ) -> Result<bool, Limit> {
        if self.live(key, now).is_some() {
            return Ok(false);
        }
        self.set(key, value, ttl, now)?;
        Ok(true)
    }

    pub(super) fn incr(
        &mut self,
        key: &[u8],
        by: f64,
        ttl: Option<Duration>,
        now: Instant,
    ) -> Result<f64, IncrError> {
        match self.entries.get_mut(key).filter(|entry| entry.is_live(now)) {
            Some(Entry { value: Value::Number(number), .. }) => {
                *number += by;
                Ok(*number)
            }
            Some(_) => Err(IncrError::NotANumber),
            None => {
                self.set(key, Value::Number(by), ttl, now)?;
                Ok(by)
            }
        }
    }

    pub(super) fn delete(&mut self, key: &[u8], now: Instant) -> bool {
        let was_there = self.live(key, now).is_some();
        self.remove(key);
        was_there
    }

    /// All keys, in order.
    pub(super) fn keys(&self, now: Instant) -> Vec<Arc<[u8]>> {
        let live = self.entries.iter().filter(|(_, entry)| entry.is_live(now));
        live.map(|(key, _)| Arc::clone(key)).collect()
    }

    fn live(&self, key: &[u8], now: Instant) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.is_live(now))
    }

    /// Sees to it that `key` may take `cost` bytes in place of what it takes now.
    fn make_room(&mut self, key: &[u8], cost: usize, now: Instant) -> Result<(), Limit> {
        loop {
            let freed = self.entries.get(key).map_or(0, |entry| self::cost(key, &entry.value));
            if self.used - freed + cost <= self.limit {
                return Ok(());
            }
            if !self.purge_one(now) {
                return Err(Limit);
            }
        }
    }

    fn purge_one(&mut self, now: Instant) -> bool {
        match self.ends.first() {
            Some((end, key)) if *end <= now => {
                let key = Arc::clone(key);
                self.remove(&key).is_some()
            }
            _ => false,
        }
    }

    /// Removes an entry; its key can be used again.
    fn remove(&mut self, key: &[u8]) -> Option<Arc<[u8]>> {
        let (key, entry) = self.entries.remove_entry(key)?;
        self.used -= cost(&key, &entry.value);
        let key = match entry.end {
            Some(end) => {
                let place = (end, key);
                self.ends.remove(&place);
                place.1
            }
            None => key,
        };
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn text(text: &str) -> Value {
        Value::Text(text.as_bytes().into())
    }

    fn store() -> (Store, Instant) {
        (Store::new(1 << 20), Instant::now())
    }

    /// What the account says is what there is.
    fn check(store: &Store) {
        let used: usize = store.entries.iter().map(|(key, entry)| cost(key, &entry.value)).sum();
        assert_eq!(store.used, used);
        assert!(store.used <= store.limit);
        let ends = store.entries.values().filter(|entry| entry.end.is_some()).count();
        assert_eq!(store.ends.len(), ends);
    }

    #[test]
    fn values_come_back_as_they_were_set() {
        let (mut store, now) = store();
        for value in [text("hello"), text(""), Value::Number(1.5), Value::Flag(false)] {
            store.set(b"k", value.clone(), None, now).unwrap();
            assert_eq!(store.get(b"k", now), Some(value));
            check(&store);
        }
        assert!(store.delete(b"k", now));
        assert!(!store.delete(b"k", now));
        assert_eq!(store.get(b"k", now), None);
        assert_eq!(store.used, 0);
    }

    #[test]
    fn add_sets_only_what_is_absent() {
        let (mut store, now) = store();
        assert_eq!(store.add(b"k", text("a"), Some(SECOND), now), Ok(true));
        assert_eq!(store.add(b"k", text("b"), None, now), Ok(false));
        assert_eq!(store.get(b"k", now), Some(text("a")));
        assert_eq!(store.add(b"k", text("c"), None, now + SECOND), Ok(true));
        assert_eq!(store.get(b"k", now + 2 * SECOND), Some(text("c")));
        check(&store);
    }

    #[test]
    fn incr_counts_from_zero_and_refuses_what_is_no_number() {
        let (mut store, now) = store();
        assert_eq!(store.incr(b"n", 2.0, None, now), Ok(2.0));
        assert_eq!(store.incr(b"n", -0.5, None, now), Ok(1.5));
        for value in [text("1"), Value::Flag(true)] {
            store.set(b"n", value.clone(), None, now).unwrap();
            assert_eq!(store.incr(b"n", 1.0, None, now), Err(IncrError::NotANumber));
            assert_eq!(store.get(b"n", now), Some(value));
        }
        check(&store);
    }

    #[test]
    fn a_ttl_of_incr_counts_only_for_a_new_key() {
        let (mut store, now) = store();
        store.incr(b"n", 1.0, Some(SECOND), now).unwrap();
        assert_eq!(store.incr(b"n", 1.0, Some(9 * SECOND), now), Ok(2.0));
        assert_eq!(store.incr(b"n", 1.0, None, now + SECOND), Ok(1.0));
        assert_eq!(store.get(b"n", now + 99 * SECOND), Some(Value::Number(1.0)));
        check(&store);
    }

    #[test]
    fn an_expired_key_is_absent_at_once() {
        let (mut store, now) = store();
        store.set(b"k", text("v"), Some(SECOND), now).unwrap();
        let last = now + SECOND.checked_sub(Duration::from_nanos(1)).unwrap();
        assert_eq!(store.get(b"k", last), Some(text("v")));
        assert_eq!(store.keys(last).len(), 1);
        let after = now + SECOND;
        assert_eq!(store.get(b"k", after), None);
        assert!(store.keys(after).is_empty());
        assert!(!store.delete(b"k", after));
        check(&store);
    }

    #[test]
    fn a_new_set_replaces_the_ttl() {
        let (mut store, now) = store();
        store.set(b"k", text("a"), Some(SECOND), now).unwrap();
        store.set(b"k", text("b"), Some(3 * SECOND), now).unwrap();
        store.purge(now + SECOND);
        assert_eq!(store.get(b"k", now + 2 * SECOND), Some(text("b")));
        store.set(b"k", text("c"), None, now).unwrap();
        store.purge(now + 99 * SECOND);
        assert_eq!(store.get(b"k", now + 99 * SECOND), Some(text("c")));
        check(&store);
    }

    #[test]
    fn a_ttl_beyond_the_clock_is_for_ever() {
        let (mut store, now) = store();
        store.set(b"k", text("v"), Some(Duration::MAX), now).unwrap();
        assert_eq!(store.get(b"k", now + 999 * SECOND), Some(text("v")));
        check(&store);
    }

    #[test]
    fn what_expired_is_removed_in_its_order_without_being_asked_for() {
        let (mut store, now) = store();
        for n in (1..=100u8).rev() {
            store.set(&[n], text("v"), Some(u32::from(n) * SECOND), now).unwrap();
        }
        store.purge(now + 30 * SECOND);
        assert_eq!(store.entries.len(), 70);
        assert!(!store.entries.contains_key(&[30][..]) && store.entries.contains_key(&[31][..]));
        // However many expired, one operation does a bounded part of it.
        store.purge(now + 100 * SECOND);
        assert_eq!(store.entries.len(), 70 - PURGED_AT_ONCE);
        store.purge(now + 100 * SECOND);
        assert_eq!((store.entries.len(), store.ends.len(), store.used), (0, 0, 0));
    }

    #[test]
    fn the_limit_counts_keys_values_and_an_overhead() {
        let now = Instant::now();
        let mut store = Store::new(2 * OVERHEAD + 10);
        store.set(b"a", text("1234"), None, now).unwrap();
        assert_eq!(store.set(b"b", text("12345"), None, now), Err(Limit));
        assert_eq!(store.get(b"b", now), None);
        store.set(b"b", text("1234"), None, now).unwrap();
        assert_eq!(store.incr(b"n", 1.0, None, now), Err(Limit.into()));
        assert_eq!(store.add(b"n", Value::Flag(true), None, now), Err(Limit));
        // In place of what is there it fits, and what does not leaves it as it was.
        store.set(b"b", text("1"), None, now).unwrap();
        store.set(b"b", text("4321"), None, now).unwrap();
        assert_eq!(store.set(b"b", text("54321"), None, now), Err(Limit));
        assert_eq!(store.get(b"b", now), Some(text("4321")));
        check(&store);
    }

    #[test]
    fn what_expired_makes_room_however_much_it_is() {
        let now = Instant::now();
        let mut store = Store::new(1000 * (OVERHEAD + 2));
        for n in 0..1000u16 {
            store.set(&n.to_be_bytes(), Value::Flag(true), Some(SECOND), now).unwrap();
        }
        assert_eq!(store.set(b"xx", Value::Flag(true), None, now), Err(Limit));
        let large = Value::Text(vec![0; 999 * (OVERHEAD + 2)].into());
        assert_eq!(store.set(b"xx", large, None, now + SECOND), Ok(()));
        check(&store);
    }

    #[test]
    fn an_expired_key_that_is_set_over_the_limit_is_gone() {
        let now = Instant::now();
        let mut store = Store::new(OVERHEAD + 2);
        store.set(b"k", text("v"), Some(SECOND), now).unwrap();
        assert_eq!(store.set(b"k", text("vv"), None, now + SECOND), Err(Limit));
        assert_eq!(store.set(b"k", text("v"), None, now + SECOND), Ok(()));
        check(&store);
    }
}
