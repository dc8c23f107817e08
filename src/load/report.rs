//! The result of a load, in numbers. How it is shown is for others.

use std::time::Duration;

use super::exchange::{Expect, Wrong};
use super::plan::Mode;
use super::player::Broken;
use super::tally::{Failures, Tally, Times};

/// The result.
#[derive(Debug, Clone)]
pub struct Report {
    /// The server, its name resolved.
    pub server: String,
    /// What the connections did.
    pub mode: Mode,
    /// Connections at a time that were asked for.
    pub connections: usize,
    /// Messages in flight on each.
    pub depth: usize,
    /// Bytes of a message on the wire.
    pub message_bytes: usize,
    /// Messages a second that were asked for.
    pub rate: Option<u64>,
    /// What answers were held against.
    pub expect: Expect,
    /// Whether what answers must be was left to the first one.
    pub expect_chosen: bool,
    /// What was measured, from the begin to the end or the last answer.
    pub elapsed: Duration,
    /// CPU time of this program in it.
    pub cpu: Duration,
    /// Why it ended.
    pub ended: Ended,
    /// Connections that were open when it ended.
    pub open: usize,
    /// The most that were open at a time.
    pub most_open: usize,
    /// Messages that were due by the rate.
    pub due: Option<u64>,
    /// Messages that were due by the rate and did not leave before the end.
    pub unsent: u64,
    /// Messages that had no answer yet when it was interrupted.
    pub unfinished: u64,
    /// Times of answers.
    pub latency: Option<Times>,
    /// Times of connecting.
    pub connect: Option<Times>,
    /// Messages sent.
    pub sent: u64,
    /// Messages answered.
    pub answered: u64,
    /// Bytes that left.
    pub bytes_sent: u64,
    /// Bytes that came.
    pub bytes_received: u64,
    /// Wrong answers.
    pub wrong: u64,
    /// The first of them.
    pub first_wrong: Option<Wrong>,
    /// The dialogue that was played; its rounds are the messages.
    pub dialogue: Option<String>,
    /// The first departure from it.
    pub first_broken: Option<Broken>,
    /// Datagrams that were not answered in time.
    pub lost: u64,
    /// Answers to datagrams that had been given up.
    pub late: u64,
    /// Messages that had no answer when their connection failed.
    pub unanswered: u64,
    /// Connections that were opened, in churn within the measured time.
    pub opened: u64,
    /// Failed connections, by kind.
    pub failures: Failures,
}

/// Why a load ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its time or its messages were over.
    InOrder,
    /// It was told to stop.
    Interrupted,
    /// No connection could be had for as long as an answer may take, or no answer for longer.
    GaveUp,
}

impl Ended {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InOrder => "in_order",
            Self::Interrupted => "interrupted",
            Self::GaveUp => "gave_up",
        }
    }
}

impl Report {
    /// Takes over what was counted.
    pub(super) fn take(&mut self, tally: Tally) {
        self.latency = Times::of(&tally.latency);
        self.connect = Times::of(&tally.connect);
        self.sent = tally.sent;
        self.answered = tally.answered;
        self.bytes_sent = tally.bytes_sent;
        self.bytes_received = tally.bytes_received;
        self.wrong = tally.wrong;
        self.first_wrong = tally.first_wrong;
        self.first_broken = tally.first_broken;
        self.lost = tally.lost;
        self.late = tally.late;
        self.unanswered = tally.unanswered;
        self.opened = tally.opened;
        self.failures = tally.failures;
    }

    /// Answers were not awaited, bytes just went out.
    #[must_use]
    pub fn is_one_way(&self) -> bool {
        self.mode == Mode::Bulk && self.expect == Expect::Any && !self.expect_chosen
    }

    /// Nothing failed, no answer was wrong, and some came where some were to. Datagrams may be
    /// lost, but not all.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let silent = self.most_open == 0 || self.sent > 0 && self.answered == 0;
        self.failures.total() == 0
            && self.wrong == 0
            && self.ended != Ended::GaveUp
            && (!silent || self.is_one_way())
    }

    /// Answers a second.
    #[must_use]
    pub fn messages_per_second(&self) -> f64 {
        per_second(self.answered, self.elapsed)
    }

    /// MiB a second that left.
    #[must_use]
    pub fn mib_sent_per_second(&self) -> f64 {
        mib(per_second(self.bytes_sent, self.elapsed))
    }

    /// MiB a second that came.
    #[must_use]
    pub fn mib_received_per_second(&self) -> f64 {
        mib(per_second(self.bytes_received, self.elapsed))
    }

    /// CPU time of this program a message, in microseconds.
    #[must_use]
    pub fn cpu_micros_per_message(&self) -> Option<f64> {
        let messages = if self.answered > 0 { self.answered } else { self.sent };
        (messages > 0).then(|| self.cpu.as_secs_f64() * 1e6 / exact(messages))
    }
}

/// What a person may watch while it runs.
#[derive(Debug, Clone, Copy)]
pub struct Glance {
    /// What is going on.
    pub stage: &'static str,
    /// Since the begin of the stage.
    pub elapsed: Duration,
    /// Since the last glance.
    pub since: Duration,
    /// Connections that are open.
    pub open: usize,
    /// Answers since the last glance.
    pub answers: u64,
    /// Bytes that came and left since the last glance.
    pub bytes: u64,
    /// Failures, lost datagrams and wrong answers so far.
    pub trouble: u64,
}

/// So many in that time, a second; none in no time.
#[must_use]
pub fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { exact(count) / time.as_secs_f64() }
}

/// Bytes as MiB.
#[must_use]
pub fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

/// A count as a number to divide.
#[expect(clippy::cast_precision_loss, reason = "of a figure with more than 15 digits")]
fn exact(count: u64) -> f64 {
    count as f64
}
