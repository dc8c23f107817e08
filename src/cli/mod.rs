//! The command line: what was typed, how a mistake in it is told, and the exit status. Values are
//! resolved to `settings` in `serve`; only `cli` names clap.

pub mod bench;
pub mod check;
pub mod completions;
pub mod connect;
pub mod failure;
pub mod footprint;
pub mod init;
pub mod log;
mod output;
pub mod record;
pub mod replay;
pub mod serve;
pub mod signals;
pub mod test;
pub mod usage;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::builder::TypedValueParser;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use bench::BenchOptions;
use check::CheckOptions;
use completions::CompletionsOptions;
use connect::ConnectOptions;
use init::InitOptions;
use record::RecordOptions;
use replay::ReplayOptions;
use serve::ServeOptions;
use test::TestOptions;
use usage::Stop;

use crate::net::Listener;
use crate::net::address::Address;
use crate::settings::Script;

/// A live-programmable socket server: TCP, UDP and Unix sockets answered by a Lua handler that
/// reloads on save
#[derive(Debug, Clone, Parser)]
#[command(
    name = "scriptsock",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    subcommand_help_heading = "Commands, each with a --help of its own",
    after_help = "Every option has an environment variable: SCRIPTSOCK_IDLE_TIMEOUT=30s is \
                  --idle-timeout 30s,\nSCRIPTSOCK_ONCE=true is --once, SCRIPTSOCK_VERBOSE=2 is -vv. \
                  SCRIPTSOCK_LISTEN and\nSCRIPTSOCK_GATE take several, separated by commas.",
    max_term_width = 100
)]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The server's options; without a command it runs.
    #[command(flatten)]
    pub options: ServeOptions,
}

/// What the program can do beside serving.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Write a handler to begin with, a dialogue, and settings for editors
    Init(InitOptions),
    /// Load scripts as a reload would, and say what is wrong with them
    Check(CheckOptions),
    /// Test handlers: play dialogues against them, without a network and in simulated time
    Test(TestOptions),
    /// Talk to a server: type lines and see its answers, or pipe through it as with nc -N
    Connect(ConnectOptions),
    /// Write down as a dialogue what clients say to a server and what it answers, as a proxy
    Record(RecordOptions),
    /// Play one side of a dialogue over a network: its clients against a server, or its server
    Replay(ReplayOptions),
    /// Measure a server: send it messages over many connections, check and time the answers
    Bench(BenchOptions),
    /// Write the completions of this command line for a shell to standard output
    Completions(CompletionsOptions),
}

/// The exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Stopped in order.
    Stopped = 0,
    /// Could not start, or failed.
    Failed = 1,
    /// The command line cannot be understood.
    Usage = 2,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

impl Cli {
    /// Reads a command line, the program's name first, and the environment.
    ///
    /// # Errors
    /// For a mistake, and where help or the version was asked for.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Cli, Stop> {
        let args: Vec<OsString> = args.into_iter().collect();
        let mut command = Cli::command();
        let chosen = args.get(1).and_then(|name| command.find_subcommand(name)).cloned();
        command = match chosen.as_ref().map(clap::Command::get_name) {
            None => with_environment(command, |_| true),
            Some(name @ ("check" | "test")) => command.mut_subcommand(name, |command| {
                with_environment(command, |option| OF_HANDLERS.contains(&option))
            }),
            // The variables are the server's.
            Some(_) => command,
        };
        let stop = |error, command: &_| Stop::from_clap(error, command, chosen.as_ref());
        let matches =
            command.try_get_matches_from_mut(args).map_err(|error| stop(error, &command))?;
        let mut cli = Cli::from_arg_matches(&matches).map_err(|error| stop(error, &command))?;
        if matches.value_source("listen") == Some(ValueSource::EnvVariable) {
            cli.options.split_listeners();
        }
        if matches.value_source("gate") == Some(ValueSource::EnvVariable) {
            cli.options.split_gate();
        }
        Ok(cli)
    }
}

/// Connections that the kernel holds for a listener of a command.
const BACKLOG: u32 = 1024;

/// Reads a URL; a bare port is TCP.
fn address() -> impl TypedValueParser<Value = Address> {
    |text: &str| Address::of_server(text).map_err(|error| error.problem)
}

/// Reads what a client is to connect to.
fn server() -> impl TypedValueParser<Value = Address> {
    |text: &str| match Address::of_server(text).map_err(|error| error.problem)? {
        url if url.takes_any_port() => Err("no server has port 0".to_owned()),
        url => Ok(url),
    }
}

/// Prints where a command listens, once clients are accepted.
fn print_ready_line(listener: &Listener) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{listener}")?;
    out.flush()
}

/// Options of the server that say how a handler runs, which is tried by other commands too.
const OF_HANDLERS: [&str; 4] = ["framing", "budget", "memory", "max_message"];

