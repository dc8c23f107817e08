//! What is told of the connections that the server accepted: that one is open, which bytes came in
//! and went out, and how it ended. Decides nothing, and no connection knows who listens. Where
//! nobody does, there is no tap, and each read and write looks at that and at nothing else.

use std::rc::Rc;
use std::sync::Arc;

use crate::conn::{Conn, Reason};

/// Is told of connections, by the thread that serves them, while it serves them: what it does is to
/// be short, never waits, and sends nothing. Connections that a script makes are not told of.
pub trait Tap {
    /// A stream was accepted, or the first datagram of a peer is there.
    fn opened(&self, conn: &Conn);

    /// These bytes were read: what one read gave, or one datagram, before anybody looks at them.
    fn received(&self, conn: &Conn, bytes: &[u8]);

    /// These bytes have left: what one write took, or one datagram.
    fn sent(&self, conn: &Conn, bytes: &[u8]);

    /// A side has ended, or all of it; [`End::Gone`] is always the last that is told of one.
    fn ended(&self, conn: &Conn, end: End);
}

/// Who listens, on whatever thread: gives each worker a tap of its own.
pub trait Audience: Send + Sync {
    /// The tap of one worker; called on its thread.
    fn tap(self: Arc<Self>) -> Rc<dyn Tap>;
}

/// What ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer has ended its sending side.
    Peer,
    /// We have ended ours.
    Own,
    /// The peer has broken the connection off.
    PeerReset,
    /// The connection is gone; `reset` where that was by a reset of ours.
    Gone {
        /// Why.
        reason: Reason,
        /// What was not sent yet was dropped, and a stream is told by a reset.
        reset: bool,
    },
}

/// Several taps as one, which tells each of everything; none where there are none.
#[must_use]
pub fn all(mut taps: Vec<Rc<dyn Tap>>) -> Option<Rc<dyn Tap>> {
    match taps.len() {
        0 | 1 => taps.pop(),
        _ => Some(Rc::new(All(taps))),
    }
}

struct All(Vec<Rc<dyn Tap>>);

impl Tap for All {
    fn opened(&self, conn: &Conn) {
        self.0.iter().for_each(|tap| tap.opened(conn));
    }

    fn received(&self, conn: &Conn, bytes: &[u8]) {
        self.0.iter().for_each(|tap| tap.received(conn, bytes));
    }

    fn sent(&self, conn: &Conn, bytes: &[u8]) {
        self.0.iter().for_each(|tap| tap.sent(conn, bytes));
    }

    fn ended(&self, conn: &Conn, end: End) {
        self.0.iter().for_each(|tap| tap.ended(conn, end));
    }
}
