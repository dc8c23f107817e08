//! The server's options: what was typed, and its way to `settings`. Doc comments are the help text.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::builder::{BoolishValueParser, PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args};

use super::log::{Format, Level, LogOptions};
use super::usage::UsageError;
use crate::frame::Spec;
use crate::net::address::Listen;
use crate::settings::{self, BadValue, OnError, Script, Settings, Watch};

const HANDLER: &str = "Handler";
const NETWORK: &str = "Network";
const LIMITS: &str = "Limits";
const LOGGING: &str = "Logging";

const LISTEN: &str = "Listen on tcp://HOST:PORT, udp://HOST:PORT, unix://PATH or unixgram://PATH; \
                      port 0 takes a free one, a bare port is TCP and UDP on loopback, none is no \
                      listener; repeatable [default: 7890]";

/// Not `Option<Duration>` by name, which clap would take for an option that may be absent.
type Timeout = Option<Duration>;

/// What was typed, value by value.
#[derive(Debug, Clone, Args)]
pub struct ServeOptions {
    /// The handler, a Lua file: looked up as given, then under scripts/, then among the built-in
    /// ones [default: scripts/handler.lua, else the built-in upper.lua]
    #[arg(short, long, value_name = "FILE", help_heading = HANDLER)]
    pub script: Option<PathBuf>,

    /// How received bytes become messages: raw, line, crlf, delimiter:TEXT, length:TYPE, fixed:N
    /// or netstring, each with ,max=SIZE if wanted [default: the script's, else raw]
    #[arg(short, long, value_name = "SPEC", value_parser = Spec::parse, help_heading = HANDLER)]
    pub framing: Option<Spec>,

    /// How changes of the script are noticed; poll stands in where native cannot work, with off
    /// only SIGHUP reloads
    #[arg(long, value_name = "native|poll|off", hide_possible_values = true, default_value = "native", value_parser = watch(), help_heading = HANDLER)]
    pub watch: Watch,

    /// A script goes live only if these dialogues pass with it, here and at every save; files, and
    /// folders of *.dialogue; repeatable
    #[arg(long, value_name = "PATH", help_heading = HANDLER)]
    pub gate: Vec<PathBuf>,

    /// Keep the last N messages, and say at every save which of their replies the new script
    /// changes; 0 is off
    #[arg(long, value_name = "N", default_value = "0", value_parser = settings::parse_shadow, help_heading = HANDLER)]
    pub shadow: usize,

    /// What becomes of a connection after a handler error
    #[arg(long, value_name = "keep|close", hide_possible_values = true, default_value = "keep", value_parser = on_error(), help_heading = HANDLER)]
    pub on_error: OnError,

    /// Worker threads, a Lua VM each; auto is one a core
    #[arg(short, long, value_name = "N|auto", default_value = "1", value_parser = workers, help_heading = HANDLER)]
    pub workers: NonZeroUsize,

    /// Where to listen.
    #[arg(short, long, value_name = "[NAME=]URL", help = LISTEN, help_heading = NETWORK)]
    pub listen: Vec<String>,

    /// Connections the kernel holds before they are accepted
    #[arg(long, value_name = "N", default_value = "1024", value_parser = settings::parse_backlog, help_heading = NETWORK)]
    pub backlog: u32,

    /// Close a stream connection that was silent for so long
    #[arg(short, long, value_name = "TIME|off", default_value = "off", value_parser = settings::parse_timeout, help_heading = NETWORK)]
    pub idle_timeout: Timeout,

    /// How long one blocked send may last
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = settings::parse_duration, help_heading = NETWORK)]
    pub send_timeout: Duration,

    /// Stop in order after the first connection has closed
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = NETWORK)]
    pub once: bool,

    /// Open stream connections in all; more wait in the backlog
    #[arg(short, long, value_name = "N", default_value = "10000", value_parser = settings::parse_count, help_heading = LIMITS)]
    pub max_conns: usize,

    /// Known datagram peers in all; a new one pushes the oldest out
    #[arg(long, value_name = "N", default_value = "10000", value_parser = settings::parse_count, help_heading = LIMITS)]
    pub max_peers: usize,

    /// Largest framed message
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = settings::parse_size, help_heading = LIMITS)]
    pub max_message: usize,

    /// CPU time one handler call may take without waiting
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = settings::parse_duration, help_heading = LIMITS)]
    pub budget: Duration,

    /// Memory of one Lua VM
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = settings::parse_memory, help_heading = LIMITS)]
    pub memory: usize,

    /// Log connections and messages; -vv internals too
    #[arg(short, long, action = ArgAction::Count, help_heading = LOGGING)]
    pub verbose: u8,

    /// Log errors only
    #[arg(short, long, value_parser = BoolishValueParser::new(), help_heading = LOGGING)]
    pub quiet: bool,

    /// Show messages in the log as a hex dump
    #[arg(short = 'x', long, value_parser = BoolishValueParser::new(), help_heading = LOGGING)]
    pub hex: bool,

    /// Record all that is said to the server and answered, as a dialogue; a file that holds
    /// something is not overwritten
    #[arg(long, value_name = "FILE", help_heading = LOGGING)]
    pub record: Option<PathBuf>,

    /// How log lines are written
    #[arg(long, value_name = "text|json", hide_possible_values = true, default_value = "text", help_heading = LOGGING)]
    pub log_format: Format,
}

