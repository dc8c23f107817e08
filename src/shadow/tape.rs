//! The last messages, with the replies to them and what else their connections did.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::simulation::rerun::{Cue, Deed, PATIENCE, Place};

/// Bytes that are kept at most, of messages and replies.
const MOST_BYTES: usize = 16 << 20;

/// Events that are kept for each message, beside those of a few connections without any.
const EVENTS_PER_MESSAGE: usize = 8;
const MOST_SILENT: usize = 1024;

/// See the module. Shared by all workers.
pub(super) struct Tape {
    most: usize,
    began: Instant,
    epoch: Duration,
    reel: Mutex<Reel>,
}

#[derive(Default)]
struct Reel {
    events: VecDeque<Event>,
    /// The number of the next event.
    next: u64,
    messages: usize,
    bytes: usize,
    /// Connections whose first events are not kept any more.
    cut: HashSet<u64>,
}

struct Event {
    /// Counts up, one an event.
    number: u64,
    conn: u64,
    /// When it happened last, where it is several in one.
    at: Duration,
    what: What,
    /// Whether the generation that answered it answers the same from fresh state; none: not known.
    is_clear: Option<bool>,
}

pub(super) enum What {
    Opened {
        place: Arc<Place>,
        generation: u64,
    },
    /// One read, cut where messages end.
    Received {
        pieces: Vec<Piece>,
        generation: u64,
    },
    Sent(Vec<u8>),
    /// Where no byte tells that a message has ended, this may.
    PeerEnded {
        ends_message: bool,
        generation: u64,
    },
    Gone,
}

/// Bytes of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) bytes: Arc<[u8]>,
    /// With them it is whole.
    pub(super) ends_message: bool,
}

impl What {
    /// Messages that are whole with it.
    fn messages(&self) -> usize {
        match self {
            Self::Received { pieces, .. } => {
                pieces.iter().filter(|piece| piece.ends_message).count()
            }
            Self::PeerEnded { ends_message, .. } => usize::from(*ends_message),
            Self::Opened { .. } | Self::Sent(_) | Self::Gone => 0,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Received { pieces, .. } => pieces.iter().map(|piece| piece.bytes.len()).sum(),
            Self::Sent(bytes) => bytes.len(),
            Self::Opened { .. } | Self::PeerEnded { .. } | Self::Gone => 0,
        }
    }
}

/// What can be answered anew.
pub(super) struct Recording {
    /// The wall clock at the first cue, since 1970.
    pub(super) epoch: Duration,
    /// What the peers of whole conversations did.
    pub(super) cues: Vec<Cue>,
    /// What was answered to each of them, and by which generation.
    pub(super) answers: Vec<Answer>,
    /// All messages that are kept.
    pub(super) messages: usize,
    /// Those of them whose conversation is not whole.
    pub(super) partial: usize,
}

/// What was answered to a cue.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    pub(super) generation: u64,
    /// The event that it was an answer to, and what is known of that.
    pub(super) event: u64,
    pub(super) is_clear: Option<bool>,
    /// It was read with the message before; what was answered stands with the first of them.
    pub(super) continues: bool,
    /// More may have been on its way.
    pub(super) may_go_on: bool,
}

impl Tape {
    pub(super) fn new(most: usize) -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { most, began: Instant::now(), epoch, reel: Mutex::default() }
    }

    fn reel(&self) -> MutexGuard<'_, Reel> {
        // It stays whole whoever panicked while holding it.
        self.reel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It has happened to this connection, just now.
    pub(super) fn note(&self, conn: u64, what: What) {
        let at = self.began.elapsed();
        let mut reel = self.reel();
        let number = reel.next;
        reel.push(Event { number, conn, at, what, is_clear: None });
        reel.shorten(self.most);
    }

    /// Of these events it is known now whether their answers come again from fresh state.
    pub(super) fn remember(&self, known: &[(u64, bool)]) {
        let mut reel = self.reel();
        let Some(first) = reel.events.front().map(|event| event.number) else { return };
        for (number, is_clear) in known {
            let place = number.checked_sub(first).and_then(|place| usize::try_from(place).ok());
            if let Some(event) = place.and_then(|place| reel.events.get_mut(place)) {
                event.is_clear = Some(*is_clear);
            }
        }
    }

    /// What is kept now.
    pub(super) fn recording(&self) -> Recording {
        let reel = self.reel();
        let is_whole = |event: &&Event| !reel.cut.contains(&event.conn);
        let whole = || reel.events.iter().filter(is_whole);
        let first = whole().next().map(|event| event.at).unwrap_or_default();
        let mut recording = Recording {
            epoch: self.epoch + first,
            cues: Vec::new(),
            answers: Vec::new(),
            messages: reel.messages,
            partial: reel.messages,
        };
        let mut threads = HashMap::new();
        for event in whole() {
            recording.take(event, first, &mut threads);
        }
        recording.stay(self.began.elapsed().saturating_sub(first), threads);
        recording
    }
}

