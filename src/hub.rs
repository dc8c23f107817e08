//! What crosses the workers: the values behind `server.shared`, and publications on their way to
//! the subscribers of other workers. Owns both, bounded; delivering a publication to a worker's own
//! connections is for `roster`. Knows no connection, no socket and no Lua.

mod mailbox;
mod shared;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use mailbox::Mailbox;
pub use shared::Shared;
pub use store::{IncrError, Value};

use mailbox::Slot;

/// Something has as much memory, or as many of a thing, as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("limit")]
pub struct Limit;

/// Another worker is so far behind that its mailbox is full; its peers do not get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("full")]
pub struct Full;

/// Something sent to many connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Who gets it.
    pub to: Target,
    /// What they get, unframed.
    pub data: Box<[u8]>,
    /// The connection that does not get it.
    pub except: Option<u64>,
}

impl Publication {
    /// What it counts in a mailbox, in bytes.
    fn size(&self) -> usize {
        self.data.len()
            + match &self.to {
                Target::Topic(topic) => topic.len(),
                Target::Streams => 0,
            }
    }
}

/// Who gets a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The subscribers of a topic.
    Topic(Box<[u8]>),
    /// Every stream connection.
    Streams,
}

/// For each topic the workers that have a subscriber of it. A list is replaced, never changed, so
/// that a publisher takes it along and lets go of the lock.
type Interest = HashMap<Arc<[u8]>, Arc<[usize]>>;

/// See the module. One for all workers.
pub struct Hub {
    shared: Shared,
    slots: Box<[Arc<Slot>]>,
    interest: Mutex<Interest>,
}

impl Hub {
    /// For so many workers; what they share is `limit` bytes at most.
    #[must_use]
    pub fn new(workers: usize, limit: usize) -> Arc<Self> {
        Arc::new(Self {
            shared: Shared::new(limit),
            slots: (0..workers).map(|_| Arc::default()).collect(),
            interest: Mutex::default(),
        })
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.slots.len()
    }

    /// The values of all workers.
    #[must_use]
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The mailbox of a worker, numbered from 0. It is taken once, by that worker; what was posted
    /// before is in it.
    #[must_use]
    pub fn mailbox(&self, worker: usize) -> Mailbox {
        Mailbox::open(Arc::clone(&self.slots[worker]))
    }

    /// Gives what worker `from` publishes to every other worker that has somebody for it. Never
    /// waits. What one worker posts stays in order.
    ///
    /// # Errors
    /// One mailbox or more was full; the other workers got it.
    pub fn post(&self, from: usize, publication: &Arc<Publication>) -> Result<(), Full> {
        let mut outcome = Ok(());
        let give = |worker: usize| {
            if worker != from && self.slots[worker].push(publication).is_err() {
                outcome = Err(Full);
            }
        };
        match &publication.to {
            Target::Topic(topic) => {
                let interested = self.interest().get(&**topic).cloned();
                interested.iter().flat_map(|workers| workers.iter().copied()).for_each(give);
            }
            Target::Streams => (0..self.slots.len()).for_each(give),
        }
        outcome
    }

    /// A worker got its first subscriber of a topic, or lost its last.
    pub fn set_interest(&self, worker: usize, topic: &Arc<[u8]>, on: bool) {
        if self.slots.len() < 2 {
            return;
        }
        let mut interest = self.interest();
        let others = interest.get(topic).into_iter().flat_map(|workers| workers.iter().copied());
        let workers: Arc<[usize]> =
            others.filter(|&other| other != worker).chain(on.then_some(worker)).collect();
        if workers.is_empty() {
            interest.remove(topic);
        } else if let Some(known) = interest.get_mut(topic) {
            *known = workers;
        } else {
            interest.insert(Arc::clone(topic), workers);
        }
    }

    fn interest(&self) -> MutexGuard<'_, Interest> {
        self.interest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;

    fn to_topic(topic: &str, data: &str) -> Arc<Publication> {
        let to = Target::Topic(topic.as_bytes().into());
        Arc::new(Publication { to, data: data.as_bytes().into(), except: None })
    }

