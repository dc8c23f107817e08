//! The loop that moves all connections: waits for what happens to them, and hands it on.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token};
use nix::time::{ClockId, clock_gettime};

use super::LoadError;
use super::alarm::Alarm;
use super::exchange::Exchange;
use super::link::{Link, Phase};
use super::message::Message;
use super::plan::{Content, LARGEST_UDP, Plan};
use super::player::Player;
use super::report::{Ended, Glance, Report};
use super::schedule::Schedule;
use super::sending::Trains;
use super::tally::Tally;
use crate::frame::Framing;
use crate::net::address::Address;
use crate::net::client::Target;

/// Nanoseconds of a millisecond.
pub(super) const MILLISECOND: u64 = 1_000_000;

/// Events of one poll.
const EVENTS: usize = 1024;

/// Bytes of one read.
const READ: usize = 256 * 1024;

/// The largest framed answer, beyond the length of the message, where the framing has no limit.
const LARGEST_ANSWER: usize = 1 << 20;

/// The token of the alarm; connections have their index.
const ALARM: Token = Token(usize::MAX);

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Opening,
    Running,
    /// Until this time answers are awaited.
    Draining(u64),
    Over(Ended),
}

/// See the module. Times are nanoseconds since `begin`.
pub(super) struct Engine<'a> {
    pub plan: &'a Plan,
    pub target: Target,
    pub exchange: Exchange,
    pub framing: Framing,
    pub is_datagram: bool,
    /// Connecting takes time: the poll tells when it is done.
    pub connects_later: bool,
    /// Messages in flight on a link.
    pub window: usize,
    pub poll: Poll,
    alarm: Alarm,
    pub links: Vec<Link>,
    /// One for each link, if a dialogue is played.
    pub players: Vec<Player<'a>>,
    /// When failed links try again. Each stands in it as often as it was paused within one pause.
    pub retries: BinaryHeap<Reverse<(u64, usize)>>,
    /// Links with more to read or write than they had a turn for.
    pub again: Vec<usize>,
    /// Links that were read from, whose next messages leave once all have been that something was
    /// heard of: a server that is sent to in between falls asleep and has to be woken again and
    /// again, which costs us more than the message.
    pub answered: Vec<usize>,
    /// Links with room for a message that becomes due, one place for each.
    pub free: VecDeque<usize>,
    pub schedule: Option<Schedule>,
    /// What is read into, and what is written from.
    pub buffer: Box<[u8]>,
    pub piece: Vec<u8>,
    pub trains: Trains,
    pub tally: Tally,
    begin: Instant,
    pub now: u64,
    pub stage: Stage,
    /// When measuring begins, or has begun.
    pub measure_from: u64,
    pub is_measuring: bool,
    pub ends_at: u64,
    /// The number of the next message, that of the first one that counts, and where it ends.
    pub issued: u64,
    pub first_number: u64,
    pub last_number: u64,
    /// Messages in flight.
    pub outstanding: usize,
    /// Connections on their way, open, and open at most.
    pub opening: usize,
    pub open: usize,
    pub most_open: usize,
    pub next_to_open: usize,
    pub last_open: u64,
    pub last_answer: u64,
    pub next_check: u64,
    pub cpu: Duration,
    pub glanced: Glanced,
}

/// What was shown last.
#[derive(Default)]
pub(super) struct Glanced {
    pub at: u64,
    pub answered: u64,
    pub bytes: u64,
    pub stage_began: u64,
}

impl<'a> Engine<'a> {
    /// Prepares a run.
    pub(super) fn new(plan: &'a Plan, target: Target) -> Result<Self, LoadError> {
        let is_datagram = target.is_datagram();
        let framing = plan
            .framing
            .standing(plan.content.length() + LARGEST_ANSWER)
            .map_err(LoadError::Message)?;
        let message = message(plan, &framing, is_datagram)?;
        let poll = Poll::new()?;
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        let exchange = Exchange::new(message, plan.expect);
        let guess = exchange.guess();
        Ok(Self {
            window: plan.window(exchange.message().wire_length()),
            connects_later: matches!(plan.server, Address::Tcp { .. }),
            links: (0..plan.connections).map(|_| Link::new(guess)).collect(),
            players: plan.dialogue.as_ref().map_or_else(Vec::new, |client| {
                (0..plan.connections).map(|_| Player::new(client, is_datagram)).collect()
            }),
            tally: Tally::new().map_err(io::Error::other)?,
            plan,
            target,
            exchange,
            framing,
            is_datagram,
            poll,
            alarm,
            retries: BinaryHeap::new(),
            again: Vec::new(),
            answered: Vec::new(),
            free: VecDeque::new(),
            schedule: None,
            buffer: vec![0; READ].into(),
            piece: Vec::new(),
            trains: match plan.server {
                Address::Udp { .. } => Trains::Unknown,
                _ => Trains::Impossible,
            },
            begin: Instant::now(),
            now: 0,
            stage: Stage::Opening,
            measure_from: u64::MAX,
            is_measuring: false,
            ends_at: u64::MAX,
            issued: 0,
            first_number: u64::MAX,
            last_number: u64::MAX,
            outstanding: 0,
            opening: 0,
            open: 0,
            most_open: 0,
            next_to_open: 0,
            last_open: 0,
            last_answer: 0,
            next_check: 0,
            cpu: Duration::ZERO,
            glanced: Glanced::default(),
        })
    }

