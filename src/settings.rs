//! What the server is told to do: typed and validated, with the documented defaults.
//!
//! No I/O and no command line here: `cli` says where a value comes from, `net` and the server use
//! it.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;

use crate::frame::Spec;
use crate::net::address::{Address, Listen};

/// The port that the server listens on where nothing else is said.
pub const DEFAULT_PORT: u16 = 7890;

/// The longest duration taken: far beyond any use, and far from overflow in sums of instants.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The largest size taken: 1 TiB.
const LARGEST: u64 = 1 << 40;

/// The least memory that a Lua VM and a small handler can work in.
const LEAST_MEMORY: usize = 1 << 20;

/// More messages than anybody would have answered anew at every save.
const MOST_SHADOWS: usize = 100_000;

/// More threads than any machine has cores are a slip of the finger.
const MOST_WORKERS: usize = 1024;

/// Everything that the server has to know, from the command line or from a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The handler.
    pub script: Script,
    /// The listeners to bind, none is allowed.
    pub listen: Vec<Listen>,
    /// Worker threads, a Lua VM each.
    pub workers: NonZeroUsize,
    /// Open stream connections, over all workers.
    pub max_conns: usize,
    /// Known datagram peers, over all workers.
    pub max_peers: usize,
    /// How long a stream connection may be silent; `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// How long one blocked send may last.
    pub send_timeout: Duration,
    /// How received bytes become messages, whatever the script says.
    pub framing: Option<Spec>,
    /// Bytes of the largest framed message.
    pub max_message: usize,
    /// CPU time that one handler call may take without waiting.
    pub budget: Duration,
    /// Bytes that one Lua VM may use.
    pub memory: usize,
    /// Connections that the kernel holds before they are accepted.
    pub backlog: u32,
    /// How changes of the script are noticed.
    pub watch: Watch,
    /// The connection after a handler error.
    pub on_error: OnError,
    /// Stop in order after the first connection has closed.
    pub once: bool,
    /// Messages in the log as a hex dump.
    pub hex: bool,
    /// Dialogues, and folders of them, that must pass before a script goes live.
    pub gate: Vec<PathBuf>,
    /// Messages that are kept to be answered anew by the next version of the script; 0 is none.
    pub shadow: usize,
    /// What happens is recorded in this file.
    pub record: Option<PathBuf>,
}

/// Which handler to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// `scripts/handler.lua`, the built-in one while that does not exist.
    Default,
    /// The one that was asked for; it must exist.
    Named(PathBuf),
}

/// How changes of the script are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// The system tells; polling where that cannot work.
    Native,
    /// The files are read now and then.
    Poll,
    /// Only SIGHUP reloads.
    Off,
}

/// What becomes of a connection after an error of its handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// It stays open.
    Keep,
    /// It is closed.
    Close,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            script: Script::Default,
            listen: default_listeners(),
            workers: NonZeroUsize::MIN,
            max_conns: 10_000,
            max_peers: 10_000,
            idle_timeout: None,
            send_timeout: Duration::from_secs(30),
            framing: None,
            max_message: 1 << 20,
            budget: Duration::from_millis(100),
            memory: 256 << 20,
            backlog: 1024,
            watch: Watch::Native,
            on_error: OnError::Keep,
            once: false,
            hex: false,
            gate: Vec::new(),
            shadow: 0,
            record: None,
        }
    }
}

/// TCP and UDP on the loopback address and the default port.
#[must_use]
pub fn default_listeners() -> Vec<Listen> {
    Address::both(DEFAULT_PORT).map(|address| Listen { name: None, address }).into()
}

/// A value that cannot be taken; the text says what was expected. Whoever reports it names the
/// value and the option.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadValue(String);

impl BadValue {
    fn new(text: impl Into<String>) -> Self {
        BadValue(text.into())
    }
}

/// A duration with its unit, above zero: `500ms`, `30s`, `1h 30m`.
///
/// # Errors
/// When the unit is missing, and for zero, nonsense and more than ten years.
pub fn parse_duration(text: &str) -> Result<Duration, BadValue> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(BadValue::new("give a unit, for example 30s"));
    }
    let duration = humantime::parse_duration(text)
        .map_err(|_| BadValue::new("expected a duration, for example 500ms or 30s"))?;
    if duration.is_zero() {
        return Err(BadValue::new("expected a duration above zero, for example 500ms or 30s"));
    }
    if duration > LONGEST {
        return Err(BadValue::new("expected a duration of ten years at most"));
    }
    Ok(duration)
}

/// A duration like [`parse_duration`], or `off`.
///
/// # Errors
/// As [`parse_duration`].
pub fn parse_timeout(text: &str) -> Result<Option<Duration>, BadValue> {
    match text.trim() {
        "off" => Ok(None),
        text => match parse_duration(text) {
            Ok(duration) => Ok(Some(duration)),
            Err(BadValue(why)) => Err(BadValue(format!("{why}, or off"))),
        },
    }
}

/// A size above zero, in bytes or with a unit: `65536`, `64k` (64,000), `64KiB`, `1MiB`.
///
/// # Errors
/// For zero, nonsense and more than 1 TiB.
pub fn parse_size(text: &str) -> Result<usize, BadValue> {
    let bad = || BadValue::new("expected a size, for example 65536, 64KiB or 1MiB");
    let ByteSize(bytes) = text.trim().parse().map_err(|_| bad())?;
    if bytes == 0 {
        return Err(BadValue::new("expected a size above zero, for example 64KiB or 1MiB"));
    }
    if bytes > LARGEST {
        return Err(BadValue::new("expected a size of 1TiB at most"));
    }
    usize::try_from(bytes).map_err(|_| bad())
}

