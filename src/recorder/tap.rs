//! The server's connections as clients of a recording.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing::warn;

use super::{Recorder, What};
use crate::conn::Conn;
use crate::tap::{Audience, End, Tap};

/// Streams, or datagrams: a dialogue has one of them.
const UNDECIDED: u8 = 0;
const STREAMS: u8 = 1;
const DATAGRAMS: u8 = 2;

/// A recorder as the audience of a server. Where it fails, the server goes on without it.
pub struct Recorded {
    recorder: Recorder,
    /// What the first connection was.
    kind: Arc<AtomicU8>,
}

impl Recorded {
    /// What is said is noted by `recorder`.
    #[must_use]
    pub fn new(recorder: Recorder) -> Self {
        Self { recorder, kind: Arc::default() }
    }
}

impl Audience for Recorded {
    fn tap(self: Arc<Self>) -> Rc<dyn Tap> {
        Rc::new(RecorderTap {
            recorder: self.recorder.clone(),
            kind: Arc::clone(&self.kind),
            warned: Cell::new(false),
        })
    }
}

/// Notes what one worker is told.
struct RecorderTap {
    recorder: Recorder,
    kind: Arc<AtomicU8>,
    warned: Cell<bool>,
}

impl RecorderTap {
    fn note(&self, conn: &Conn, what: impl FnOnce() -> What) {
        if kind_of(conn) != self.kind.load(Ordering::Relaxed) {
            return;
        }
        self.recorder.note_at_once(conn.id, what());
    }

    /// Whether connections of this kind are recorded; the first decides.
    fn decide(&self, conn: &Conn) {
        let kind = kind_of(conn);
        let decided =
            self.kind.compare_exchange(UNDECIDED, kind, Ordering::Relaxed, Ordering::Relaxed);
        if decided.is_err_and(|decided| decided != kind) && !self.warned.replace(true) {
            let (left_out, first) =
                if kind == STREAMS { ("streams", "datagrams") } else { ("datagrams", "streams") };
            warn!(
                "{left_out} are not recorded: a dialogue has one transport, and the first \
                 connection was one of {first}; to record both, run a server for each"
            );
        }
    }
}

fn kind_of(conn: &Conn) -> u8 {
    if conn.is_stream() { STREAMS } else { DATAGRAMS }
}

impl Tap for RecorderTap {
    fn opened(&self, conn: &Conn) {
        self.decide(conn);
        self.note(conn, || What::Connected(conn.transport));
    }

    fn received(&self, conn: &Conn, bytes: &[u8]) {
        self.note(conn, || What::Sent(bytes.into()));
    }

    fn sent(&self, conn: &Conn, bytes: &[u8]) {
        self.note(conn, || What::Answered(bytes.into()));
    }

    fn ended(&self, conn: &Conn, end: End) {
        match end {
            End::Peer => self.note(conn, || What::Eof),
            End::Own => self.note(conn, || What::ServerEof),
            End::PeerReset => self.note(conn, || What::Reset),
            End::Gone { reset, .. } => {
                if reset {
                    self.note(conn, || What::ServerReset);
                }
                self.note(conn, || What::Gone);
            }
        }
    }
}
