//! The results of dialogues as XML in the form of `JUnit`, as build servers read it: a `testcase`
//! each (<https://github.com/testmoapp/junitxml>).

use std::fmt::Write;
use std::time::Duration;

use super::report::described;
use crate::simulation::suite::Verdict;

/// The whole document; `failed` of the verdicts are failures.
pub(super) fn document(verdicts: &[Verdict], failed: usize, took: Duration) -> String {
    let counts = format!(
        "tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\" time=\"{:.3}\"",
        verdicts.len(),
        took.as_secs_f64()
    );
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites {counts}>\n<testsuite name=\"dialogues\" {counts}>\n"
    );
    for verdict in verdicts {
        case(&mut text, verdict);
    }
    text + "</testsuite>\n</testsuites>\n"
}

fn case(text: &mut String, verdict: &Verdict) {
    let name = escaped(&verdict.file);
    let took = verdict.took.as_secs_f64();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "<testcase classname=\"dialogues\" name=\"{name}\" file=\"{name}\" time=\"{took:.3}\""
    );
    let Some(trouble) = &verdict.trouble else {
        *text += "/>\n";
        return;
    };
    let first = escaped(trouble.text.lines().next().unwrap_or_default());
    let whole = escaped(&described(trouble));
    let _ = write!(text, ">\n<failure message=\"{first}\">\n{whole}</failure>\n</testcase>\n");
}

/// A text as XML has it; characters that XML cannot hold are replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '"' => escaped += "&quot;",
            '\n' | '\t' => escaped.push(letter),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(letter),
        }
    }
    escaped
}