/// A size that a Lua VM can live in.
///
/// # Errors
/// As [`parse_size`], and below 1 MiB.
pub fn parse_memory(text: &str) -> Result<usize, BadValue> {
    match parse_size(text)? {
        bytes if bytes < LEAST_MEMORY => Err(BadValue::new("expected 1MiB or more")),
        bytes => Ok(bytes),
    }
}

/// A whole number from 1 up.
///
/// # Errors
/// For anything else.
pub fn parse_count(text: &str) -> Result<usize, BadValue> {
    match text.trim().parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(BadValue::new("expected a whole number from 1 up")),
    }
}

/// How many messages are kept: 0 to 100,000.
///
/// # Errors
/// For anything else.
pub fn parse_shadow(text: &str) -> Result<usize, BadValue> {
    match text.trim().parse() {
        Ok(count) if count <= MOST_SHADOWS => Ok(count),
        _ => Err(BadValue(format!("expected a number of messages, from 0 to {MOST_SHADOWS}"))),
    }
}

/// A whole number from 1 to `most`.
///
/// # Errors
/// For anything else.
pub fn parse_up_to(text: &str, most: usize) -> Result<usize, BadValue> {
    match text.trim().parse() {
        Ok(count) if (1..=most).contains(&count) => Ok(count),
        _ => Err(BadValue(format!("expected a number from 1 to {most}"))),
    }
}

/// A backlog: a whole number from 1 up that a `listen` call can take.
///
/// # Errors
/// For anything else.
pub fn parse_backlog(text: &str) -> Result<u32, BadValue> {
    match text.trim().parse() {
        Ok(count) if (1..=i32::MAX.unsigned_abs()).contains(&count) => Ok(count),
        _ => Err(BadValue(format!("expected a whole number from 1 to {}", i32::MAX))),
    }
}

/// A number of workers, or `auto` for `cores` of them.
///
/// # Errors
/// For anything but 1 to 1024.
pub fn parse_workers(text: &str, cores: NonZeroUsize) -> Result<NonZeroUsize, BadValue> {
    if text.trim() == "auto" {
        return Ok(cores);
    }
    match text.trim().parse::<NonZeroUsize>() {
        Ok(count) if count.get() <= MOST_WORKERS => Ok(count),
        _ => Err(BadValue(format!("expected a number from 1 to {MOST_WORKERS}, or auto"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T: std::fmt::Debug>(result: Result<T, BadValue>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn durations_take_units() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration(" 30s "), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("1h 30m"), Ok(Duration::from_secs(5400)));
    }

    #[test]
    fn a_bare_number_is_no_duration() {
        for text in ["5", "0", "1.5"] {
            assert_eq!(refusal(parse_duration(text)), "give a unit, for example 30s");
        }
    }

    #[test]
    fn other_bad_durations_say_what_was_expected() {
        for text in ["", "soon", "-5s", "5 parsecs", "s"] {
            let why = refusal(parse_duration(text));
            assert_eq!(why, "expected a duration, for example 500ms or 30s", "{text}");
        }
        assert!(refusal(parse_duration("0s")).contains("above zero"));
        assert!(refusal(parse_duration("9999y")).contains("ten years at most"));
    }

    #[test]
    fn a_timeout_may_be_off() {
        assert_eq!(parse_timeout("off"), Ok(None));
        assert_eq!(parse_timeout("2s"), Ok(Some(Duration::from_secs(2))));
        assert_eq!(refusal(parse_timeout("2")), "give a unit, for example 30s, or off");
    }

    #[test]
    fn sizes_take_units() {
        assert_eq!(parse_size("65536"), Ok(65536));
        assert_eq!(parse_size("64k"), Ok(64_000));
        assert_eq!(parse_size("64KiB"), Ok(65536));
        assert_eq!(parse_size("1MiB"), Ok(1 << 20));
        assert_eq!(parse_size("1.5 GiB"), Ok(3 << 29));
    }

    #[test]
    fn bad_sizes_say_what_was_expected() {
        for text in ["", "big", "-1", "1 mile", "k"] {
            let why = refusal(parse_size(text));
            assert_eq!(why, "expected a size, for example 65536, 64KiB or 1MiB", "{text}");
        }
        assert!(refusal(parse_size("0")).contains("above zero"));
        assert!(refusal(parse_size("2TiB")).contains("1TiB at most"));
        assert!(parse_size("99999999999999999999").is_err());
    }

    #[test]
    fn a_vm_needs_some_memory() {
        assert_eq!(parse_memory("1MiB"), Ok(1 << 20));
        assert_eq!(refusal(parse_memory("64k")), "expected 1MiB or more");
    }

    #[test]
    fn counts_begin_at_one() {
        assert_eq!(parse_count("10000"), Ok(10_000));
        assert_eq!(parse_backlog("1"), Ok(1));
        for text in ["0", "-1", "many", "", "1.5"] {
            assert_eq!(refusal(parse_count(text)), "expected a whole number from 1 up");
            assert!(refusal(parse_backlog(text)).contains("from 1 to 2147483647"));
        }
        assert!(parse_backlog("2147483648").is_err());
    }

    #[test]
    fn workers_are_a_number_or_the_cores() {
        let cores = NonZeroUsize::new(6).unwrap();
        assert_eq!(parse_workers("auto", cores), Ok(cores));
        assert_eq!(parse_workers("2", cores).unwrap().get(), 2);
        for text in ["0", "1025", "all"] {
            assert!(refusal(parse_workers(text, cores)).contains("from 1 to 1024, or auto"));
        }
    }
}
