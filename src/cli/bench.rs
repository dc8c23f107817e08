//! `scriptsock bench URL`: what was typed, its way to a load, and how the result is shown. Doc
//! comments are the help text. The load itself is `load`.

mod dialogue;
mod json;
mod live;
mod table;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args};

use super::failure::fail;
use super::serve::refuse_impossible;
use super::signals;
use super::usage::UsageError;
use super::{Exit, server};
use crate::frame::Spec;
use crate::load::{self, Content, Expect, LoadError, Mode, Plan};
use crate::net::address::Address;
use crate::settings::{self, BadValue};
use crate::text;

const LOAD: &str = "Load";
const MESSAGES: &str = "Messages";
const OUTPUT: &str = "Output";

const SERVER: &str = "The server: tcp://HOST:PORT, udp://HOST:PORT, unix://PATH or \
                      unixgram://PATH; HOST:PORT is TCP, a bare port is TCP on 127.0.0.1";

const SIZE: usize = 32;
const BULK_SIZE: usize = 64 * 1024;
const LARGEST: usize = 64 << 20;

const DURATION: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);
const DATAGRAM_TIMEOUT: Duration = Duration::from_millis(500);

const EXAMPLES: &str = "\
Examples:
  scriptsock bench 7890                            64 connections, one message at a time, 10 s
  scriptsock bench 7890 --depth 16 -d 30s          16 messages in flight on each connection
  scriptsock bench 7890 --rate 5000                5000 messages a second, each timed from when it was due
  scriptsock bench udp://127.0.0.1:7890 --depth 8  lost datagrams are counted
  scriptsock bench 7890 --mode idle -c 10000 -d 1m
  scriptsock bench 7890 --dialogue login.dialogue  several steps, each answer checked
  scriptsock bench 6379 --message 'PING\\r\\n' --expect none

A wrong answer, a failed connection or no answer at all makes the exit status 1; a usage mistake 2.
Lost datagrams alone do not. Ctrl-C ends the run early, with the result so far.";

/// What was typed, value by value.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = EXAMPLES,
    group = ArgGroup::new("content").args(["size", "message", "message_file"])
)]
pub struct BenchOptions {
    /// The server.
    #[arg(value_name = "URL", help = SERVER, value_parser = server())]
    url: Address,

    /// What connections do: exchange messages; churn: open one for each message; bulk: send and
    /// read as fast as they can; idle: stay open and say nothing
    #[arg(long, value_name = "MODE", hide_possible_values = true, default_value = "exchange", value_parser = mode(), help_heading = LOAD)]
    mode: Mode,

    /// Connections open at a time
    #[arg(short, long, value_name = "N", default_value = "64", value_parser = connections, help_heading = LOAD)]
    connections: usize,

    /// Messages in flight on each connection; 1 is ping-pong, more is pipelining
    #[arg(long, value_name = "N", default_value = "1", value_parser = depth, help_heading = LOAD)]
    depth: usize,

    /// Send so many messages a second in all, as far as --connections and --depth leave room;
    /// latency counts from the time a message was due [default: as soon as the answer before it is
    /// there]
    #[arg(long, value_name = "N", value_parser = settings::parse_count, help_heading = LOAD)]
    rate: Option<usize>,

    /// End after so long [default: 10s, without --count]
    #[arg(short, long, value_name = "TIME", value_parser = settings::parse_duration, help_heading = LOAD)]
    duration: Option<Duration>,

    /// End after so many messages
    #[arg(short = 'n', long, value_name = "N", value_parser = settings::parse_count, help_heading = LOAD)]
    count: Option<usize>,

    /// Run so long before anything is measured; answers are checked from the begin on
    #[arg(long, value_name = "TIME", value_parser = settings::parse_duration, help_heading = LOAD)]
    warmup: Option<Duration>,

    /// How long connecting, and each answer, may take [default: 5s; 500ms for datagrams]
    #[arg(long, value_name = "TIME", value_parser = settings::parse_duration, help_heading = LOAD)]
    timeout: Option<Duration>,

    /// Length of a message; it is letters, the first eight of them a number [default: 32; 64KiB in
    /// bulk mode]
    #[arg(long, value_name = "SIZE", value_parser = settings::parse_size, help_heading = MESSAGES)]
    size: Option<usize>,

