//! `scriptsock connect URL`: a client to type on, or to pipe through. What was typed on the command
//! line, and what both ways have in common. Doc comments are the help text.

mod answer;
mod ending;
mod history;
mod keys;
mod line;
mod piped;
mod screen;
mod talk;
mod terminal;
mod typed;

use std::io::{self, ErrorKind, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::failure::{self, fail};
use super::{Exit, server};
use crate::net::Transport;
use crate::net::address::Address;
use crate::net::dial::DialError;
use crate::net::link::Link;
use crate::settings;
use crate::transcript::Eol;
use answer::Answer;

/// As what it says something.
const NAME: &str = "scriptsock connect";

/// How long connecting may take where nothing is said.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long late datagrams are waited for where nothing is said.
const DATAGRAM_PATIENCE: Duration = Duration::from_secs(1);

const SERVER: &str = "The peer: tcp://HOST:PORT, udp://HOST:PORT, unix://PATH or \
                      unixgram://PATH; HOST:PORT is TCP, a bare port is TCP on 127.0.0.1";

const DETAILS: &str = "\
On a terminal each line is sent when you press Enter. The usual keys edit it, Up and Down bring back
earlier lines. Ctrl-D ends the sending side: the rest of the answers still arrives. Ctrl-C leaves
the line, on an empty one it quits. A line that begins with '>x ' or '>> ' sends exact bytes, as in
a dialogue: >x 00 03 ff, or >> \"PING\\r\\n\". Lines are kept in the state folder of the user
(~/.local/state), if there is one; not those that begin with a blank.

Without a terminal on standard input it does what nc -N does: everything goes to the peer as it is,
then the sending side ends, and the answers go to standard output until the peer ends too. To udp
and unixgram each line is a datagram, its newline included.

Examples:
  scriptsock connect 7890                               talk to the server on port 7890
  scriptsock connect --eol crlf mail.example:25         a protocol that wants CR LF
  scriptsock connect --hex unix:///run/some.sock        answers as a hex dump
  printf 'hello\\n' | scriptsock connect 7890            from a script
  echo hello | scriptsock connect udp://127.0.0.1:7890 --timeout 200ms

The exit status is 1 where there is no connection, where it breaks, or where a datagram could not be
sent or all were refused; 2 for a usage mistake.";

/// What was typed, value by value.
#[derive(Debug, Clone, Args)]
#[command(after_help = DETAILS)]
pub struct ConnectOptions {
    /// The peer.
    #[arg(value_name = "URL", help = SERVER, value_parser = server())]
    url: Address,

    /// What ends a typed line: lf, crlf or none. What is piped in stays as it is, unless this is
    /// given: then each end of line, LF or CR LF, becomes that one [default: lf]
    #[arg(long, value_name = "lf|crlf|none", hide_possible_values = true, value_parser = eol())]
    eol: Option<Eol>,

    /// The line that quits, on a terminal; '' for none
    #[arg(long, value_name = "WORD", default_value = "q", allow_hyphen_values = true)]
    quit: String,

    /// Show answers as a hex dump
    #[arg(short = 'x', long)]
    hex: bool,

    /// How long connecting may take [default: 10s], and, once the input has ended, how long nothing
    /// may come before it is over [default: 1s for udp and unixgram, else until the peer ends]
    #[arg(long, value_name = "TIME", value_parser = settings::parse_duration)]
    timeout: Option<Duration>,

    /// Do not read or write the file of earlier lines
    #[arg(long)]
    no_history: bool,
}

/// How to talk.
struct Manner {
    transport: Transport,
    /// As it was typed.
    eol: Option<Eol>,
    quit: String,
    hex: bool,
    timeout: Option<Duration>,
    /// Where earlier lines are kept.
    history: Option<PathBuf>,
}

impl Manner {
    /// How long to wait for answers once the input has ended; for ever where there is no limit.
    fn patience(&self, link: &Link) -> Option<Duration> {
        let default = link.is_datagram().then_some(DATAGRAM_PATIENCE);
        self.timeout.or(default)
    }

    /// How answers are written; in a dump `each` piece has its own.
    fn answer(&self, each: bool) -> Answer {
        match self.hex {
            true => Answer::hex(each),
            false if io::stdout().is_terminal() => Answer::text(),
            false => Answer::bytes(),
        }
    }
}

impl ConnectOptions {
    /// Connects and talks until one of both ends it.
    #[must_use]
    pub fn run(&self) -> Exit {
        self.connect().unwrap_or_else(|error| fail(NAME, &error))
    }

    fn connect(&self) -> anyhow::Result<Exit> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let ended = runtime.block_on(self.talk());
        // Someone may still wait in a read of standard input.
        runtime.shutdown_background();
        ended
    }

    async fn talk(&self) -> anyhow::Result<Exit> {
        if io::stdin().is_terminal() {
            return talk::talk(&self.open().await?, &self.manner()).await;
        }
        // Before anybody is connected, so that none of them is lost.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let piped = async { piped::pipe(&self.open().await?, &self.manner()).await };
        tokio::select! {
            ended = piped => ended,
            // Not the system's way, which would leave the file of a Unix datagram socket.
            _ = interrupt.recv() => Ok(Exit::Failed),
            _ = terminate.recv() => Ok(Exit::Failed),
        }
    }

    async fn open(&self) -> anyhow::Result<Link> {
        let limit = self.timeout.unwrap_or(CONNECT_LIMIT);
        let opened = Link::open(&self.url, limit).await;
        opened.map_err(|error| anyhow!(self.advice(&error, limit)))
    }

    fn manner(&self) -> Manner {
        Manner {
            transport: Transport::of(&self.url),
            eol: self.eol,
            quit: self.quit.clone(),
            hex: self.hex,
            timeout: self.timeout,
            history: if self.no_history { None } else { history::file_of_user() },
        }
    }

    /// Why there is no connection, and what to do about it.
    fn advice(&self, error: &DialError, limit: Duration) -> String {
        let what = match (error.code.as_str(), &self.url) {
            ("ECONNREFUSED", _) => "; is the server running there?",
            ("ENOENT", _) => "; the server makes the file when it starts",
            ("ENOTFOUND", _) => "; is the name right?",
            ("EPROTOTYPE", Address::Unix(_)) => "; it may take datagrams: try unixgram://",
            ("EPROTOTYPE", _) => "; it may be a stream: try unix://",
            ("EACCES", Address::Unix(_) | Address::Unixgram(_)) => {
                "; the socket belongs to another user"
            }
            ("ETIMEDOUT", _) => {
                let limit = humantime::format_duration(limit);
                return format!("{}: no connection within {limit} (--timeout)", self.url);
            }
            _ => "",
        };
        format!("{}: {}{what}", self.url, error.text)
    }
}

fn eol() -> impl TypedValueParser<Value = Eol> {
    PossibleValuesParser::new(["lf", "crlf", "none"]).map(|name| match name.as_str() {
        "crlf" => Eol::Crlf,
        "none" => Eol::None,
        _ => Eol::Lf,
    })
}

/// Tells something where no line is edited.
fn tell(text: &str) {
    failure::tell(NAME, text);
}

/// What to tell of a datagram peer that is not there.
fn refusal(link: &Link) -> String {
    format!("connection refused: nobody listens at {}", link.peer)
}

/// Nobody took a datagram.
fn is_refusal(error: &io::Error) -> bool {
    error.kind() == ErrorKind::ConnectionRefused
}

/// The peer takes nothing any more.
fn is_gone(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
}

/// An error in lower case.
fn reason(error: &io::Error) -> String {
    DialError::from(error).text
}
