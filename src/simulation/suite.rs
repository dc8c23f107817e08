//! Dialogues from files, played many at once: finds them and their handlers, and says of each how
//! it went.

mod find;
mod handlers;

use std::fmt::{self, Display, Formatter};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

pub use find::{FindError, find, folders};
pub use handlers::Handlers;

use super::{Ran, Run, folder_of};
use crate::net::Transport;
use crate::play::{Cuts, Failure};
use crate::script::Bundle;
use crate::settings::Settings;
use crate::text::Printable;
use crate::transcript::{Dialogue, Difference};
use crate::vm::{Watchdog, WatchdogHandle};

/// Random cuts that a dialogue is played with.
const RANDOM_CUTS: u64 = 4;

/// Lines of a handler's log that are shown of a failure: the last ones.
const SHOWN_LOG: usize = 20;

/// Bytes of a dialogue's file.
pub const LARGEST: u64 = 64 << 20;

/// Verdicts that wait to be told.
const MOST_WAITING: usize = 64;

/// What is played, and how.
pub struct Suite {
    /// The dialogues.
    pub files: Vec<PathBuf>,
    /// Whom they are held with.
    pub handlers: Handlers,
    /// The server's settings.
    pub settings: Arc<Settings>,
    /// Each is also played with streams cut in other ways.
    pub splits: bool,
    /// How many at once.
    pub jobs: usize,
    /// Ends all of it before its end.
    pub stop: CancellationToken,
}

/// How one dialogue went.
#[derive(Debug)]
pub struct Verdict {
    /// The file.
    pub file: String,
    /// How many steps it has.
    pub steps: usize,
    /// In how many ways its streams were cut.
    pub ways: usize,
    /// What went wrong, if something did.
    pub trouble: Option<Trouble>,
    /// How long it took, really.
    pub took: Duration,
}

/// What went wrong.
#[derive(Debug)]
pub struct Trouble {
    /// The failure, or what is wrong with the file.
    pub text: String,
    /// How streams were cut.
    pub cuts: Cuts,
    /// What the handler logged.
    pub log: Vec<String>,
}

impl Verdict {
    /// Whether something went wrong.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.trouble.is_some()
    }
}

impl Suite {
    /// Plays all of them; `tell` gets the verdicts in the order of the files, each as soon as it
    /// can.
    ///
    /// # Errors
    /// The system refused a thread.
    pub fn run(&self, mut tell: impl FnMut(Verdict)) -> std::io::Result<()> {
        let watchdog = Watchdog::start(self.settings.budget)?;
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            // Dropped before the scope waits for its threads, so that none waits for it.
            let (sender, verdicts) = mpsc::sync_channel(MOST_WAITING);
            for job in 0..self.jobs.min(self.files.len()).max(1) {
                let (sender, watchdog, next) = (sender.clone(), watchdog.handle(), &next);
                let work = move || {
                    while let Some((index, file)) = self.take(next) {
                        // Nobody listens any more where telling has failed.
                        let _ = sender.send((index, self.judge(file, &watchdog)));
                    }
                };
                let name = "dialogues".to_owned();
                match thread::Builder::new().name(name).spawn_scoped(scope, work) {
                    Ok(_) => {}
                    Err(error) if job == 0 => return Err(error),
                    // Those that are there do all of it.
                    Err(_) => break,
                }
            }
            drop(sender);
            in_order(&verdicts, &mut tell);
            Ok(())
        })
    }

    fn take(&self, next: &AtomicUsize) -> Option<(usize, &Path)> {
        if self.stop.is_cancelled() {
            return None;
        }
        let index = next.fetch_add(1, Ordering::Relaxed);
        self.files.get(index).map(|file| (index, file.as_path()))
    }

    fn judge(&self, file: &Path, watchdog: &WatchdogHandle) -> Verdict {
        let begin = Instant::now();
        let shown = file.display().to_string();
        let mut verdict =
            Verdict { file: shown, steps: 0, ways: 0, trouble: None, took: begin.elapsed() };
        verdict.trouble = self.play(file, watchdog, &mut verdict).err();
        verdict.took = begin.elapsed();
        verdict
    }

    fn play(
        &self,
        file: &Path,
        watchdog: &WatchdogHandle,
        verdict: &mut Verdict,
    ) -> Result<(), Trouble> {
        let dialogue = read(file).map_err(Trouble::before)?;
        verdict.steps = dialogue.steps.len();
        if dialogue.steps.is_empty() {
            return Err(Trouble::before(format!("{}: there is no step", dialogue.file)));
        }
        let folder = folder_of(file);
        let bundle = self.handlers.of(&dialogue, &folder);
        let bundle = bundle.map_err(|problem| {
            Trouble::before(Failure::before(&dialogue.file, problem).to_string())
        })?;
        self.play_with(&dialogue, &folder, bundle, watchdog, verdict)
    }

    fn play_with(
        &self,
        dialogue: &Dialogue,
        folder: &Path,
        bundle: Arc<Bundle>,
        watchdog: &WatchdogHandle,
        verdict: &mut Verdict,
    ) -> Result<(), Trouble> {
        let mut run = Run {
            dialogue,
            bundle,
            folder,
            settings: Arc::clone(&self.settings),
            watchdog: watchdog.clone(),
            cuts: Cuts::Steps,
            stop: self.stop.clone(),
        };
        let plain = run.go();
        verdict.ways = 1;
        let heard = plain.heard.clone();
        check(plain, Cuts::Steps)?;
        if !self.splits || !has_streams(dialogue) {
            return Ok(());
        }
        let random = (1..=RANDOM_CUTS).map(Cuts::Random);
        for cuts in [Cuts::Bytes, Cuts::Joined].into_iter().chain(random) {
            run.cuts = cuts;
            let ran = run.go();
            verdict.ways += 1;
            let log = ran.log.clone();
            let other = ran.heard.clone();
            check(ran, cuts)?;
            for (name, expected) in &heard {
                let got = other.get(name).map_or(&[][..], Vec::as_slice);
                if got != expected {
                    let name = name.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
                    let difference = Difference::between(expected, got);
                    let text =
                        format!("{}: {name}heard something else\n{difference}", dialogue.file);
                    return Err(Trouble { text, cuts, log });
                }
            }
        }
        Ok(())
    }
}

