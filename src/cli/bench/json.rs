//! The result as one JSON object. Names carry their units, and stay; what was not measured is null.

use serde_json::{Map, Value, json};

use crate::load::{Report, Times};

/// The object, on one line.
pub(super) fn of(report: &Report) -> String {
    let failures: Map<_, _> = report
        .failures
        .seen()
        .map(|(failure, count, _)| (failure.name().to_owned(), count.into()))
        .collect();
    let first_wrong = report
        .first_wrong
        .as_ref()
        .map(|wrong| json!({ "at_byte": wrong.at, "expected": wrong.expected, "got": wrong.got }));
    let first_departure = report.first_broken.as_ref().map(|broken| {
        json!({ "at": broken.place, "step": broken.step, "difference": broken.difference })
    });
    json!({
        "url": report.server,
        "mode": report.mode.name(),
        "connections": report.connections,
        "depth": report.depth,
        "dialogue": report.dialogue,
        "message_bytes": report.dialogue.is_none().then_some(report.message_bytes),
        "rate_per_second": report.rate,
        "expect": if report.dialogue.is_some() { "dialogue" } else { report.expect.name() },
        "ended": report.ended.name(),
        "ok": report.is_clean(),
        "elapsed_seconds": report.elapsed.as_secs_f64(),
        "messages_due": report.due,
        "messages_sent": report.sent,
        "messages_unsent": report.unsent,
        "messages_answered": report.answered,
        "messages_unanswered": report.unanswered,
        "messages_unfinished": report.unfinished,
        "messages_lost": report.lost,
        "answers_late": report.late,
        "answers_wrong": report.wrong,
        "first_wrong": first_wrong,
        "first_departure": first_departure,
        "messages_per_second": report.messages_per_second(),
        "bytes_sent": report.bytes_sent,
        "bytes_received": report.bytes_received,
        "sent_mib_per_second": report.mib_sent_per_second(),
        "received_mib_per_second": report.mib_received_per_second(),
        "latency_microseconds": times(report.latency),
        "connect_microseconds": times(report.connect),
        "connections_opened": report.opened,
        "connections_open_at_most": report.most_open,
        "connections_open_at_end": report.open,
        "errors": failures,
        "errors_total": report.failures.total(),
        "cpu_seconds": report.cpu.as_secs_f64(),
        "cpu_microseconds_per_message": report.cpu_micros_per_message(),
    })
    .to_string()
}

fn times(times: Option<Times>) -> Value {
    times.map_or(Value::Null, |times| {
        let micros = |nanos: u64| times_in_micros(nanos);
        json!({
            "count": times.count,
            "p50": micros(times.p50),
            "p90": micros(times.p90),
            "p99": micros(times.p99),
            "p99_9": micros(times.p99_9),
            "max": micros(times.max),
            "mean": times.mean / 1000.0,
        })
    })
}

#[expect(clippy::cast_precision_loss, reason = "times are kept to three digits")]
fn times_in_micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}
