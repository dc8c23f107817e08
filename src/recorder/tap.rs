//! The server's connections as clients of a recording.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tracing::warn;

use super::{Recorder, What};
use crate::conn::Conn;
use crate::tap::{Audience, End, Tap};

/// A recorder as the audience of a server. Where it fails, the server goes on without it.
pub struct Recorded {
    recorder: Recorder,
    /// Whether the first connection was a stream: a dialogue has streams or datagrams.
    is_stream: OnceLock<bool>,
    /// It was told that others are left out.
    warned: AtomicBool,
}

impl Recorded {
    /// What is said is noted by `recorder`.
    #[must_use]
    pub fn new(recorder: Recorder) -> Self {
        Self { recorder, is_stream: OnceLock::new(), warned: AtomicBool::new(false) }
    }
}

impl Audience for Recorded {
    fn tap(self: Arc<Self>) -> Rc<dyn Tap> {
        Rc::new(RecorderTap(self))
    }
}

/// Notes what one worker is told.
struct RecorderTap(Arc<Recorded>);

impl RecorderTap {
    fn note(&self, conn: &Conn, what: impl FnOnce() -> What) {
        if self.0.is_stream.get() == Some(&conn.is_stream()) {
            self.0.recorder.note_at_once(conn.id, what());
        }
    }

    /// Whether connections of this kind are recorded; the first decides.
    fn decide(&self, conn: &Conn) {
        let is_stream = conn.is_stream();
        let decided = *self.0.is_stream.get_or_init(|| is_stream);
        if decided != is_stream && !self.0.warned.swap(true, Ordering::Relaxed) {
            let (left_out, first) =
                if is_stream { ("streams", "datagrams") } else { ("datagrams", "streams") };
            warn!(
                "{left_out} are not recorded: a dialogue has one transport, and the first \
                 connection was one of {first}; to record both, run a server for each"
            );
        }
    }
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
