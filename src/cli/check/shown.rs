//! What `check` prints of a script: a line or its fault for people, one JSON object for editors.

use std::fmt::Write;

use humantime::format_duration;
use serde_json::{Value, json};

use super::super::failure::printable_lines;
use super::{Problem, Sound};
use crate::script::File;
use crate::text::Printable;

/// For people.
pub(super) fn text(checked: &Result<Sound, Problem>) -> String {
    match checked {
        Ok(sound) => {
            let script = sound.bundle.main().shown();
            format!("{}: ok: {}", Printable(script.as_bytes()), summary(sound))
        }
        Err(problem) => printable_lines(&problem.to_string()),
    }
}

/// What a script is, on one line.
fn summary(sound: &Sound) -> String {
    let found = &sound.found;
    let mut text = match found.callbacks.as_slice() {
        [] => "no callbacks".to_owned(),
        names => names.join(", "),
    };
    if !found.takes_input() {
        text.push_str(" (what arrives is ignored)");
    }
    // A String takes everything.
    let _ = write!(text, "; framing {}", found.framing);
    if found.reply_framing != found.framing {
        let _ = write!(text, ", replies {}", found.reply_framing);
    }
    if let Some(limit) = found.idle_timeout {
        let _ = write!(text, "; idle timeout {}", format_duration(limit));
    }
    match sound.bundle.files().count() {
        1 => {}
        files => _ = write!(text, "; {files} files"),
    }
    text
}

/// For editors. Names carry their units, and stay; what there is not is null.
pub(super) fn json(checked: &Result<Sound, Problem>) -> Value {
    match checked {
        Ok(Sound { found, bundle }) => json!({
            "script": bundle.main().shown(),
            "ok": true,
            "callbacks": found.callbacks,
            "framing": found.framing,
            "reply_framing": found.reply_framing,
            "idle_timeout_seconds": found.idle_timeout.map(|limit| limit.as_secs_f64()),
            "peer_timeout_seconds": found.peer_timeout.as_secs_f64(),
            "files": bundle.files().map(File::shown).collect::<Vec<_>>(),
            "fault": null,
        }),
        Err(problem) => json!({
            "script": problem.script(),
            "ok": false,
            "callbacks": null,
            "framing": null,
            "reply_framing": null,
            "idle_timeout_seconds": null,
            "peer_timeout_seconds": null,
            "files": null,
            "fault": fault(problem),
        }),
    }
}

fn fault(problem: &Problem) -> Value {
    let text = problem.to_string();
    let Problem::Faulty(fault) = problem else {
        return json!({
            "file": problem.script(),
            "line": null,
            "column": null,
            "message": text,
            "hint": null,
            "trace": [],
            "text": text,
        });
    };
    let (file, line) = fault.place().unzip();
    let trace = fault.trace().map(
        |passed| json!({ "file": passed.file, "line": passed.line, "function": passed.function }),
    );
    json!({
        "file": file.unwrap_or(problem.script()),
        "line": line,
        "column": fault.column(),
        "message": fault.why(),
        "hint": fault.hint(),
        "trace": trace.collect::<Vec<_>>(),
        "text": text,
    })
}