    /// Send this text; \n \r \t \0 \\ \xHH are bytes, and {stamp}, which may be there once,
    /// becomes a number of eight letters, by which the answers to different messages are told apart
    #[arg(long, value_name = "TEXT", value_parser = unescaped, allow_hyphen_values = true, help_heading = MESSAGES)]
    message: Option<Bytes>,

    /// Send what is in a file, byte for byte; {stamp} as in --message
    #[arg(long, value_name = "FILE", help_heading = MESSAGES)]
    message_file: Option<PathBuf>,

    /// How answers are told apart: raw (as long as the message), line, crlf, delimiter:TEXT,
    /// length:TYPE, fixed:N or netstring; it also goes around what is sent, but for datagrams
    /// [default: line where the message ends with a newline, else raw]
    #[arg(short, long, value_name = "SPEC", value_parser = Spec::parse, help_heading = MESSAGES)]
    framing: Option<Spec>,

    /// What answers must be: upper (the message in upper case), echo (the message), none
    /// (anything), or auto (one of these, as the first answer shows)
    #[arg(long, value_name = "WHAT", hide_possible_values = true, default_value = "auto", value_parser = expect(), help_heading = MESSAGES)]
    expect: Expect,

    /// Play a dialogue on each connection over and over, and hold the answers against it; once
    /// through it counts as one message. One that ends its connection has a new one each time
    #[arg(long, value_name = "FILE", conflicts_with_all = ["content", "framing", "expect", "depth"], help_heading = MESSAGES)]
    dialogue: Option<PathBuf>,

    /// Print one JSON object instead of a table
    #[arg(long, help_heading = OUTPUT)]
    json: bool,

    /// Do not show on the terminal how it goes
    #[arg(short, long, help_heading = OUTPUT)]
    quiet: bool,
}

/// Not `Vec<u8>` by name, which clap would take for an option that may be repeated.
type Bytes = Vec<u8>;

impl BenchOptions {
    /// Runs the load and prints the result.
    #[must_use]
    pub fn run(&self) -> Exit {
        let plan = match self.plan() {
            Ok(plan) => plan,
            Err(error) => return error.report(),
        };
        match self.run_plan(&plan) {
            Ok(exit) => exit,
            Err(error) => match (fail("scriptsock bench", &error), error.downcast_ref()) {
                (_, Some(LoadError::Message(_))) => Exit::Usage,
                (exit, _) => exit,
            },
        }
    }

    fn run_plan(&self, plan: &Plan) -> anyhow::Result<Exit> {
        let stop = signals::stop_flag()?;
        let mut live = live::Line::new(self.quiet);
        let report = load::run(plan, &stop, &mut |glance| live.show(glance));
        live.clear();
        let report = report?;
        if !self.json
            && let Some(why) = table::why_nothing(&report)
        {
            anyhow::bail!(why);
        }
        let text = if self.json { json::of(&report) } else { table::of(&report) };
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()?;
        Ok(if report.is_clean() { Exit::Stopped } else { Exit::Failed })
    }

    /// The load that these options mean.
    ///
    /// # Errors
    /// For options that contradict each other, and a file that cannot be read.
    pub(super) fn plan(&self) -> Result<Plan, UsageError> {
        self.refuse_contradictions()?;
        let dialogue = self.dialogue()?;
        let content = self.content()?;
        let framing = self.framing.clone().unwrap_or_else(|| default_framing(&content));
        let limit = content.length() + (1 << 20);
        refuse_impossible(Some(&framing), limit)?;
        let is_datagram = is_datagram(&self.url);
        let timeout = if is_datagram { DATAGRAM_TIMEOUT } else { TIMEOUT };
        let timeout = dialogue.as_ref().and_then(|(client, _)| client.timeout).unwrap_or(timeout);
        let ends = dialogue.as_ref().is_some_and(|(_, ends)| *ends);
        let by_count = self.count.is_some() && self.duration.is_none();
        Ok(Plan {
            server: self.url.clone(),
            mode: if ends { Mode::Churn } else { self.mode },
            connections: self.connections,
            depth: self.depth,
            content,
            framing,
            expect: self.expect,
            dialogue: dialogue.map(|(client, _)| client),
            rate: self.rate.map(|rate| rate as u64),
            duration: (!by_count).then(|| self.duration.unwrap_or(DURATION)),
            count: self.count.map(|count| count as u64),
            warmup: self.warmup.unwrap_or_default(),
            timeout: self.timeout.unwrap_or(timeout),
        })
    }