    fn to_streams(data: &str) -> Arc<Publication> {
        Arc::new(Publication { to: Target::Streams, data: data.as_bytes().into(), except: None })
    }

    fn waiting(mailbox: &mut Mailbox) -> Vec<String> {
        std::iter::from_fn(|| mailbox.take())
            .map(|publication| String::from_utf8(publication.data.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn a_broadcast_goes_to_every_other_worker() {
        let hub = Hub::new(3, LIMIT);
        let mut mailboxes: Vec<Mailbox> = (0..3).map(|worker| hub.mailbox(worker)).collect();
        assert_eq!(hub.post(1, &to_streams("hello")), Ok(()));
        assert_eq!(waiting(&mut mailboxes[0]), ["hello"]);
        assert!(waiting(&mut mailboxes[1]).is_empty());
        assert_eq!(waiting(&mut mailboxes[2]), ["hello"]);
    }

    #[test]
    fn a_topic_goes_where_it_has_subscribers() {
        let hub = Hub::new(3, LIMIT);
        let mut mailboxes: Vec<Mailbox> = (0..3).map(|worker| hub.mailbox(worker)).collect();
        let (news, other): (Arc<[u8]>, Arc<[u8]>) = (b"news"[..].into(), b"other"[..].into());
        hub.set_interest(0, &news, true);
        hub.set_interest(2, &news, true);
        hub.set_interest(1, &other, true);

        assert_eq!(hub.post(0, &to_topic("news", "a")), Ok(()));
        assert_eq!(hub.post(1, &to_topic("news", "b")), Ok(()));
        hub.set_interest(2, &news, false);
        assert_eq!(hub.post(1, &to_topic("news", "c")), Ok(()));
        assert_eq!(hub.post(1, &to_topic("nobody's", "d")), Ok(()));

        assert_eq!(waiting(&mut mailboxes[0]), ["b", "c"]);
        assert!(waiting(&mut mailboxes[1]).is_empty());
        assert_eq!(waiting(&mut mailboxes[2]), ["a", "b"]);
        hub.set_interest(0, &news, false);
        hub.set_interest(1, &other, false);
        assert!(hub.interest().is_empty());
    }

    #[test]
    fn a_full_mailbox_does_not_keep_others_from_theirs() {
        let hub = Hub::new(3, LIMIT);
        let mut mailboxes: Vec<Mailbox> = (0..3).map(|worker| hub.mailbox(worker)).collect();
        let publication = to_streams("x");
        while hub.slots[1].push(&publication).is_ok() {}
        assert_eq!(hub.post(0, &to_streams("y")), Err(Full));
        assert_eq!(waiting(&mut mailboxes[2]), ["y"]);
        assert!(waiting(&mut mailboxes[1]).iter().all(|data| data == "x"));
        assert_eq!(hub.post(0, &to_streams("z")), Ok(()));
    }

    #[test]
    fn publications_cross_threads_in_order() {
        // Those of two workers together do not fill a mailbox.
        const EACH: usize = 2000;
        let hub = Hub::new(3, LIMIT);
        let topic: Arc<[u8]> = b"t"[..].into();
        (0..3).for_each(|worker| hub.set_interest(worker, &topic, true));
        let publish = &|from: usize| {
            for number in 0..EACH {
                assert_eq!(hub.post(from, &to_topic("t", &format!("{from} {number}"))), Ok(()));
            }
        };
        let receive = &async |worker: usize| {
            let mut mailbox = hub.mailbox(worker);
            let mut seen = [0; 3];
            for _ in 0..2 * EACH {
                let publication = mailbox.next().await;
                let text = std::str::from_utf8(&publication.data).unwrap();
                let (from, number) = text.split_once(' ').unwrap();
                let next = &mut seen[from.parse::<usize>().unwrap()];
                assert_eq!(number, next.to_string());
                *next += 1;
            }
            seen[worker] = EACH;
            assert_eq!(seen, [EACH; 3]);
        };
        std::thread::scope(|scope| {
            for worker in 0..3 {
                scope.spawn(move || publish(worker));
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    runtime.block_on(receive(worker));
                });
            }
        });
    }
}
