//! The last messages, with the replies to them and what else their connections did.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::conn::Conn;
use crate::frame::Progress;
use crate::net::Listener;
use crate::simulation::rerun::{Cue, Deed, Place};
use crate::tap::{Audience, End, Tap};

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
    at: Duration,
    what: What,
    /// Whether the generation that answered it answers the same from fresh state; none: not known.
    is_clear: Option<bool>,
}

enum What {
    Opened {
        place: Arc<Place>,
        generation: u64,
    },
    /// One read, message by message where the framing tells where each ends.
    Received {
        messages: Vec<Arc<[u8]>>,
        whole: usize,
        generation: u64,
    },
    Sent(Vec<u8>),
    PeerEnded,
    Gone,
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
    pub(super) is_last: bool,
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

    fn note(&self, conn: u64, what: What) {
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
        let mut last = HashMap::new();
        for event in whole() {
            recording.take(event, first, &mut last);
        }
        for index in last.into_values() {
            recording.answers[index].is_last = true;
        }
        recording
    }
}

impl Recording {
    /// `last` knows the cue that is answered, for each connection.
    fn take(&mut self, event: &Event, first: Duration, last: &mut HashMap<u64, usize>) {
        let at = event.at.saturating_sub(first);
        let index = self.cues.len();
        let mut add = |deed, generation, continues| {
            self.cues.push(Cue { conn: event.conn, at, deed });
            let (number, is_clear) = (event.number, event.is_clear);
            let answer = Answer { generation, event: number, is_clear, ..Answer::default() };
            self.answers.push(Answer { continues, ..answer });
        };
        match &event.what {
            What::Sent(bytes) => {
                if let Some(&index) = last.get(&event.conn) {
                    self.answers[index].bytes.extend(bytes);
                }
            }
            What::Opened { place, generation } => {
                last.insert(event.conn, index);
                add(Deed::Open(Arc::clone(place)), *generation, false);
            }
            What::Received { messages, whole, generation } => {
                last.insert(event.conn, index);
                for (place, message) in messages.iter().enumerate() {
                    add(Deed::Send(Arc::clone(message)), *generation, place > 0);
                }
                self.partial -= whole;
            }
            What::PeerEnded => add(Deed::End, 0, false),
            What::Gone => {
                last.remove(&event.conn);
                add(Deed::Leave, 0, false);
            }
        }
    }
}

impl Reel {
    fn push(&mut self, event: Event) {
        match (&event.what, self.events.back_mut()) {
            (What::Sent(more), Some(Event { conn, what: What::Sent(bytes), .. }))
                if *conn == event.conn =>
            {
                self.bytes += more.len();
                bytes.extend(more);
                return;
            }
            (What::Received { messages, whole, .. }, _) => {
                self.messages += whole;
                self.bytes += messages.iter().map(|bytes| bytes.len()).sum::<usize>();
            }
            (What::Sent(bytes), _) => self.bytes += bytes.len(),
            _ => {}
        }
        self.events.push_back(event);
        self.next += 1;
    }

    /// Drops the oldest until what is left is within the bounds.
    fn shorten(&mut self, most: usize) {
        let most_events = most * EVENTS_PER_MESSAGE + MOST_SILENT;
        while self.messages > most || self.bytes > MOST_BYTES || self.events.len() > most_events {
            let Some(event) = self.events.pop_front() else { return };
            self.cut.insert(event.conn);
            match event.what {
                What::Received { messages, whole, .. } => {
                    self.messages -= whole;
                    self.bytes -= messages.iter().map(|bytes| bytes.len()).sum::<usize>();
                }
                What::Sent(bytes) => self.bytes -= bytes.len(),
                // Nothing of it is kept any more.
                What::Gone => _ = self.cut.remove(&event.conn),
                What::Opened { .. } | What::PeerEnded => {}
            }
        }
    }
}

impl Audience for Tape {
    fn tap(self: Arc<Self>) -> Rc<dyn Tap> {
        Rc::new(Recorder(self))
    }
}

/// The tap of one worker.
struct Recorder(Arc<Tape>);

impl Tap for Recorder {
    fn opened(&self, conn: &Conn) {
        let place = Place {
            transport: conn.transport,
            peer: conn.peer.clone(),
            local: conn.local.clone(),
            listener: conn.listener.clone().unwrap_or_else(nowhere),
        };
        let generation = conn.generation();
        self.0.note(conn.id, What::Opened { place: Arc::new(place), generation });
    }

    fn received(&self, conn: &Conn, bytes: &[u8]) {
        let generation = conn.generation();
        let (messages, whole) = messages(conn, bytes);
        self.0.note(conn.id, What::Received { messages, whole, generation });
    }

    fn sent(&self, conn: &Conn, bytes: &[u8]) {
        self.0.note(conn.id, What::Sent(bytes.to_vec()));
    }

    fn ended(&self, conn: &Conn, end: End) {
        match end {
            End::Peer => self.0.note(conn.id, What::PeerEnded),
            End::Gone { .. } => self.0.note(conn.id, What::Gone),
            End::Own | End::PeerReset => {}
        }
    }
}

/// The messages of one read, and how many of them end in it. Where a message began in the read
/// before, or the script reads by another framing, they are cut elsewhere, which a stream does not
/// mind.
fn messages(conn: &Conn, bytes: &[u8]) -> (Vec<Arc<[u8]>>, usize) {
    let framing = conn.framing();
    // A function belongs to the script, and is not to be called for this.
    if !conn.is_stream() || framing.is_raw() || framing.is_function() {
        return (vec![bytes.into()], 1);
    }
    let mut messages = Vec::new();
    let mut rest = bytes;
    let decode = |rest: &[u8]| framing.decode(&mut Progress::default(), rest, false);
    while let Ok(Some(decoded)) = decode(rest) {
        if decoded.consumed == 0 {
            break;
        }
        messages.push(rest[..decoded.consumed].into());
        rest = &rest[decoded.consumed..];
    }
    let whole = messages.len();
    if !rest.is_empty() {
        messages.push(rest.into());
    }
    (messages, whole)
}

/// What was accepted has a listener, so this is for no connection.
fn nowhere() -> Arc<Listener> {
    Arc::new(Listener { name: None, url: String::new(), loopback: true })
}
