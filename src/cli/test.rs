//! `scriptsock test`: plays dialogues against their handlers in simulated servers, and prints what
//! differs.

mod junit;
mod report;

use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::failure::fail;
use super::serve::refuse_impossible;
use super::{Exit, usual_script};
use crate::frame::Spec;
use crate::script::Source;
use crate::settings::{self, Script, Settings};
use crate::simulation::suite::{Handlers, Suite, Verdict, find};

/// What was typed.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  scriptsock test\n  scriptsock test tests/ --splits\n  \
                        scriptsock test hello.dialogue --script handler.lua\n\n\
                        Time is simulated: sleep(3600) takes none. The format of dialogues is in \
                        src/transcript/format.md.")]
pub struct TestOptions {
    /// Dialogues, and folders of them
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,

    /// The handler for all of them, in place of the one that each names
    #[arg(short, long, value_name = "FILE")]
    script: Option<PathBuf>,

    /// Play each again with its streams cut byte by byte, sent without waiting for answers, and cut
    /// at random; the answers must be the same
    #[arg(long)]
    splits: bool,

    /// Only files whose path holds this text
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// Also write the results to a file, as XML that build servers read
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// How many at once [default: one a core]
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Overrides the framing of handlers; a dialogue's own goes before it
    #[arg(short, long, value_name = "SPEC", value_parser = Spec::parse)]
    framing: Option<Spec>,

    /// CPU time that one handler call may take without waiting
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = settings::parse_duration)]
    budget: Duration,

    /// Memory of one Lua VM
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = settings::parse_memory)]
    memory: usize,

    /// Largest framed message
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = settings::parse_size)]
    max_message: usize,
}

impl TestOptions {
    /// Plays them; says whether all went as they should.
    #[must_use]
    pub fn run(self) -> Exit {
        if let Err(error) = refuse_impossible(self.framing.as_ref(), self.max_message) {
            return error.report();
        }
        self.play().unwrap_or_else(|error| fail("scriptsock test", &error))
    }

    fn play(self) -> anyhow::Result<Exit> {
        let begin = Instant::now();
        let suite = self.suite()?;
        let mut verdicts = Vec::with_capacity(suite.files.len());
        let mut told = Ok(());
        suite
            .run(|verdict| {
                if told.is_ok() {
                    told = report::tell(&mut io::stdout().lock(), &verdict);
                }
                verdicts.push(verdict);
            })
            .context("no thread for the dialogues")?;
        let took = begin.elapsed();
        // Neither keeps the other from being written.
        let failed = verdicts.iter().filter(|verdict| verdict.has_failed()).count();
        let written = self.write_junit(&verdicts, failed, took);
        let counts = (failed, verdicts.len());
        told.and_then(|()| report::sum_up(&mut io::stdout().lock(), counts, took))
            .context("the results could not be written")?;
        written?;
        Ok(if failed > 0 { Exit::Failed } else { Exit::Stopped })
    }

    fn write_junit(
        &self,
        verdicts: &[Verdict],
        failed: usize,
        took: Duration,
    ) -> anyhow::Result<()> {
        let Some(file) = &self.junit else { return Ok(()) };
        std::fs::write(file, junit::document(verdicts, failed, took))
            .with_context(|| format!("the results could not be written to {}", file.display()))
    }

    fn suite(&self) -> anyhow::Result<Suite> {
        let cwd = std::env::current_dir().context("the current folder cannot be told")?;
        let mut files = find(&self.paths)?;
        if let Some(text) = &self.filter {
            files.retain(|file| file.to_string_lossy().contains(text));
            if files.is_empty() {
                // No result of an earlier run is to be taken for one of this.
                self.write_junit(&[], 0, Duration::ZERO)?;
                bail!("no dialogue has '{text}' in its path");
            }
        }
        let handlers = match &self.script {
            Some(file) => {
                let source = Source::locate(&Script::Named(file.clone()), &cwd)?;
                Handlers::given(Arc::new(source.read()?))
            }
            None => Handlers::own(cwd, usual_script()),
        };
        let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let settings = Settings {
            framing: self.framing.clone(),
            budget: self.budget,
            memory: self.memory,
            max_message: self.max_message,
            ..Settings::default()
        };
        Ok(Suite {
            files,
            handlers,
            settings: Arc::new(settings),
            splits: self.splits,
            jobs: self.jobs.unwrap_or(cores).get(),
            stop: CancellationToken::new(),
        })
    }
}