/// How far a conversation is.
#[derive(Default)]
struct Thread {
    /// The cue that is answered.
    answered: usize,
    /// Something was said since the peer last did something.
    has_heard: bool,
    /// When anything last happened.
    at: Duration,
}

impl Recording {
    /// `threads` are the conversations that are open.
    fn take(&mut self, event: &Event, first: Duration, threads: &mut HashMap<u64, Thread>) {
        self.partial -= event.what.messages();
        if let What::Opened { .. } = event.what {
            threads.insert(event.conn, Thread::default());
        }
        // All others follow that one.
        let Some(thread) = threads.get_mut(&event.conn) else { return };
        thread.at = event.at.saturating_sub(first);
        match &event.what {
            What::Sent(bytes) => {
                self.answers[thread.answered].bytes.extend(bytes);
                thread.has_heard = true;
            }
            What::Opened { place, generation } => {
                let deed = Deed::Open(Arc::clone(place));
                thread.answered = self.add(event, thread, deed, *generation, false);
            }
            What::Received { pieces, generation } => {
                self.add_pieces(event, thread, pieces, *generation);
            }
            What::PeerEnded { ends_message, generation } => {
                let index = self.add(event, thread, Deed::End, *generation, *ends_message);
                if *ends_message {
                    thread.answered = index;
                }
            }
            What::Gone => {
                self.add(event, thread, Deed::Leave, 0, false);
                threads.remove(&event.conn);
            }
        }
    }

    /// Adds what one read gave.
    fn add_pieces(
        &mut self,
        event: &Event,
        thread: &mut Thread,
        pieces: &[Piece],
        generation: u64,
    ) {
        let mut continues = false;
        for Piece { bytes, ends_message } in pieces {
            let deed = Deed::Send(Arc::clone(bytes));
            let index = self.add(event, thread, deed, generation, *ends_message);
            self.answers[index].continues = continues && *ends_message;
            if *ends_message && !continues {
                thread.answered = index;
                continues = true;
            }
        }
    }

    /// Adds a cue; gives its index.
    fn add(
        &mut self,
        event: &Event,
        thread: &mut Thread,
        deed: Deed,
        generation: u64,
        ends_message: bool,
    ) -> usize {
        let Event { conn, number, is_clear, .. } = *event;
        let is_after_answer = std::mem::take(&mut thread.has_heard);
        self.cues.push(Cue { conn, at: thread.at, deed, ends_message, is_after_answer });
        self.answers.push(Answer { generation, event: number, is_clear, ..Answer::default() });
        self.cues.len() - 1
    }

    /// Conversations that are open go on until now: what was not said until then was not to come.
    /// Of one in which something has just happened it cannot be known.
    fn stay(&mut self, now: Duration, threads: HashMap<u64, Thread>) {
        for (conn, thread) in threads {
            let patient = thread.at + PATIENCE;
            self.answers[thread.answered].may_go_on = now < patient;
            self.cues.push(Cue {
                conn,
                at: now.max(patient),
                deed: Deed::Rest,
                ends_message: false,
                is_after_answer: false,
            });
            self.answers.push(Answer::default());
        }
    }
}

impl Reel {
    fn push(&mut self, event: Event) {
        self.messages += event.what.messages();
        self.bytes += event.what.bytes();
        match (&event.what, self.events.back_mut()) {
            (What::Sent(more), Some(Event { conn, at, what: What::Sent(bytes), .. }))
                if *conn == event.conn =>
            {
                bytes.extend(more);
                *at = event.at;
            }
            _ => {
                self.events.push_back(event);
                self.next += 1;
            }
        }
    }

    /// Drops the oldest until what is left is within the bounds.
    fn shorten(&mut self, most: usize) {
        let most_events = most * EVENTS_PER_MESSAGE + MOST_SILENT;
        while self.messages > most || self.bytes > MOST_BYTES || self.events.len() > most_events {
            let Some(event) = self.events.pop_front() else { return };
            self.messages -= event.what.messages();
            self.bytes -= event.what.bytes();
            match event.what {
                // Nothing of it is kept any more.
                What::Gone => _ = self.cut.remove(&event.conn),
                _ => _ = self.cut.insert(event.conn),
            }
        }
    }
}
