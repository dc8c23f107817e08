//! The result for a person: aligned lines, what they mean in words, and what can be done about
//! errors.

use std::fmt::Write;

use crate::load::{Ended, Expect, Failure, Mode, Report, Times};

/// The width of the first column.
const NAMES: usize = 12;

/// The table.
pub(super) fn of(report: &Report) -> String {
    let mut table = Table(format!("{}: {}", report.server, what(report)));
    table.end_of(report);
    table.row("time", &format!("{:.3} s", report.elapsed.as_secs_f64()));
    if report.mode == Mode::Idle {
        let (open, most) = (grouped(report.open as u64), grouped(report.most_open as u64));
        table.row("open", &format!("{open} at the end, {most} at most"));
    } else {
        table.messages(report);
        table.throughput(report);
    }
    if report.mode != Mode::Bulk && report.mode != Mode::Idle {
        table.times("latency", report.latency);
    }
    if matches!(report.mode, Mode::Churn | Mode::Idle) {
        table.times("connect", report.connect);
    }
    table.own(report);
    table.errors(report);
    table.0
}

fn what(report: &Report) -> String {
    let connections = count(report.connections, "connection");
    let bytes = count(report.message_bytes, "byte");
    if let Some(file) = &report.dialogue {
        let rate = report.rate.map_or(String::new(), |rate| format!(", {rate} a second in all"));
        let anew = if report.mode == Mode::Churn { ", a new one each time" } else { "" };
        return format!("{connections}{anew}, once through {file} is a message{rate}");
    }
    match report.mode {
        Mode::Exchange => {
            let rate =
                report.rate.map_or(String::new(), |rate| format!(", {rate} a second in all"));
            let depth = report.depth;
            let plural = if depth == 1 { "" } else { "s" };
            format!("{connections}, {depth} message{plural} of {bytes} in flight on each{rate}")
        }
        Mode::Churn => {
            let rate =
                report.rate.map_or(String::new(), |rate| format!(", {rate} a second in all"));
            format!("a connection for each message of {bytes}, {connections} at a time{rate}")
        }
        Mode::Bulk => format!("{connections} at full speed, in messages of {bytes}"),
        Mode::Idle => format!("{connections} that stay open"),
    }
}

/// The lines so far.
struct Table(String);

impl Table {
    fn row(&mut self, name: &str, value: &str) {
        // A string takes everything.
        let _ = write!(self.0, "\n{name:<NAMES$}{value}");
    }

    fn end_of(&mut self, report: &Report) {
        match report.ended {
            Ended::InOrder => {}
            Ended::Interrupted => self.row("ended", "early, by a signal"),
            Ended::GaveUp => {
                self.row("ended", "early: the server cannot be reached, or does not answer");
            }
        }
    }

    fn messages(&mut self, report: &Report) {
        let mut text = format!("{} sent", grouped(report.sent));
        if !report.is_one_way() {
            let _ = write!(text, ", {} answered", grouped(report.answered));
        }
        for (number, what) in [
            (report.lost, "lost"),
            (report.late, "late"),
            (report.unanswered, "cut off by an error"),
            (if report.is_one_way() { 0 } else { report.unfinished }, "without an answer yet"),
        ] {
            if number > 0 {
                let _ = write!(text, ", {} {what}", grouped(number));
            }
        }
        self.row("messages", &text);
        if let Some(due) = report.due {
            let unsent = match report.unsent {
                0 => "all of them left".to_owned(),
                unsent => format!(
                    "{} never left, as all connections awaited answers: -c and --depth allow more",
                    grouped(unsent)
                ),
            };
            self.row("schedule", &format!("{} due, {unsent}", grouped(due)));
        }
        if !report.is_one_way() {
            self.row("answers", &checked(report));
        }
        if let Some(broken) = &report.first_broken {
            self.row("", &format!("the first wrong one, {}: {}", broken.place, broken.step));
            broken.difference.lines().for_each(|line| self.row("", line));
        }
        if let Some(wrong) = &report.first_wrong {
            self.row("", &format!("the first wrong one, at byte {}:", wrong.at));
            self.row("", &format!("expected \"{}\"", wrong.expected));
            self.row("", &format!("got      \"{}\"", wrong.got));
            if wrong.expected.eq_ignore_ascii_case(&wrong.got) {
                self.row("", "they differ in upper and lower case only: --expect upper, or echo?");
            }
        }
    }

    fn throughput(&mut self, report: &Report) {
        let sent = report.mib_sent_per_second();
        let received = report.mib_received_per_second();
        let messages = grouped(rounded(report.messages_per_second()));
        let bytes = format!("{sent:.2} MiB/s out, {received:.2} MiB/s in");
        match report.mode {
            Mode::Bulk => self.row("throughput", &bytes),
            Mode::Churn => self.row("throughput", &format!("{messages} connections/s, {bytes}")),
            _ => self.row("throughput", &format!("{messages} messages/s, {bytes}")),
        }
    }

