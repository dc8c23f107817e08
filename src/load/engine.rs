//! The loop that moves all connections, and the stages of a run: all connections are opened, then
//! messages are exchanged, the last answers are awaited, and it is over.

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
use super::exchange::{Exchange, Expect};
use super::link::{Link, Phase};
use super::message::Message;
use super::plan::{Content, LARGEST_UDP, Mode, Plan};
use super::report::{Ended, Glance, Report};
use super::schedule::Schedule;
use super::tally::{Failure, Failures, Tally};
use crate::frame::Framing;
use crate::net::address::Address;
use crate::net::client::Target;

/// Nanoseconds of a millisecond.
pub(super) const MILLISECOND: u64 = 1_000_000;

/// Connections on their way at a time, when all are opened: a server's backlog holds more.
const BURST: usize = 256;

/// Events of one poll.
const EVENTS: usize = 1024;

/// Bytes of one read.
const READ: usize = 256 * 1024;

/// The largest framed answer, beyond the length of the message, where the framing has no limit.
const LARGEST_ANSWER: usize = 1 << 20;

/// How often connections are looked over for what is overdue, and glances are given.
const CHECK: u64 = 100 * MILLISECOND;
const LEAST_CHECK: u64 = 5 * MILLISECOND;
const GLANCE: u64 = 500 * MILLISECOND;

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
    /// When failed links try again. Each stands in it as often as it was paused within one pause.
    pub retries: BinaryHeap<Reverse<(u64, usize)>>,
    /// Links with more to read or write than they had a turn for.
    pub again: Vec<usize>,
    /// Links with room for a message that becomes due, one place for each.
    pub free: VecDeque<usize>,
    pub schedule: Option<Schedule>,
    /// What is read into, and what is written from.
    pub buffer: Box<[u8]>,
    pub piece: Vec<u8>,
    pub tally: Tally,
    begin: Instant,
    pub now: u64,
    pub stage: Stage,
    pub measure_from: u64,
    is_measuring: bool,
    pub ends_at: u64,
    /// The number of the next message, and where it ends.
    pub issued: u64,
    pub last_number: u64,
    /// Messages in flight.
    pub outstanding: usize,
    /// Connections on their way, open, and open at most.
    pub opening: usize,
    pub open: usize,
    pub most_open: usize,
    next_to_open: usize,
    pub last_open: u64,
    pub last_answer: u64,
    next_check: u64,
    cpu: Duration,
    glanced: Glanced,
}

/// What was shown last.
#[derive(Default)]
struct Glanced {
    at: u64,
    answered: u64,
    bytes: u64,
    stage_began: u64,
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
            free: VecDeque::new(),
            schedule: None,
            buffer: vec![0; READ].into(),
            piece: Vec::new(),
            begin: Instant::now(),
            now: 0,
            stage: Stage::Opening,
            measure_from: u64::MAX,
            is_measuring: false,
            ends_at: u64::MAX,
            issued: 0,
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
            self.look(index);
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

    /// Goes on to the next stage where it is time to.
    fn advance(&mut self) {
        match self.stage {
            Stage::Opening => self.open_more(),
            Stage::Running => {
                if !self.is_measuring && self.now >= self.measure_from {
                    self.begin_measuring();
                }
                if self.is_lost() {
                    self.stage = Stage::Over(Ended::GaveUp);
                } else if self.now >= self.ends_at || self.issued >= self.last_number {
                    self.drain();
                }
            }
            Stage::Draining(until) => {
                if self.outstanding == 0 {
                    self.stage = Stage::Over(Ended::InOrder);
                } else if self.now >= until {
                    self.fail_those_in_flight();
                    self.stage = Stage::Over(Ended::InOrder);
                }
            }
            Stage::Over(_) => {}
        }
    }

    fn may_open(&self) -> bool {
        self.next_to_open < self.links.len() && self.opening < BURST
    }