/// Whether there is anything to cut.
fn has_streams(dialogue: &Dialogue) -> bool {
    let directives = &dialogue.directives;
    let upstreams = directives.upstreams.values();
    !directives.transport().is_datagram()
        || upstreams.map(Transport::of).any(|kind| !kind.is_datagram())
}

fn check(ran: Ran, cuts: Cuts) -> Result<(), Trouble> {
    ran.outcome.map_err(|failure| Trouble { text: failure.to_string(), cuts, log: ran.log })
}

/// Reads a dialogue.
fn read(file: &Path) -> Result<Dialogue, String> {
    let shown = file.display().to_string();
    let unreadable = |error: std::io::Error| {
        format!("{shown}: it cannot be read: {}", crate::net::bind::reason(&error))
    };
    let mut bytes = Vec::new();
    let source = std::fs::File::open(file).map_err(unreadable)?;
    source.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("{shown}: it is larger than {} MiB", LARGEST >> 20));
    }
    Dialogue::parse(&shown, &bytes).map_err(|mistakes| mistakes.to_string())
}

/// Tells the verdicts by their index, from 0 on.
fn in_order(verdicts: &mpsc::Receiver<(usize, Verdict)>, tell: &mut impl FnMut(Verdict)) {
    let mut early = std::collections::BTreeMap::new();
    let mut next = 0;
    for (index, verdict) in verdicts {
        early.insert(index, verdict);
        while let Some(verdict) = early.remove(&next) {
            tell(verdict);
            next += 1;
        }
    }
}

impl Display for Trouble {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)?;
        if self.cuts != Cuts::Steps {
            write!(out, "\nstreams were {}; as written it passes", self.cuts)?;
        }
        if !self.log.is_empty() {
            out.write_str("\nthe handler's log:")?;
        }
        let hidden = self.log.len().saturating_sub(SHOWN_LOG);
        if hidden > 0 {
            write!(out, "\n  ({hidden} lines before)")?;
        }
        let shown = self.log.iter().skip(hidden).flat_map(|entry| entry.lines());
        shown.into_iter().try_for_each(|line| write!(out, "\n  {}", Printable(line.as_bytes())))
    }
}

impl Trouble {
    fn before(text: String) -> Self {
        Self { text, cuts: Cuts::Steps, log: Vec::new() }
    }
}
