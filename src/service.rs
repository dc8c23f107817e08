//! What the sessions and datagram sockets of one worker share: the handler, the read buffer and
//! the limits. Decides nothing.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::{debug, enabled, info};

use crate::conn::{Conn, Outgoing, Spares};
use crate::departures::Departures;
use crate::handler::Handler;
use crate::roster::Roster;
use crate::settings::{OnError, Settings};
use crate::tap::Tap;
use crate::text::{HexDump, Printable};
use crate::turn::LastLook;

/// How much of a message a log line shows.
const LOGGED_BYTES: usize = 256;

/// Raw messages that are looked at for several lines in one: who sends lines does so soon.
const HINTED_MESSAGES: u32 = 1000;

/// What one read takes at most, and so the largest raw message.
pub const READ_SIZE: usize = 64 * 1024;

/// Whether messages are logged.
pub fn logs_messages() -> bool {
    enabled!(tracing::Level::DEBUG)
}

/// See the module.
pub struct Service<H> {
    /// Answers the events.
    pub handler: H,
    /// What every stream session reads into.
    pub scratch: RefCell<Box<[u8]>>,
    /// Buffers for outgoing bytes.
    pub spares: Rc<Spares>,
    /// What the turns of stream sessions are measured by.
    pub last_look: Rc<LastLook>,
    /// Replies that are about to leave.
    pub departures: Departures,
    /// How long one blocked send may last.
    pub send_timeout: Duration,
    /// `--on-error close`.
    pub close_on_error: bool,
    /// Datagram peers that the process knows at most.
    pub max_peers: usize,
    /// Is told of all that comes and goes.
    pub tap: Option<Rc<dyn Tap>>,
    idle_timeout: Option<Duration>,
    hex: bool,
    roster: Rc<Roster>,
    sockets: RefCell<Vec<Rc<Outgoing>>>,
    ids: Arc<AtomicU64>,
    draining: Cell<bool>,
    /// How many more messages are looked at for several lines.
    to_hint: Cell<u32>,
}

impl<H: Handler> Service<H> {
    /// The services of one worker; `ids` is shared by all of them.
    pub fn new(
        handler: H,
        settings: &Settings,
        ids: Arc<AtomicU64>,
        roster: Rc<Roster>,
        tap: Option<Rc<dyn Tap>>,
    ) -> Self {
        Self {
            handler,
            scratch: RefCell::new(vec![0; READ_SIZE].into_boxed_slice()),
            spares: Rc::new(Spares::new(settings.memory)),
            last_look: Rc::default(),
            departures: Departures::new(tap.clone()),
            send_timeout: settings.send_timeout,
            close_on_error: settings.on_error == OnError::Close,
            max_peers: settings.max_peers,
            tap,
            idle_timeout: settings.idle_timeout,
            hex: settings.hex,
            roster,
            sockets: RefCell::default(),
            ids,
            draining: Cell::new(false),
            to_hint: Cell::new(HINTED_MESSAGES),
        }
    }

    /// The id of the next connection.
    pub fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Keeps `conn` in the list of open connections until the returned entry is dropped.
    pub fn enter(self: &Rc<Self>, conn: &Rc<Conn>) -> Entry<H> {
        self.roster.enter(conn);
        Entry { service: Rc::clone(self), id: conn.id }
    }

    /// Has the socket that `outgoing` belongs to look at changes too.
    pub fn enter_socket(&self, outgoing: &Rc<Outgoing>) {
        self.sockets.borrow_mut().push(Rc::clone(outgoing));
    }

    /// Has every connection look at what changed: the generation, or the drain.
    pub fn wake_all(&self) {
        self.roster.for_each(|conn| conn.wake_task());
        self.sockets.borrow().iter().for_each(|socket| socket.wake());
    }

    /// From here on every connection ends as soon as its running call has.
    pub fn drain(&self) {
        self.draining.set(true);
        self.wake_all();
    }

    /// Whether the server stops.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// The idle timeout in force: the command line's, else the script's.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout.or_else(|| self.handler.rules().idle_timeout)
    }

    /// Logs a message that arrived, where that is asked for.
    pub fn log_message(&self, conn: &Conn, message: &[u8]) {
        if !logs_messages() {
            return;
        }
        let generation = self.handler.generation();
        let hash = &*self.handler.hash();
        let bytes = message.len();
        if self.hex {
            debug!(%conn, bytes, generation, hash, "message\n{:.LOGGED_BYTES$}", HexDump(message));
        } else {
            debug!(%conn, bytes, generation, hash, "message \"{:.LOGGED_BYTES$}\"", Printable(message));
        }
    }
}

impl<H: Handler> Service<H> {
    /// Tells once that a raw message held several lines, which surprises whoever expected one.
    pub fn hint_at_lines(&self, conn: &Conn, message: &[u8]) {
        let Some(left) = self.to_hint.get().checked_sub(1) else { return };
        self.to_hint.set(left);
        let first = memchr::memchr(b'\n', message);
        if first.is_some_and(|at| at + 1 < message.len()) {
            self.to_hint.set(0);
            let (generation, hash) = (self.handler.generation(), &*self.handler.hash());
            info!(%conn, generation, hash, "one read held several lines; framing = \"line\" hands them over one by one");
        }
    }
}

/// A connection's place in the list of open ones.
pub struct Entry<H: Handler> {
    service: Rc<Service<H>>,
    id: u64,
}

impl<H: Handler> Drop for Entry<H> {
    fn drop(&mut self) {
        if let Some(conn) = self.service.roster.leave(self.id) {
            self.service.handler.forget(&conn);
        }
    }
}