/// Gives options their environment variables, by one rule; an empty one counts as absent.
fn with_environment(command: clap::Command, has_one: fn(&str) -> bool) -> clap::Command {
    command.mut_args(|arg| {
        let name = variable(arg.get_id().as_str());
        if !has_one(arg.get_id().as_str()) || set_value(&name).is_none() {
            return arg;
        }
        arg.env(name).hide_env(true)
    })
}

/// The script that a server runs here which is told of none on its command line.
fn usual_script() -> Script {
    set_value(&variable("script")).map_or(Script::Default, |file| Script::Named(file.into()))
}

fn set_value(variable: &str) -> Option<OsString> {
    std::env::var_os(variable).filter(|value| !value.is_empty())
}

/// The environment variable of an option.
fn variable(option: &str) -> String {
    format!("SCRIPTSOCK_{}", option.to_uppercase())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::settings::{OnError, Script, Settings, Watch};

    fn read(line: &str) -> Result<Cli, Stop> {
        Cli::read(line.split_whitespace().map(OsString::from))
    }

    fn settings(line: &str) -> Settings {
        read(line).unwrap().options.settings().unwrap()
    }

    #[test]
    fn the_command_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_options_the_defaults_hold() {
        assert_eq!(settings("scriptsock"), Settings::default());
    }

    #[test]
    fn every_option_arrives() {
        let line = "scriptsock -s a.lua -l web=tcp://[::1]:80 -l unix://s -f raw -w 2 -m 5 \
                    --max-peers 6 -i 7s --send-timeout 8ms --max-message 9 --budget 10us \
                    --memory 11MiB --backlog 12 --watch poll --on-error close --once -x";
        let set = settings(line);
        assert_eq!(set.script, Script::Named(PathBuf::from("a.lua")));
        let listen: Vec<String> = set.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["web=tcp://[::1]:80", "unix://s"]);
        assert_eq!((set.workers.get(), set.max_conns, set.max_peers), (2, 5, 6));
        assert_eq!(set.idle_timeout, Some(Duration::from_secs(7)));
        assert_eq!(set.send_timeout, Duration::from_millis(8));
        assert_eq!(set.budget, Duration::from_micros(10));
        assert_eq!((set.max_message, set.memory, set.backlog), (9, 11 << 20, 12));
        assert_eq!((set.watch, set.on_error), (Watch::Poll, OnError::Close));
        assert!(set.once && set.hex);
    }

    #[test]
    fn none_is_no_listener() {
        assert_eq!(settings("scriptsock -l none").listen, []);
    }

    #[test]
    fn a_comma_on_the_command_line_belongs_to_the_path() {
        let listen = settings("scriptsock -l unix:///run/a,b").listen;
        assert_eq!(listen[0].to_string(), "unix:///run/a,b");
    }

    /// Run by the test below in a process of its own, with an environment of its own.
    #[test]
    #[ignore = "is the child of a test"]
    fn child_shows_its_settings() {
        match read("scriptsock --budget 5s") {
            Ok(cli) => println!("{:?} {:?}", cli.options.settings(), cli.options.log()),
            Err(stop) => println!("{stop:?}"),
        }
    }

    fn settings_with(environment: &[(&str, &str)]) -> String {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cli::tests::child_shows_its_settings", "--ignored", "--nocapture"])
            .env_remove("RUST_BACKTRACE")
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn the_environment_is_read_and_the_command_line_wins() {
        let shown = settings_with(&[
            ("SCRIPTSOCK_LISTEN", "x=tcp://[::1]:80,unix://s"),
            ("SCRIPTSOCK_ONCE", "yes"),
            ("SCRIPTSOCK_HEX", "0"),
            ("SCRIPTSOCK_VERBOSE", "2"),
            ("SCRIPTSOCK_MAX_CONNS", "77"),
            ("SCRIPTSOCK_BUDGET", "9s"),
            ("SCRIPTSOCK_WORKERS", ""),
        ]);
        for part in [
            r#"name: Some("x"), address: Tcp { host: "::1", port: 80 }"#,
            r#"address: Unix("s")"#,
            "workers: 1",
            "max_conns: 77",
            "budget: 5s",
            "once: true",
            "hex: false",
            "level: Level(Trace)",
        ] {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
    }

    #[test]
    fn a_mistake_in_the_environment_names_the_variable() {
        let shown = settings_with(&[("SCRIPTSOCK_MAX_CONNS", "many")]);
        let expected = "invalid value 'many' for SCRIPTSOCK_MAX_CONNS: \
                        expected a whole number from 1 up";
        assert!(shown.contains(expected), "{shown}");
        let shown = settings_with(&[("SCRIPTSOCK_LISTEN", "tpc://x:1")]);
        assert!(shown.contains("invalid value 'tpc://x:1' for "), "{shown}");
    }
}
