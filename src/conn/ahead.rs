//! What a session lends to the callback that it polls: the bytes that it has read and not handled.
//! While it does, a read whose message is among them is answered at once, as often as the turn of
//! the session allows. Who has to wait, and a read by anybody else, is answered by the session.
//! All streams of a worker share one place for this, as one session is at work at a time.

use std::cell::RefCell;
use std::rc::Rc;

use super::outbox::Outbox;
use super::{Conn, Input};
use crate::frame::Framing;
use crate::turn::{LastLook, Pace};

/// The place for what is lent, with the id of the connection.
#[derive(Default)]
pub(super) struct Ahead(RefCell<Option<(u64, Lent)>>);

/// What a session lends.
pub struct Lent {
    /// What it has read.
    pub input: Input,
    /// Its turn.
    pub pace: Pace,
    /// What turns are measured by.
    pub last_look: Rc<LastLook>,
    /// It counts how long the connection is silent.
    pub counts_silence: bool,
}

impl Conn {
    /// Lends to the callback of this stream, which is about to be polled.
    pub fn lend(&self, lent: Lent) {
        if let Outbox::Stream(queue) = &self.outbox {
            queue.ahead().0.replace(Some((self.id, lent)));
        }
    }

    /// Takes back what was lent.
    #[must_use]
    pub fn take_back(&self) -> Option<Lent> {
        match &self.outbox {
            Outbox::Stream(queue) => queue.ahead().0.take().map(|(_, lent)| lent),
            Outbox::Datagrams(_) => None,
        }
    }

    /// Hands the next message to `take`, by `framing` or by the one in force, where its session
    /// has lent it and would answer a read with it now; says whether there was one.
    pub fn read_at_once(&self, framing: Option<&Rc<Framing>>, take: impl FnOnce(&[u8])) -> bool {
        let Outbox::Stream(queue) = &self.outbox else { return false };
        // What a read was given up behind comes before the rest, and replies leave where many wait.
        let due = self.reads_over().is_none()
            && !self.has_reader()
            && !self.has_unseen()
            && self.has_room();
        let mut place = queue.ahead().0.borrow_mut();
        let Some((_, lent)) = place.as_mut().filter(|(id, _)| due && *id == self.id) else {
            return false;
        };
        let framing = framing.map_or_else(|| self.framing(), Rc::clone);
        // A function of the script is not called from within another.
        if framing.is_function() || !lent.pace.admits_read(&lent.last_look) {
            return false;
        }
        if lent.counts_silence {
            self.touch();
        }
        lent.input.hand_message(&framing, self, take)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::{Instant, advance};

    use super::*;
    use crate::conn::{
        Framings, Identity, ReadEnd, Reading, Received, Spares, StreamQueue, Transport, Version,
    };
    use crate::net::{Endpoint, Listener};

    fn conn(id: u64, spares: &Rc<Spares>) -> Rc<Conn> {
        let listener = Listener { name: None, url: "unix://x".to_owned(), loopback: true };
        let framing = Rc::new(Framing::raw());
        let identity = Identity {
            id,
            transport: Transport::Unix,
            ends: (Endpoint::Unix(None), Endpoint::Unix(None)),
            listener: Some(Arc::new(listener)),
            framings: Framings { read: Rc::clone(&framing), reply: framing },
            version: Version { number: 1, hash: "".into() },
        };
        Conn::new(identity, Outbox::Stream(StreamQueue::new(Rc::clone(spares))))
    }

    fn lent(conn: &Conn, bytes: &[u8]) -> Lent {
        let last_look = Rc::new(LastLook::default());
        let mut input = Input::default();
        input.keep(bytes, conn);
        Lent { input, pace: Pace::begin(&last_look), last_look, counts_silence: true }
    }

    /// Lends to `conn` and reads at once, until the turn has not ended by chance.
    fn read(conn: &Conn, lender: &Conn, bytes: &[u8]) -> Option<Vec<u8>> {
        for _ in 0..100 {
            lender.lend(lent(lender, bytes));
            let mut message = None;
            let found = conn.read_at_once(None, |bytes| message = Some(bytes.to_vec()));
            assert_eq!(found, message.is_some());
            let rest = conn.take_back().unwrap().input;
            assert_eq!(rest.is_empty(), found);
            if found {
                return message;
            }
        }
        None
    }

    #[test]
    fn what_is_lent_is_read_and_the_rest_comes_back() {
        let spares = Rc::new(Spares::new(1 << 20));
        let conn = conn(1, &spares);
        assert_eq!(read(&conn, &conn, b"message"), Some(b"message".to_vec()));
        assert!(conn.take_back().is_none());
        assert!(!conn.read_at_once(None, |_| ()));
    }

    #[test]
    fn nobody_else_reads_it() {
        let spares = Rc::new(Spares::new(1 << 20));
        assert_eq!(read(&conn(1, &spares), &conn(2, &spares), b"message"), None);
    }

    #[test]
    fn a_read_that_is_under_way_comes_first() {
        let spares = Rc::new(Spares::new(1 << 20));
        let conn = conn(1, &spares);
        let reading = Reading::begin(&conn, None).unwrap();
        assert_eq!(read(&conn, &conn, b"message"), None);
        conn.answer_read(Received::Message(b"first".to_vec()));
        assert_eq!(read(&conn, &conn, b"message"), None);
        // It was given up, and its message comes before the others.
        drop(reading);
        assert_eq!(read(&conn, &conn, b"message"), None);
        assert_eq!(conn.take_unseen(), Some(b"first".to_vec()));
        assert_eq!(read(&conn, &conn, b"message"), Some(b"message".to_vec()));
    }

    #[test]
    fn nothing_is_read_where_reads_are_over_or_replies_have_to_leave() {
        let spares = Rc::new(Spares::new(4 << 20));
        let (full, over) = (conn(1, &spares), conn(2, &spares));
        full.send_raw(&vec![0; 1 << 20]).unwrap();
        assert_eq!(read(&full, &full, b"message"), None);
        over.end_reads(ReadEnd::Shutdown);
        assert_eq!(read(&over, &over, b"message"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_counts_as_activity() {
        let spares = Rc::new(Spares::new(1 << 20));
        let conn = conn(1, &spares);
        advance(Duration::from_secs(1)).await;
        assert!(read(&conn, &conn, b"message").is_some());
        assert_eq!(conn.last_active(), Instant::now());
    }

    #[test]
    fn a_turn_comes_to_its_end() {
        let spares = Rc::new(Spares::new(1 << 20));
        let conn = conn(1, &spares);
        let begin = std::time::Instant::now();
        conn.lend(lent(&conn, b""));
        let mut place = conn.take_back().unwrap();
        while begin.elapsed() < Duration::from_secs(10) {
            place.input.keep(b"message", &conn);
            conn.lend(place);
            if !conn.read_at_once(None, |_| ()) {
                return;
            }
            place = conn.take_back().unwrap();
        }
        panic!("the turn did not end");
    }
}
