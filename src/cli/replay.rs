//! `scriptsock replay`: what was typed, its way to a part of a dialogue, and how it went. Doc
//! comments are the help text.

use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{ArgGroup, Args};
use tokio::runtime::{self, LocalOptions};

use super::failure::fail;
use super::signals;
use super::usage::UsageError;
use super::{BACKLOG, Exit, address, print_ready_line, server};
use crate::net::address::{Address, Listen};
use crate::net::bind::{BindError, bind};
use crate::net::server::Server;
use crate::net::{Transport, descriptors};
use crate::play::Failure;
use crate::replay::{self, Speed};
use crate::server::Control;
use crate::settings;
use crate::transcript::Dialogue;

const TO: &str = "Play the clients against this server: tcp://HOST:PORT, udp://HOST:PORT, \
                  unix://PATH or unixgram://PATH; HOST:PORT is TCP, a bare port is TCP on \
                  127.0.0.1";

const LISTEN: &str = "Play the server, for clients that connect here, in the order in which the \
                      dialogue mentions them; port 0 takes a free one";

const EXAMPLES: &str = "\
Examples:
  scriptsock replay session.dialogue --to 7890
  scriptsock replay session.dialogue --listen tcp://127.0.0.1:0
  scriptsock replay session.dialogue --to 7890 --speed max

Exit status: 0 all went as the dialogue says, 1 something did not, 2 bad usage or a dialogue that
cannot be played.";

/// What was typed, value by value.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = EXAMPLES,
    group = ArgGroup::new("side").args(["to", "listen"]).required(true)
)]
pub struct ReplayOptions {
    /// The dialogue
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Against which server.
    #[arg(short, long, value_name = "URL", help = TO, value_parser = server())]
    to: Option<Address>,

    /// For which clients.
    #[arg(short, long, value_name = "URL", help = LISTEN, value_parser = address())]
    listen: Option<Address>,

    /// How long a step waits for what it expects [default: as the dialogue says, else 5s]
    #[arg(long, value_name = "TIME", value_parser = settings::parse_duration)]
    timeout: Option<Duration>,

    /// How fast time passes in the pauses of the dialogue: 2 is twice as fast, max leaves them out
    #[arg(long, value_name = "TIMES|max", default_value = "1", value_parser = speed)]
    speed: Speed,
}

impl ReplayOptions {
    /// Plays it to its end, or to the first difference.
    #[must_use]
    pub fn run(&self) -> Exit {
        let (dialogue, part) = match self.read() {
            Ok(read) => read,
            Err(error) => return error.report(),
        };
        let begin = Instant::now();
        match self.play(&dialogue, &part) {
            Ok(Ok(())) => {
                let (steps, seconds) = (dialogue.steps.len(), begin.elapsed().as_secs_f64());
                let mut out = io::stdout().lock();
                let told = writeln!(out, "{steps} steps went as written, in {seconds:.3} s");
                match told.and_then(|()| out.flush()) {
                    Ok(()) => Exit::Stopped,
                    Err(_) => Exit::Failed,
                }
            }
            Ok(Err(failure)) => {
                // Without standard error nobody can be told; the status still says it.
                let _ = writeln!(io::stderr(), "{failure}");
                Exit::Failed
            }
            Err(error) => fail("scriptsock replay", &error),
        }
    }

    /// The dialogue, and the part of it that is played.
    fn read(&self) -> Result<(Dialogue, Dialogue), UsageError> {
        let name = self.file.display().to_string();
        let bytes =
            fs::read(&self.file).map_err(|error| UsageError::new(format!("{name}: {error}")))?;
        let dialogue = Dialogue::parse(&name, &bytes).map_err(|mistakes| {
            UsageError::with_lines(&format!("{name} has mistakes"), &mistakes)
        })?;
        let part = match (&self.to, &self.listen) {
            (Some(to), _) => dialogue.part_of_clients(Transport::of(to)),
            (None, Some(listen)) => dialogue.part_of_server(Transport::of(listen)),
            // The group requires one of them.
            (None, None) => return Err(UsageError::new("--to or --listen is missing")),
        };
        let mut part = part.map_err(|why| UsageError::new(why.to_string()))?;
        if self.timeout.is_some() {
            part.directives.timeout = self.timeout;
        }
        Ok((dialogue, replay::at_speed(part, self.speed)))
    }

    fn play(&self, dialogue: &Dialogue, part: &Dialogue) -> anyhow::Result<Result<(), Failure>> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())?;
        let _ = descriptors::raise_limit();
        runtime.block_on(async {
            let control = Control::default();
            signals::follow(&control)?;
            tokio::select! {
                played = self.play_part(dialogue, part) => played,
                () = control.drain.cancelled() => anyhow::bail!("stopped before its end"),
            }
        })
    }

    async fn play_part(
        &self,
        dialogue: &Dialogue,
        part: &Dialogue,
    ) -> anyhow::Result<Result<(), Failure>> {
        if let Some(to) = &self.to {
            let server = Server::find(to.clone())
                .map_err(|problem| BindError { url: to.to_string(), problem })?;
            return Ok(replay::play_clients(dialogue, part, server).await);
        }
        let listens = self.listen.iter().map(|url| Listen { name: None, address: url.clone() });
        let bound = bind(&listens.collect::<Vec<_>>(), NonZeroUsize::MIN, BACKLOG)?.remove(0);
        Ok(replay::play_server(dialogue, part, bound, print_ready_line).await?)
    }
}

fn speed(text: &str) -> Result<Speed, String> {
    match text.trim() {
        "max" => Ok(Speed::Max),
        text => match text.parse() {
            Ok(times) if (0.001..=1_000_000.0).contains(&times) => Ok(Speed::Times(times)),
            _ => Err("expected a number such as 2 or 0.5, or max".to_owned()),
        },
    }
}
