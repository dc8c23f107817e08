//! What a tape is told by a worker. Tells messages apart as the framing in force does, so that one
//! is one however its bytes come in.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::tape::{Piece, Tape, What};
use crate::conn::Conn;
use crate::frame::{Framing, Progress};
use crate::net::Listener;
use crate::simulation::rerun::Place;
use crate::tap::{Audience, End, Tap};

impl Audience for Tape {
    fn tap(self: Arc<Self>) -> Rc<dyn Tap> {
        Rc::new(Recorder { tape: self, begun: RefCell::default() })
    }
}

/// The tap of one worker.
struct Recorder {
    tape: Arc<Tape>,
    /// Messages that are not whole yet, by their connections.
    begun: RefCell<HashMap<u64, Begun>>,
}

/// The beginning of a message.
struct Begun {
    bytes: Vec<u8>,
    framing: Rc<Framing>,
    /// What that knows of the bytes.
    progress: Progress,
}

impl Begun {
    fn new(framing: &Rc<Framing>) -> Self {
        let framing = Rc::clone(framing);
        Self { bytes: Vec::new(), framing, progress: Progress::default() }
    }

    /// From here on `framing` is in force.
    fn follow(&mut self, framing: &Rc<Framing>) {
        if !Rc::ptr_eq(&self.framing, framing) {
            self.framing = Rc::clone(framing);
            self.progress = Progress::default();
        }
    }

    /// Cuts what one read gave where messages end, and keeps the beginning of the last one. Where
    /// the script reads by another framing, they are cut elsewhere, which a stream does not mind.
    fn cut(&mut self, read: &[u8]) -> Vec<Piece> {
        let known = self.bytes.len();
        let bytes = if known == 0 {
            Cow::Borrowed(read)
        } else {
            self.bytes.extend_from_slice(read);
            Cow::Owned(std::mem::take(&mut self.bytes))
        };
        let mut pieces = Vec::new();
        // Of what was read, so much stands in `pieces`; of all bytes, so much in whole messages.
        let (mut told, mut used) = (known, 0);
        let mut tell = |end: usize, ends_message| {
            if end > told {
                pieces.push(Piece { bytes: bytes[told..end].into(), ends_message });
                told = end;
            }
        };
        let is_broken = loop {
            match self.framing.decode(&mut self.progress, &bytes[used..], false) {
                Ok(Some(decoded)) if decoded.consumed > 0 => {
                    used += decoded.consumed;
                    tell(used, true);
                }
                Ok(_) => break false,
                Err(_) => break true,
            }
        };
        // What breaks the rules has an answer too: the end of the connection.
        tell(bytes.len(), is_broken);
        self.bytes = match bytes {
            _ if is_broken => Vec::new(),
            Cow::Borrowed(bytes) => bytes[used..].to_vec(),
            // A long message is not to be copied for each of its pieces.
            Cow::Owned(mut bytes) => {
                bytes.drain(..used);
                bytes
            }
        };
        pieces
    }

    /// Whether the end of the stream ends the message.
    fn ends(mut self) -> bool {
        matches!(self.framing.decode(&mut self.progress, &self.bytes, true), Ok(Some(_)))
    }
}

impl Recorder {
    fn pieces(&self, conn: &Conn, bytes: &[u8]) -> Vec<Piece> {
        let framing = conn.framing();
        let begun = self.forget(conn);
        // A function belongs to the script, and is not to be called for this.
        if !conn.is_stream() || framing.is_raw() || framing.is_function() {
            return vec![Piece { bytes: bytes.into(), ends_message: true }];
        }
        let mut begun = begun.unwrap_or_else(|| Begun::new(&framing));
        begun.follow(&framing);
        let pieces = begun.cut(bytes);
        if !begun.bytes.is_empty() {
            self.begun.borrow_mut().insert(conn.id, begun);
        }
        pieces
    }

    fn forget(&self, conn: &Conn) -> Option<Begun> {
        self.begun.borrow_mut().remove(&conn.id)
    }
}

impl Tap for Recorder {
    fn opened(&self, conn: &Conn) {
        let place = Place {
            transport: conn.transport,
            peer: conn.peer.clone(),
            local: conn.local.clone(),
            listener: conn.listener.clone().unwrap_or_else(nowhere),
        };
        let generation = conn.generation();
        self.tape.note(conn.id, What::Opened { place: Arc::new(place), generation });
    }

    fn received(&self, conn: &Conn, bytes: &[u8]) {
        let generation = conn.generation();
        let pieces = self.pieces(conn, bytes);
        self.tape.note(conn.id, What::Received { pieces, generation });
    }

    fn sent(&self, conn: &Conn, bytes: &[u8]) {
        self.tape.note(conn.id, What::Sent(bytes.to_vec()));
    }

    fn ended(&self, conn: &Conn, end: End) {
        match end {
            End::Peer => {
                let ends_message = self.forget(conn).is_some_and(Begun::ends);
                let generation = conn.generation();
                self.tape.note(conn.id, What::PeerEnded { ends_message, generation });
            }
            End::Gone { .. } => {
                self.forget(conn);
                self.tape.note(conn.id, What::Gone);
            }
            End::Own | End::PeerReset => {}
        }
    }
}

/// What was accepted has a listener, so this is for no connection.
fn nowhere() -> Arc<Listener> {
    Arc::new(Listener { name: None, url: String::new(), loopback: true })
}
