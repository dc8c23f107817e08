//! The open connections of one worker, and who of them subscribed to what. Keeps them and lists
//! them; what is sent to them, and what reaches other workers, is for others to do.
//!
//! A list is given out connection by connection, with nothing borrowed: what is done with one may
//! close it, subscribe it, or have another one leave.

mod topics;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::conn::Conn;
use crate::hub::Hub;
pub use topics::Refusal;
use topics::Topics;

/// See the module.
pub struct Roster {
    conns: RefCell<BTreeMap<u64, Rc<Conn>>>,
    topics: RefCell<Topics>,
    /// What a list is collected in: taken while it is gone through, kept for the next one.
    scratch: Cell<Vec<Rc<Conn>>>,
    hub: Arc<Hub>,
    worker: usize,
}

impl Roster {
    /// An empty one for a worker, numbered from 0; `hub` is told which topics matter to it.
    #[must_use]
    pub fn new(hub: Arc<Hub>, worker: usize) -> Self {
        Self {
            conns: RefCell::default(),
            topics: RefCell::new(Topics::new(Arc::clone(&hub), worker)),
            scratch: Cell::default(),
            hub,
            worker,
        }
    }

    /// What this worker shares with the others.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The number of this worker, from 0.
    #[must_use]
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// A connection opened.
    pub fn enter(&self, conn: &Rc<Conn>) {
        self.conns.borrow_mut().insert(conn.id, Rc::clone(conn));
    }

    /// A connection is gone, and its subscriptions with it.
    pub fn leave(&self, id: u64) -> Option<Rc<Conn>> {
        let conn = self.conns.borrow_mut().remove(&id)?;
        self.topics.borrow_mut().leave(id);
        Some(conn)
    }

    /// All open connections, in the order of their ids.
    #[must_use]
    pub fn conns(&self) -> Vec<Rc<Conn>> {
        self.conns.borrow().values().cloned().collect()
    }

    /// Visits all connections that are open now, in the order of their ids.
    pub fn for_each(&self, visit: impl FnMut(&Rc<Conn>)) {
        self.go_through(|list| list.extend(self.conns.borrow().values().cloned()), visit);
    }

    /// Subscribes a connection to a topic; once is as good as twice.
    ///
    /// # Errors
    /// It is not in the roster, or the worker has as many subscriptions as it may.
    pub fn subscribe(&self, conn: &Rc<Conn>, topic: &[u8]) -> Result<(), Refusal> {
        if !self.conns.borrow().contains_key(&conn.id) {
            return Err(Refusal::Closed);
        }
        Ok(self.topics.borrow_mut().subscribe(conn, topic)?)
    }

    /// Ends a subscription, if there is one.
    pub fn unsubscribe(&self, conn: &Conn, topic: &[u8]) {
        self.topics.borrow_mut().unsubscribe(conn.id, topic);
    }

    /// Visits those who are subscribed to a topic now, in the order of their subscriptions.
    pub fn subscribers(&self, topic: &[u8], visit: impl FnMut(&Rc<Conn>)) {
        self.go_through(|list| list.extend(self.topics.borrow().of(topic).cloned()), visit);
    }

    fn go_through(&self, fill: impl FnOnce(&mut Vec<Rc<Conn>>), visit: impl FnMut(&Rc<Conn>)) {
        let mut list = self.scratch.take();
        fill(&mut list);
        list.iter().for_each(visit);
        list.clear();
        self.scratch.set(list);
    }
}

#[cfg(test)]
mod tests;