    /// Runs to the end.
    pub(super) fn run(
        mut self,
        stop: &AtomicBool,
        watch: &mut dyn FnMut(&Glance),
    ) -> Result<Report, LoadError> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            self.read_clock();
            if stop.load(Ordering::Relaxed) {
                self.stage = Stage::Over(Ended::Interrupted);
            }
            self.advance();
            if let Stage::Over(ended) = self.stage {
                return Ok(self.report(ended));
            }
            if self.now >= self.next_check {
                self.check();
                self.give_glance(watch);
            }
            match self.poll.poll(&mut events, Some(self.pause_until_something())) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            self.read_clock();
            for event in &events {
                if event.token() != ALARM {
                    self.on_event(event);
                }
            }
            self.go_on();
            self.send_on();
            self.try_again();
            self.hand_out();
        }
    }

    /// Reads the clock.
    pub(super) fn read_clock(&mut self) {
        self.now = nanoseconds(self.begin.elapsed());
    }

    fn on_event(&mut self, event: &Event) {
        let Token(index) = event.token();
        // An event may be older than the socket that is there now: it costs a look in vain.
        if self.links[index].phase == Phase::Connecting {
            self.look(index, event);
        } else if event.is_writable() && self.links[index].unsent > 0 {
            self.flush(index);
        }
        let to_the_end = event.is_read_closed() || event.is_error();
        if (event.is_readable() || to_the_end) && self.links[index].phase == Phase::Open {
            self.read(index, to_the_end);
        }
    }

    /// Gives those a turn that were not done.
    fn go_on(&mut self) {
        let mut again = std::mem::take(&mut self.again);
        again.sort_unstable();
        again.dedup();
        for index in again.drain(..) {
            self.flush(index);
            if self.links[index].phase == Phase::Open {
                self.read(index, true);
            }
        }
        if self.again.is_empty() {
            // Keeps its room.
            self.again = again;
        }
    }

    /// Sends what follows the answers that were read.
    fn send_on(&mut self) {
        let mut answered = std::mem::take(&mut self.answered);
        for index in answered.drain(..) {
            if self.links[index].phase == Phase::Open {
                self.read_clock();
                self.offer(index);
            }
        }
        if self.answered.is_empty() {
            // Keeps its room.
            self.answered = answered;
        }
    }

    /// How long the poll may sleep.
    fn pause_until_something(&self) -> Duration {
        if !self.again.is_empty() || self.stage == Stage::Opening && self.may_open() {
            return Duration::ZERO;
        }
        let retry = self.retries.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
        let stage = match self.stage {
            Stage::Draining(until) => until,
            _ if self.is_measuring => self.ends_at,
            _ => self.measure_from,
        };
        let until = self.next_check.min(retry).min(stage);
        let pause = Duration::from_nanos(until.saturating_sub(self.now));
        match self.schedule {
            Some(schedule) if !self.free.is_empty() && self.may_issue() => {
                let due = Duration::from_nanos(schedule.due(self.issued).saturating_sub(self.now));
                if due.is_zero() || due < pause && !self.alarm.set(due) { due } else { pause }
            }
            _ => pause,
        }
    }
}

fn message(plan: &Plan, framing: &Framing, is_datagram: bool) -> Result<Message, LoadError> {
    let made = match &plan.content {
        Content::Letters(length) => Message::letters(*length, framing, is_datagram),
        Content::Text(text) => Message::text(text, framing, is_datagram),
    };
    let message = made.map_err(|error| LoadError::Message(error.to_string()))?;
    let length = message.wire_length();
    if length == 0 {
        return Err(LoadError::Message("a message needs a byte".to_owned()));
    }
    if matches!(plan.server, Address::Udp { .. }) && length > LARGEST_UDP {
        return Err(LoadError::Message(format!(
            "a datagram holds {LARGEST_UDP} bytes at most, the message has {length}"
        )));
    }
    Ok(message)
}

/// CPU time that this thread has used.
pub(super) fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