impl ServeOptions {
    /// The settings these options mean.
    ///
    /// # Errors
    /// Where a listener cannot be read, and for options that contradict each other.
    pub fn settings(&self) -> Result<Settings, UsageError> {
        if self.quiet && self.verbose > 0 {
            return Err(UsageError::new("--quiet and --verbose contradict each other: give one"));
        }
        Ok(Settings {
            script: self.script.clone().map_or(Script::Default, Script::Named),
            listen: self.listeners()?,
            workers: self.workers,
            max_conns: self.max_conns,
            max_peers: self.max_peers,
            idle_timeout: self.idle_timeout,
            send_timeout: self.send_timeout,
            framing: self.framing()?,
            max_message: self.max_message,
            budget: self.budget,
            memory: self.memory,
            backlog: self.backlog,
            watch: self.watch,
            on_error: self.on_error,
            once: self.once,
            hex: self.hex,
            gate: self.gate.clone(),
            shadow: self.shadow,
            record: self.record()?,
        })
    }

    fn framing(&self) -> Result<Option<Spec>, UsageError> {
        refuse_impossible(self.framing.as_ref(), self.max_message)?;
        Ok(self.framing.clone())
    }

    fn record(&self) -> Result<Option<PathBuf>, UsageError> {
        if self.record.as_ref().is_some_and(|file| file.as_os_str() == "-") {
            return Err(UsageError::new(
                "invalid value '-' for '--record': standard output has the ready lines, give a file",
            ));
        }
        Ok(self.record.clone())
    }

    /// What is to be logged, and how.
    #[must_use]
    pub fn log(&self) -> LogOptions {
        let level = match self.verbose {
            _ if self.quiet => Level::ERROR,
            0 => Level::INFO,
            1 => Level::DEBUG,
            _ => Level::TRACE,
        };
        LogOptions { level, format: self.log_format }
    }

    /// Legal, but hardly what was meant: a line for each.
    #[must_use]
    pub fn oddities(&self) -> Vec<&'static str> {
        let mut odd = Vec::new();
        if self.once && self.listen.iter().any(|listen| listen == "none") {
            odd.push("--once never ends a server without listeners");
        }
        odd
    }

    /// Takes the one text of the environment variable apart; on the command line a comma belongs
    /// to a path.
    pub(super) fn split_listeners(&mut self) {
        let parts = self.listen.iter().flat_map(|text| text.split(','));
        self.listen = parts.map(|part| part.trim().to_owned()).collect();
    }

    /// As [`ServeOptions::split_listeners`], for the gate.
    pub(super) fn split_gate(&mut self) {
        let parts =
            self.gate.iter().filter_map(|path| path.to_str()).flat_map(|text| text.split(','));
        self.gate = parts.map(|part| PathBuf::from(part.trim())).collect();
    }

    fn listeners(&self) -> Result<Vec<Listen>, UsageError> {
        if self.listen.is_empty() {
            return Ok(settings::default_listeners());
        }
        let mut listeners: Vec<Listen> = Vec::new();
        for text in &self.listen {
            let bad = |problem: &str| {
                UsageError::new(format!("invalid value '{text}' for '--listen': {problem}"))
            };
            let found = Listen::parse(text).map_err(|error| bad(&error.problem))?;
            if found.is_empty() && self.listen.len() > 1 {
                return Err(bad("it excludes every other listener"));
            }
            for listen in found {
                let is_same = |other: &Listen| other.address == listen.address;
                if !listen.address.takes_any_port() && listeners.iter().any(is_same) {
                    return Err(bad(&format!("{} is given twice", listen.address)));
                }
                listeners.push(listen);
            }
        }
        Ok(listeners)
    }
}

/// A `--framing` under which no message could arrive.
pub(super) fn refuse_impossible(
    framing: Option<&Spec>,
    max_message: usize,
) -> Result<(), UsageError> {
    let Some(spec) = framing else { return Ok(()) };
    spec.standing(max_message).map(drop).map_err(|problem| {
        UsageError::new(format!("invalid value '{spec}' for '--framing': {problem}"))
    })
}

fn workers(text: &str) -> Result<NonZeroUsize, BadValue> {
    settings::parse_workers(text, available_parallelism().unwrap_or(NonZeroUsize::MIN))
}

fn watch() -> impl TypedValueParser<Value = Watch> {
    PossibleValuesParser::new(["native", "poll", "off"]).map(|name| match name.as_str() {
        "poll" => Watch::Poll,
        "off" => Watch::Off,
        _ => Watch::Native,
    })
}

fn on_error() -> impl TypedValueParser<Value = OnError> {
    PossibleValuesParser::new(["keep", "close"]).map(|name| match name.as_str() {
        "close" => OnError::Close,
        _ => OnError::Keep,
    })
}
