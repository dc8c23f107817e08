//! `scriptsock check [SCRIPT...]`: what was typed, and the trial of each script. Doc comments are
//! the help text. The trial itself is `vm::try_out`, what is printed is `check/shown`.

mod shown;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::failure::fail;
use super::serve::refuse_impossible;
use super::{Exit, usual_script};
use crate::frame::Spec;
use crate::script::{Bundle, NotFound, ReadError, Source};
use crate::settings::{self, Script};
use crate::vm::{self, Config, Fault, Found, FramingRules, Place, Watchdog};

const LOADING: &str = "As the server has them";
const OUTPUT: &str = "Output";

const MORE: &str = "\
A script is read with every file that it requires, compiled and run in a VM of its own, and its
callbacks and settings are checked, as the server does first at the start and at each reload. What
the server does then is not done: no callback is called, not even on_load, so a fault in one is
not found.

Examples:
  scriptsock check                          what `scriptsock` would run here
  scriptsock check upper.lua examples/*/handler.lua
  scriptsock check --json handler.lua       for editors: one JSON object a script, a line each

All scripts are checked. A fault in any makes the exit status 1; a usage mistake 2.";

/// What was typed, value by value.
#[derive(Debug, Clone, Args)]
#[command(after_help = MORE)]
pub struct CheckOptions {
    /// Lua files, looked up as --script of the server does: as given, then under scripts/, then
    /// among the built-in handlers [default: scripts/handler.lua, else the built-in upper.lua]
    #[arg(value_name = "SCRIPT")]
    scripts: Vec<PathBuf>,

    /// The framing that goes before the script's
    #[arg(short, long, value_name = "SPEC", value_parser = Spec::parse, help_heading = LOADING)]
    framing: Option<Spec>,

    /// Largest framed message
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = settings::parse_size, help_heading = LOADING)]
    max_message: usize,

    /// CPU time that a script may take to load
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = settings::parse_duration, help_heading = LOADING)]
    budget: Duration,

    /// Memory of one Lua VM
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = settings::parse_memory, help_heading = LOADING)]
    memory: usize,

    /// Print one JSON object a script, each on a line
    #[arg(long, help_heading = OUTPUT)]
    json: bool,

    /// Print faults only
    #[arg(short, long, conflicts_with = "json", help_heading = OUTPUT)]
    quiet: bool,
}

/// A script that would go live.
struct Sound {
    found: Found,
    bundle: Arc<Bundle>,
}

/// Why a script would not go live.
#[derive(thiserror::Error, Debug)]
enum Problem {
    #[error(transparent)]
    NotFound(#[from] NotFound),
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    #[error("{0}")]
    Faulty(Box<Fault>),
}

impl CheckOptions {
    /// Checks every script, and prints what was found.
    #[must_use]
    pub fn run(&self) -> Exit {
        if let Err(error) = refuse_impossible(self.framing.as_ref(), self.max_message) {
            return error.report();
        }
        self.check_all().unwrap_or_else(|error| fail("scriptsock check", &error))
    }

    fn check_all(&self) -> anyhow::Result<Exit> {
        let folder = std::env::current_dir().context("the current folder cannot be told")?;
        let watchdog = Watchdog::start(self.budget).context("no thread for the watchdog")?;
        let config = self.config(&watchdog);
        let choices = self.choices();
        let mut faults = 0;
        let mut out = io::stdout().lock();
        for choice in &choices {
            let checked = check(choice, &folder, &config);
            faults += usize::from(checked.is_err());
            if self.json {
                writeln!(out, "{}", shown::json(&checked))?;
            } else if !self.quiet || checked.is_err() {
                writeln!(out, "{}", shown::text(&checked))?;
            }
        }
        if choices.len() > 1 && !self.json && !self.quiet {
            let (sound, all) = (choices.len() - faults, choices.len());
            writeln!(out, "{sound} of {all} scripts are in order")?;
        }
        out.flush()?;
        Ok(if faults == 0 { Exit::Stopped } else { Exit::Failed })
    }

    fn choices(&self) -> Vec<Script> {
        if self.scripts.is_empty() {
            return vec![usual_script()];
        }
        self.scripts.iter().cloned().map(Script::Named).collect()
    }

    fn config(&self, watchdog: &Watchdog) -> Config {
        Config {
            memory: self.memory,
            place: Place { worker: 1, workers: 1 },
            watchdog: watchdog.handle(),
            // A script that loads may not stop the server, and here is none.
            stop: Arc::new(|| {}),
            framing: FramingRules { forced: self.framing.clone(), max_message: self.max_message },
        }
    }
}

impl Problem {
    /// The script as people are shown it.
    fn script(&self) -> &str {
        match self {
            Problem::NotFound(NotFound::Nowhere { value, .. }) => value,
            Problem::NotFound(NotFound::Unusable { shown, .. }) => shown,
            Problem::Unreadable(error) => &error.shown,
            Problem::Faulty(fault) => fault.script(),
        }
    }
}

/// Finds, reads and tries one script.
fn check(choice: &Script, folder: &Path, config: &Config) -> Result<Sound, Problem> {
    let bundle = Arc::new(Source::locate(choice, folder)?.read()?);
    let found = vm::try_out(&bundle, 1, config).map_err(Problem::Faulty)?;
    Ok(Sound { found, bundle })
}
