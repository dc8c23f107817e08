//! The log on standard error: levels, the text and JSON formats. What is logged, and when, is for
//! those who log it; spans are not shown.

use std::fmt::{self, Debug, Write};
use std::io::{self, IsTerminal};

use clap::ValueEnum;
pub use tracing::Level;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use super::output::Output;
use crate::text::write_char;

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// The least important level that is shown.
    pub level: Level,
    /// How a line is written.
    pub format: Format,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// Sends the process's log to standard error, with colour on a terminal unless `NO_COLOR` is set.
/// Only the first call counts.
pub fn start(options: LogOptions) {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = io::stderr().is_terminal() && !no_colour;
    let output = Output::new(io::stderr());
    let writer = move || output.clone();
    let _ = tracing::subscriber::set_global_default(subscriber(options, colour, writer));
}

fn subscriber<W>(options: LogOptions, colour: bool, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // Libraries are heard from where something is wrong, not when they are chatting.
    let libraries = options.level.min(Level::WARN);
    let targets =
        Targets::new().with_default(libraries).with_target(env!("CARGO_CRATE_NAME"), options.level);
    let base = layer().with_writer(writer).with_ansi(colour);
    let lines = match options.format {
        Format::Text => base.event_format(Text).boxed(),
        Format::Json => base.json().flatten_event(true).with_target(false).boxed(),
    };
    tracing_subscriber::registry().with(targets).with(lines)
}

/// `TIME LEVEL message field=value ...`. Where a message has more lines, they follow indented, so
/// that none of them can pass for a log line of its own.
struct Text;

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        let colour = out.has_ansi_escapes().then(|| colour_of(level));
        let mut parts = Parts::default();
        event.record(&mut parts);

        SystemTime.format_time(&mut out)?;
        match colour {
            Some(colour) => write!(out, " \x1b[{colour}m{level:>5}\x1b[0m ")?,
            None => write!(out, " {level:>5} ")?,
        }
        let (first, rest) = parts.message.split_once('\n').unwrap_or((&parts.message, ""));
        write_line(&mut out, first)?;
        out.write_str(&parts.fields)?;
        for line in rest.lines() {
            out.write_str("\n  ")?;
            write_line(&mut out, line)?;
        }
        out.write_char('\n')
    }
}

/// The terminal's colour of a level.
fn colour_of(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

/// One line without control characters, but for tabs: source excerpts have them.
fn write_line(out: &mut impl Write, line: &str) -> fmt::Result {
    line.chars().try_for_each(|c| if c == '\t' { out.write_char(c) } else { write_char(out, c) })
}

/// An event's message, and its other fields as ` name=value` each.
#[derive(Default)]
struct Parts {
    message: String,
    fields: String,
}

impl Parts {
    /// Quotes a value where it would not be told from its neighbours.
    fn push(&mut self, name: &str, value: &str) {
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '"' && c != '=';
        // Writing to a string cannot fail.
        let _ = write!(self.fields, " {name}=");
        if !value.is_empty() && value.chars().all(plain) {
            self.fields.push_str(value);
            return;
        }
        self.fields.push('"');
        for c in value.chars() {
            if c == '"' || c == '\\' {
                self.fields.push('\\');
            }
            let _ = write_char(&mut self.fields, c);
        }
        self.fields.push('"');
    }
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.push(field.name(), value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What a log of this kind says about the events.
    fn logged(level: Level, format: Format, colour: bool, events: impl FnOnce()) -> String {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Sink(Arc::clone(&bytes));
        let options = LogOptions { level, format };
        let subscriber = subscriber(options, colour, move || sink.clone());
        tracing::subscriber::with_default(subscriber, events);
        String::from_utf8(bytes.lock().unwrap().clone()).unwrap()
    }

    #[derive(Clone)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A text log at INFO, each line without its time.
    fn text(events: impl FnOnce()) -> String {
        let log = logged(Level::INFO, Format::Text, false, events);
        log.split_once(' ').map(|(_, rest)| rest.to_owned()).unwrap()
    }

    #[test]
    fn a_line_is_time_level_message_and_fields() {
        let line = logged(Level::INFO, Format::Text, false, || {
            tracing::info!(generation = 3, script = %"a.lua", "generation 3 is live");
        });
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
        assert!(time.ends_with('Z'), "{time}");
        assert_eq!(rest, " INFO generation 3 is live generation=3 script=a.lua\n");
    }

    #[test]
    fn values_are_quoted_where_they_must_be() {
        let line = text(|| {
            tracing::warn!(reason = "too long", conn = %"conn 3 tcp", hash = "ab12", empty = "", "x");
        });
        assert_eq!(line, " WARN x reason=\"too long\" conn=\"conn 3 tcp\" hash=ab12 empty=\"\"\n");
        let line = text(|| tracing::info!(msg = "say \"a\\b\"\n\x1b", "x"));
        assert_eq!(line, " INFO x msg=\"say \\\"a\\\\b\\\"\\n\\x1b\"\n");
    }

    #[test]
    fn further_lines_are_indented_and_controls_escaped() {
        let line = text(|| tracing::error!(n = 1, "first\nsecond\n\tthird \x1b[2J\r\n"));
        assert_eq!(line, "ERROR first n=1\n  second\n  \tthird \\x1b[2J\n");
        let line = text(|| tracing::error!("信息 \u{9b}x"));
        assert_eq!(line, "ERROR 信息 \\xc2\\x9bx\n");
    }

    #[test]
    fn levels_are_for_our_own_crate() {
        let events = || {
            tracing::error!("e");
            tracing::info!("i");
            tracing::debug!("d");
            tracing::trace!("t");
            tracing::info!(target: "library", "li");
            tracing::warn!(target: "library", "lw");
        };
        let shown = |level| -> Vec<String> {
            let log = logged(level, Format::Text, false, events);
            log.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
        };
        assert_eq!(shown(Level::ERROR), ["e"]);
        assert_eq!(shown(Level::INFO), ["e", "i", "lw"]);
        assert_eq!(shown(Level::DEBUG), ["e", "i", "d", "lw"]);
        assert_eq!(shown(Level::TRACE), ["e", "i", "d", "t", "lw"]);
    }

    #[test]
    fn colour_is_for_terminals() {
        let event = || tracing::warn!("x");
        let plain = logged(Level::INFO, Format::Text, false, event);
        assert!(!plain.contains('\x1b'));
        let coloured = logged(Level::INFO, Format::Text, true, event);
        assert!(coloured.contains("\x1b[33m WARN\x1b[0m x\n"), "{coloured:?}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let line = logged(Level::INFO, Format::Json, false, || {
            tracing::info!(generation = 3, "two\nlines \x1b");
        });
        assert_eq!(line.lines().count(), 1);
        assert!(line.starts_with("{\"timestamp\":\""), "{line}");
        for part in
            ["\"level\":\"INFO\"", "\"message\":\"two\\nlines \\u001b\"", "\"generation\":3"]
        {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }
}
