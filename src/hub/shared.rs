//! The store under its lock and with its clock: what every worker calls. Each operation is atomic.
//!
//! One lock is enough: it is held for a fraction of a microsecond, but for `keys`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Limit;
use super::store::{IncrError, Store, Value};

/// The values behind `server.shared`. A `ttl` is how long a value lives; without one it stays.
pub struct Shared(Mutex<Store>);

impl Shared {
    pub(super) fn new(limit: usize) -> Self {
        Self(Mutex::new(Store::new(limit)))
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Value> {
        self.with(|store, now| store.get(key, now))
    }

    /// Sets a key, its new `ttl` in place of the old one.
    ///
    /// # Errors
    /// There is no memory left for it; the key keeps the value that it had.
    pub fn set(&self, key: &[u8], value: Value, ttl: Option<Duration>) -> Result<(), Limit> {
        self.with(|store, now| store.set(key, value, ttl, now))
    }

    /// Sets a key that is absent; says whether it was.
    ///
    /// # Errors
    /// There is no memory left for it.
    pub fn add(&self, key: &[u8], value: Value, ttl: Option<Duration>) -> Result<bool, Limit> {
        self.with(|store, now| store.add(key, value, ttl, now))
    }

    /// Adds to a number and returns the sum. An absent key counts as 0, and only then does `ttl`
    /// count.
    ///
    /// # Errors
    /// The value is no number, or there is no memory left for a new one.
    pub fn incr(&self, key: &[u8], by: f64, ttl: Option<Duration>) -> Result<f64, IncrError> {
        self.with(|store, now| store.incr(key, by, ttl, now))
    }

    /// Removes a key; says whether it was there.
    pub fn delete(&self, key: &[u8]) -> bool {
        self.with(|store, now| store.delete(key, now))
    }

    /// All keys, sorted.
    #[must_use]
    pub fn keys(&self) -> Vec<Arc<[u8]>> {
        self.with(|store, now| store.keys(now))
    }

    fn with<R>(&self, operation: impl FnOnce(&mut Store, Instant) -> R) -> R {
        let now = Instant::now();
        let mut store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        store.purge(now);
        operation(&mut store, now)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn threads_that_count_lose_nothing() {
        let shared = Shared::new(1 << 20);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50_000 {
                        shared.incr(b"n", 1.0, None).unwrap();
                    }
                });
            }
        });
        assert_eq!(shared.get(b"n"), Some(Value::Number(200_000.0)));
    }

    #[test]
    fn of_threads_that_add_one_key_one_succeeds() {
        let shared = Shared::new(1 << 20);
        let added = thread::scope(|scope| {
            let run = || {
                let add = |n: u32| shared.add(&n.to_le_bytes(), Value::Flag(true), None).unwrap();
                (0..1000).filter(|&n| add(n)).count()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        });
        assert_eq!(added, 1000);
    }

    #[test]
    fn keys_are_sorted_by_their_bytes() {
        let shared = Shared::new(1 << 20);
        for key in [&b"b"[..], b"\xff", b"", b"a\0", b"a"] {
            shared.set(key, Value::Flag(false), None).unwrap();
        }
        let keys: Vec<Vec<u8>> = shared.keys().iter().map(|key| key.to_vec()).collect();
        assert_eq!(keys, [&b""[..], b"a", b"a\0", b"b", b"\xff"]);
    }

    #[test]
    fn the_clock_runs() {
        let shared = Shared::new(1 << 20);
        shared.set(b"gone", Value::Flag(true), Some(Duration::ZERO)).unwrap();
        shared.set(b"here", Value::Flag(true), Some(Duration::from_secs(3600))).unwrap();
        assert_eq!(shared.get(b"gone"), None);
        assert_eq!(shared.get(b"here"), Some(Value::Flag(true)));
    }
}