    fn refuse_contradictions(&self) -> Result<(), UsageError> {
        let mode = self.mode.name();
        let refuse = |text: String| Err(UsageError::new(text));
        if is_datagram(&self.url) && self.mode != Mode::Exchange {
            return refuse(format!("--mode {mode} needs connections, which {} has not", self.url));
        }
        if self.depth > 1 && self.mode != Mode::Exchange {
            return refuse(format!("--depth is for --mode exchange, not for {mode}"));
        }
        if self.dialogue.is_some() && !matches!(self.mode, Mode::Exchange | Mode::Churn) {
            return refuse(format!(
                "--dialogue is for the modes exchange and churn, not for {mode}"
            ));
        }
        if self.rate.is_some() && !matches!(self.mode, Mode::Exchange | Mode::Churn) {
            return refuse(format!("--rate is for the modes exchange and churn, not for {mode}"));
        }
        if self.count.is_some() && self.mode == Mode::Idle {
            return refuse("--count is for modes that send messages, not for idle".to_owned());
        }
        Ok(())
    }

    fn content(&self) -> Result<Content, UsageError> {
        if let Some(path) = &self.message_file {
            let text = read(path).map_err(|problem| {
                UsageError::new(format!("--message-file '{}': {problem}", path.display()))
            })?;
            return stamped_once("--message-file", text);
        }
        if let Some(text) = &self.message {
            return stamped_once("--message", text.clone());
        }
        let default = if self.mode == Mode::Bulk { BULK_SIZE } else { SIZE };
        match self.size.unwrap_or(default) {
            size if size > LARGEST => Err(UsageError::new(format!(
                "invalid value '{size}' for '--size': expected 64MiB at most"
            ))),
            size => Ok(Content::Letters(size)),
        }
    }
}

/// A message in which `option` asks for one stamp at most.
fn stamped_once(option: &str, text: Vec<u8>) -> Result<Content, UsageError> {
    if load::stamps(&text) > 1 {
        return Err(UsageError::new(format!("{option}: {{stamp}} may be in a message once")));
    }
    Ok(Content::Text(text))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let limit = LARGEST as u64 + 1;
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(limit).read_to_end(&mut text).map_err(|error| error.to_string())?;
    match text.len() {
        0 => Err("the file is empty; a message needs a byte".to_owned()),
        length if length > LARGEST => Err("it has more than 64MiB".to_owned()),
        _ => Ok(text),
    }
}

fn is_datagram(url: &Address) -> bool {
    matches!(url, Address::Udp { .. } | Address::Unixgram(_))
}

fn default_framing(content: &Content) -> Spec {
    match content {
        Content::Text(text) if text.ends_with(b"\n") => Spec::line(),
        _ => Spec::raw(),
    }
}

fn mode() -> impl TypedValueParser<Value = Mode> {
    PossibleValuesParser::new(["exchange", "churn", "bulk", "idle"]).map(|name| {
        match name.as_str() {
            "churn" => Mode::Churn,
            "bulk" => Mode::Bulk,
            "idle" => Mode::Idle,
            _ => Mode::Exchange,
        }
    })
}

fn expect() -> impl TypedValueParser<Value = Expect> {
    PossibleValuesParser::new(["upper", "echo", "none", "auto"]).map(|name| match name.as_str() {
        "upper" => Expect::Upper,
        "echo" => Expect::Echo,
        "none" => Expect::Any,
        _ => Expect::Auto,
    })
}

fn unescaped(text: &str) -> Result<Bytes, String> {
    match text::unescape(text) {
        Some(bytes) if !bytes.is_empty() => Ok(bytes),
        Some(_) => Err("a message needs a byte".to_owned()),
        None => Err(r"expected \r, \n, \t, \0, \\ or \xHH behind a backslash".to_owned()),
    }
}

/// More than a machine has.
fn connections(text: &str) -> Result<usize, BadValue> {
    settings::parse_up_to(text, 10_000_000)
}

/// More would only wait in buffers.
fn depth(text: &str) -> Result<usize, BadValue> {
    settings::parse_up_to(text, 65_536)
}

#[cfg(test)]
mod tests;