    /// Opens all connections, some at a time. Churn opens its own.
    fn open_more(&mut self) {
        if self.plan.mode == Mode::Churn {
            return self.begin_running();
        }
        let mut turn = BURST;
        while self.may_open() && turn > 0 {
            self.next_to_open += 1;
            turn -= 1;
            self.open(self.next_to_open - 1);
        }
        if self.next_to_open == self.links.len() && self.opening == 0 {
            if self.open == 0 {
                self.stage = Stage::Over(Ended::GaveUp);
            } else {
                self.begin_running();
            }
        }
    }

    fn begin_running(&mut self) {
        self.read_clock();
        self.stage = Stage::Running;
        self.glanced.stage_began = self.now;
        (self.last_open, self.last_answer) = (self.now, self.now);
        self.measure_from = self.now.saturating_add(nanoseconds(self.plan.warmup));
        let duration = self.plan.duration.map_or(u64::MAX, nanoseconds);
        self.ends_at = self.measure_from.saturating_add(duration);
        self.schedule = self.plan.rate.map(|rate| Schedule::new(self.now, rate));
        if self.plan.warmup.is_zero() {
            self.begin_measuring();
        }
        for index in 0..self.links.len() {
            match self.links[index].phase {
                Phase::Closed if self.plan.mode == Mode::Exchange => self.pause(index),
                Phase::Closed if self.plan.mode != Mode::Churn => {}
                _ => self.offer(index),
            }
        }
    }

    fn begin_measuring(&mut self) {
        self.is_measuring = true;
        self.cpu = cpu_time();
        if !self.plan.warmup.is_zero() {
            self.tally.begin_measuring();
            self.glanced.answered = 0;
            self.glanced.bytes = 0;
        }
        let count = self.plan.count.filter(|_| self.plan.mode != Mode::Idle);
        self.last_number = count.map_or(u64::MAX, |count| self.issued.saturating_add(count));
    }

    /// Whether there is no hope any more: no connection for as long as an answer may take. The port
    /// of a datagram socket can be opened always; there it is that nothing but refusals came.
    fn is_lost(&self) -> bool {
        let patience = nanoseconds(self.plan.timeout);
        let failures = &self.tally.failures;
        if self.plan.mode == Mode::Churn && self.tally.opened == 0 && self.outstanding == 0 {
            return failures.total() >= self.links.len() as u64;
        }
        let since = if self.is_datagram { self.last_answer } else { self.last_open };
        let is_down = if self.is_datagram {
            failures.count(Failure::Refused) > 0
        } else {
            self.open == 0 && self.opening == 0 && failures.total() > 0
        };
        is_down && self.now.saturating_sub(since) > patience
    }

    /// Sends nothing more, and awaits the answers that are due.
    fn drain(&mut self) {
        self.glanced.stage_began = self.now;
        self.stage = Stage::Draining(self.now.saturating_add(nanoseconds(self.plan.timeout)));
        if self.plan.mode == Mode::Bulk && self.now >= self.ends_at {
            self.withdraw();
        }
        if self.plan.one_way() || self.plan.mode == Mode::Idle {
            self.stage = Stage::Over(Ended::InOrder);
        }
    }

    /// Takes back what waits to be sent.
    fn withdraw(&mut self) {
        for link in &mut self.links {
            let withdrawn = link.withdraw();
            self.outstanding -= withdrawn;
            self.tally.sent = self.tally.sent.saturating_sub(withdrawn as u64);
        }
    }

    fn fail_those_in_flight(&mut self) {
        for index in 0..self.links.len() {
            if self.is_datagram {
                self.give_up_datagrams(index, u64::MAX);
            } else if !self.links[index].flights.is_empty() {
                self.time_out(index);
            }
        }
    }

    fn time_out(&mut self, index: usize) {
        let limit = self.plan.timeout;
        self.fail(index, Failure::Timeout, || format!("no answer within {limit:?}"));
    }

