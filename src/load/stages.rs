//! The stages of a run: all connections are opened, then messages are exchanged, the last answers
//! are awaited, and it is over. What is overdue is found here too.

use super::engine::{Engine, Glanced, MILLISECOND, Stage, cpu_time, nanoseconds};
use super::link::Phase;
use super::opening::PAUSE;
use super::plan::Mode;
use super::report::Ended;
use super::schedule::Schedule;
use super::tally::Failure;

/// Connections on their way at a time, when all are opened: a server's backlog holds more.
const BURST: usize = 256;

/// How often connections are looked over for what is overdue.
const CHECK: u64 = 100 * MILLISECOND;
const LEAST_CHECK: u64 = 5 * MILLISECOND;

/// How often the time that an answer may take can pass without one, where no time ends the run, and
/// without another connection while all are opened.
const PATIENCE: u64 = 3;

impl Engine<'_> {
    /// Goes on to the next stage where it is time to.
    pub(super) fn advance(&mut self) {
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

    pub(super) fn may_open(&self) -> bool {
        self.next_to_open < self.links.len() && self.opening < BURST
    }

    /// Opens all connections, some at a time. Churn opens its own.
    fn open_more(&mut self) {
        if self.plan.mode == Mode::Churn {
            return self.begin_running();
        }
        if self.accepts_no_more() {
            // The others would wait in vain, too. What is open is measured.
            self.next_to_open = self.links.len();
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

    /// Whether connections fail and none has come about for long.
    fn accepts_no_more(&self) -> bool {
        let patience = nanoseconds(self.plan.timeout).saturating_mul(PATIENCE);
        self.tally.failures.total() > 0 && self.now.saturating_sub(self.last_open) > patience
    }

    fn begin_running(&mut self) {
        self.read_clock();
        self.stage = Stage::Running;
        self.glanced.stage_began = self.now;
        (self.last_open, self.last_answer) = (self.now, self.now);
        self.measure_from = self.now.saturating_add(nanoseconds(self.plan.warmup));
        self.schedule = self.plan.rate.map(|rate| Schedule::new(self.now, rate));
        if self.plan.warmup.is_zero() {
            self.begin_measuring();
        }
        for index in 0..self.links.len() {
            match self.links[index].phase {
                Phase::Closed if self.plan.mode == Mode::Exchange => self.pause(index, PAUSE),
                Phase::Closed if self.plan.mode != Mode::Churn => {}
                _ => self.offer(index),
            }
        }
    }

    fn begin_measuring(&mut self) {
        self.is_measuring = true;
        self.measure_from = self.now;
        let duration = self.plan.duration.map_or(u64::MAX, nanoseconds);
        self.ends_at = self.now.saturating_add(duration);
        self.first_number = self.issued;
        self.cpu = cpu_time();
        if !self.plan.warmup.is_zero() {
            self.tally.begin_measuring(self.plan.mode == Mode::Churn);
            let at = self.now;
            self.glanced = Glanced { at, answered: 0, bytes: 0, stage_began: at };
        }
        let count = self.plan.count.filter(|_| self.plan.mode != Mode::Idle);
        self.last_number = count.map_or(u64::MAX, |count| self.issued.saturating_add(count));
    }

    /// Whether there is no hope any more: no connection for as long as an answer may take. A
    /// datagram socket can be opened always; there it is that nothing but refusals came.
    fn is_lost(&self) -> bool {
        let patience = nanoseconds(self.plan.timeout);
        let failures = &self.tally.failures;
        if self.plan.mode == Mode::Churn && self.most_open == 0 && self.outstanding == 0 {
            return failures.total() >= self.links.len() as u64;
        }
        // A time ends by itself. Messages would be sent in vain for very long.
        let silence = self.now.saturating_sub(self.last_answer);
        if self.plan.duration.is_none() && failures.total() + self.tally.lost > 0 {
            return silence > patience.saturating_mul(PATIENCE);
        }
        let since = if self.is_datagram { self.last_answer } else { self.last_open };
        let is_down = if self.is_datagram {
            failures.count(Failure::Refused) > 0
        } else {
            self.open == 0 && self.opening == 0 && failures.total() > 0
        };
        // Their time is so short that a server could hardly be started anew in it.
        let patience = if self.is_datagram { patience.saturating_mul(PATIENCE) } else { patience };
        is_down && self.now.saturating_sub(since) > patience
    }

    /// Sends nothing more, and awaits the answers that are due.
    fn drain(&mut self) {
        self.glanced.stage_began = self.now;
        // A dialogue has as long for each of its steps.
        let patience =
            if self.plan.dialogue.is_some() { u64::MAX } else { nanoseconds(self.plan.timeout) };
        self.stage = Stage::Draining(self.now.saturating_add(patience));
        let by_time = self.now >= self.ends_at;
        if self.plan.mode == Mode::Bulk && by_time {
            (0..self.links.len()).for_each(|index| self.withdraw(index));
        }
        if self.plan.one_way() && by_time || self.plan.mode == Mode::Idle {
            self.stage = Stage::Over(Ended::InOrder);
        }
    }

    /// Takes back what waits to be sent on a link.
    pub(super) fn withdraw(&mut self, index: usize) {
        let withdrawn = self.links[index].withdraw();
        let counted = withdrawn.iter().filter(|flight| flight.number >= self.first_number).count();
        self.outstanding -= withdrawn.len();
        self.tally.sent = self.tally.sent.saturating_sub(counted as u64);
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
        let step = self.players.get(index).map(|player| format!("; {}", player.awaited()));
        self.fail(index, Failure::Timeout, || {
            format!("no answer within {limit:?}{}", step.unwrap_or_default())
        });
    }

    /// Looks for what is overdue.
    pub(super) fn check(&mut self) {
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
}