    fn times(&mut self, name: &str, times: Option<Times>) {
        let Some(times) = times else { return };
        let columns = [
            ("p50", times.p50),
            ("p90", times.p90),
            ("p99", times.p99),
            ("p99.9", times.p99_9),
            ("max", times.max),
            ("mean", rounded(times.mean)),
        ];
        let mut heads = String::new();
        let mut values = String::new();
        for (head, time) in columns {
            let _ = write!(heads, "{head:>10}");
            let _ = write!(values, "{:>10}", short(time));
        }
        self.row(name, &heads);
        self.row("", &values);
    }

    fn own(&mut self, report: &Report) {
        let seconds = report.elapsed.as_secs_f64();
        if seconds == 0.0 {
            return;
        }
        let share = 100.0 * report.cpu.as_secs_f64() / seconds;
        let each = report.cpu_micros_per_message();
        let each = each.map_or(String::new(), |micros| format!("{micros:.2} µs a message, "));
        self.row("own CPU", &format!("{each}{share:.0} % of a core"));
    }

    fn errors(&mut self, report: &Report) {
        if report.failures.total() == 0 {
            self.row("errors", "none");
        }
        for (failure, number, words) in report.failures.seen() {
            let plural = if number == 1 { "" } else { "s" };
            self.row("errors", &format!("{} time{plural} {words}", grouped(number)));
            // What helps with messages is not what a dialogue needs.
            let answers = matches!(failure, Failure::Timeout | Failure::Unasked | Failure::Closed);
            let hint = hint(failure, report.mode);
            if let Some(hint) = hint.filter(|_| !(answers && report.dialogue.is_some())) {
                self.row("", hint);
            }
        }
        if report.failures.total() == 0 && !report.is_clean() && report.wrong == 0 {
            self.row(
                "",
                "no message was answered; is this its port, and --framing what it speaks?",
            );
        }
    }
}

fn checked(report: &Report) -> String {
    let wrong = match report.wrong {
        0 => String::new(),
        wrong => format!("{} WRONG; ", grouped(wrong)),
    };
    let held = match report.expect {
        _ if report.dialogue.is_some() => "held against the dialogue",
        Expect::Upper => "held against the message in upper case",
        Expect::Echo => "held against the message",
        Expect::Any if report.expect_chosen => {
            "not checked: the first was neither the message nor that in upper case"
        }
        Expect::Any => "not checked",
        Expect::Auto => "there were none",
    };
    wrong + held
}

/// Why no connection could be had at all, in one line, if that is so.
pub(super) fn why_nothing(report: &Report) -> Option<String> {
    if report.ended != Ended::GaveUp || report.opened > 0 {
        return None;
    }
    let (failure, _, words) = report.failures.seen().next()?;
    let hint = hint(failure, report.mode).map_or(String::new(), |hint| format!("; {hint}"));
    Some(format!("{}: {words}{hint}", report.server))
}

/// What a person can do about it.
fn hint(failure: Failure, mode: Mode) -> Option<&'static str> {
    Some(match failure {
        Failure::Timeout if mode == Mode::Bulk => "if the server gives no answers: --expect none",
        Failure::Refused => "is the server running, and is this its port?",
        Failure::Closed => "the server may close after a message (--mode churn), or have a limit",
        Failure::Timeout => {
            "if the server waits for the end of a line: --framing line; if it is slow: --timeout"
        }
        Failure::ConnectTimeout => "its backlog may be full: fewer --connections, or --timeout",
        Failure::Unasked => {
            "if answers are not as long as messages: --framing line, or another framing"
        }
        Failure::Framing => "--framing has to fit the answers; ,max=SIZE allows longer ones",
        Failure::Exhausted => "local ports or descriptors are used up: fewer --connections",
        Failure::NoSocket => "is the server running, is this its path, and may you open it?",
        Failure::Reset | Failure::Unreachable | Failure::Other => return None,
    })
}

/// `1 connection`, `2 connections`.
fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(number as u64))
}

/// A rate without its fraction.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate")]
pub(super) fn rounded(rate: f64) -> u64 {
    rate.round() as u64
}

/// A number in groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time of so many nanoseconds, in three or four digits.
#[expect(clippy::cast_precision_loss, reason = "it is shown in four digits")]
fn short(nanos: u64) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    let time = nanos as f64;
    let (size, unit) = units.into_iter().find(|(size, _)| time >= *size).unwrap_or((1.0, "ns"));
    let value = time / size;
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn times_have_a_fitting_unit() {
        for (nanos, text) in [
            (1, "1.00 ns"),
            (999, "999 ns"),
            (1000, "1.00 µs"),
            (45_678, "45.7 µs"),
            (1_234_567, "1.23 ms"),
            (61_000_000_000, "61.0 s"),
        ] {
            assert_eq!(short(nanos), text);
        }
    }
}
