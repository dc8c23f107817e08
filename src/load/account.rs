//! What the engine tells: how it goes, and the result.

use std::time::Duration;

use super::engine::{Engine, MILLISECOND, Stage, cpu_time};
use super::exchange::Expect;
use super::report::{Ended, Glance, Report};
use super::schedule::Schedule;
use super::tally::Failures;

/// How often glances are given.
const GLANCE: u64 = 500 * MILLISECOND;

/// Waits of messages that never left which are recorded one by one; of more, each stands for some.
const MOST_WAITS: u64 = 1_000_000;

impl Engine<'_> {
    /// Shows how it goes, now and then.
    pub(super) fn give_glance(&mut self, watch: &mut dyn FnMut(&Glance)) {
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

    /// The result.
    pub(super) fn report(mut self, ended: Ended) -> Report {
        let measured = self.is_measuring;
        let in_time = self.now.min(self.ends_at);
        let end = match ended {
            // The wait for a last answer that never came does not count.
            Ended::InOrder
                if self.plan.count.is_some()
                    && self.now < self.ends_at
                    && self.tally.answered > 0 =>
            {
                self.last_answer
            }
            Ended::InOrder => in_time.max(self.last_answer),
            _ => self.now,
        };
        let elapsed = if measured { end.saturating_sub(self.measure_from) } else { 0 };
        let due = self.schedule.filter(|_| measured).map(|schedule| {
            let end = schedule.due_before(in_time).min(self.last_number);
            self.record_waits(schedule, end, in_time);
            end.saturating_sub(self.first_number)
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
            dialogue: self.plan.dialogue.as_ref().map(|client| client.file.clone()),
            first_broken: None,
            lost: 0,
            late: 0,
            unanswered: 0,
            opened: 0,
            failures: Failures::default(),
        };
        report.take(self.tally);
        report
    }
    /// Messages before `end` that never left have waited until `now`, at least: without them a
    /// server that stands still at the end would look as fast as before.
    fn record_waits(&mut self, schedule: Schedule, end: u64, now: u64) {
        let begin = self.issued.max(self.first_number);
        let each = (end.saturating_sub(begin) / MOST_WAITS).max(1);
        let mut number = begin;
        while number < end {
            let count = each.min(end - number);
            self.tally.wait(schedule.due(number), now, count);
            number += count;
        }
    }
}