    /// Looks for what is overdue.
    fn check(&mut self) {
        let timeout = nanoseconds(self.plan.timeout);
        self.next_check = self.now + (timeout / 4).clamp(LEAST_CHECK, CHECK);
        if self.plan.mode == Mode::Idle && self.opening == 0 {
            return;
        }
        let since = self.now.saturating_sub(timeout);
        for index in 0..self.links.len() {
            let link = &self.links[index];
            let oldest = link.flights.front().map(|flight| flight.sent);
            match link.phase {
                Phase::Connecting | Phase::Backlogged if link.since < since => {
                    let limit = self.plan.timeout;
                    let words = || format!("no connection within {limit:?}");
                    self.fail(index, Failure::ConnectTimeout, words);
                }
                Phase::Open if oldest.is_some_and(|sent| sent < since) => {
                    if self.is_datagram {
                        self.give_up_datagrams(index, since);
                    } else if self.plan.mode != Mode::Bulk || link.heard < since {
                        // In bulk many wait for those before them.
                        self.time_out(index);
                    }
                }
                _ => {}
            }
        }
    }

    fn give_glance(&mut self, watch: &mut dyn FnMut(&Glance)) {
        let passed = self.now - self.glanced.at;
        if passed < GLANCE {
            return;
        }
        let bytes = self.tally.bytes_sent + self.tally.bytes_received;
        let failures = self.tally.failures.total();
        watch(&Glance {
            stage: match self.stage {
                Stage::Opening => "connecting",
                Stage::Running if !self.is_measuring => "warming up",
                Stage::Running => "running",
                _ => "last answers",
            },
            elapsed: Duration::from_nanos(self.now - self.glanced.stage_began),
            since: Duration::from_nanos(passed),
            open: self.open,
            answers: self.tally.answered.saturating_sub(self.glanced.answered),
            bytes: bytes.saturating_sub(self.glanced.bytes),
            trouble: failures + self.tally.wrong + self.tally.lost,
        });
        self.glanced.at = self.now;
        self.glanced.answered = self.tally.answered;
        self.glanced.bytes = bytes;
    }

    fn report(self, ended: Ended) -> Report {
        let measured = self.is_measuring;
        let in_time = self.now.min(self.ends_at);
        let end = match ended {
            // The wait for a last answer that never came does not count.
            Ended::InOrder if self.plan.count.is_some() && self.now < self.ends_at => {
                self.last_answer
            }
            Ended::InOrder => in_time.max(self.last_answer),
            _ => self.now,
        };
        let elapsed = if measured { end.saturating_sub(self.measure_from) } else { 0 };
        let due = self.schedule.filter(|_| measured).map(|schedule| {
            let end = schedule.due_before(in_time).min(self.last_number);
            end.saturating_sub(schedule.due_before(self.measure_from))
        });
        let mut report = Report {
            server: self.target.to_string(),
            mode: self.plan.mode,
            connections: self.plan.connections,
            depth: self.plan.depth,
            message_bytes: self.exchange.message().wire_length(),
            rate: self.plan.rate,
            expect: self.exchange.expect(),
            expect_chosen: self.plan.expect == Expect::Auto,
            elapsed: Duration::from_nanos(elapsed),
            cpu: if measured { cpu_time().saturating_sub(self.cpu) } else { Duration::ZERO },
            ended,
            open: self.open,
            most_open: self.most_open,
            due,
            unsent: due.map_or(0, |due| due.saturating_sub(self.tally.sent)),
            unfinished: self.outstanding as u64,
            latency: None,
            connect: None,
            sent: 0,
            answered: 0,
            bytes_sent: 0,
            bytes_received: 0,
            wrong: 0,
            first_wrong: None,
            lost: 0,
            late: 0,
            unanswered: 0,
            opened: 0,
            failures: Failures::default(),
        };
        report.take(self.tally);
        report
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
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
