//! Says that the script may have changed: native notification or polling, settled so that a save
//! is seen once and whole. Which folders matter is said by the bundle; reading it, comparing
//! digests, the trial and the swap are the caller's business.
//!
//! No debouncer: the ones there are wake up for ever. An idle native watcher wakes nobody.
//!
//! The loop of a caller is: read the bundle, [`Watcher::watch`] its folders, await
//! [`Watcher::changed`], and so on. A change between reading and watching is not lost: whenever
//! `watch` finds other folders than before, `changed` resolves once more.

mod filesystem;
mod signal;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::settings::Watch;
use signal::Signal;

/// How often the caller is asked to look where changes are not reported.
const POLL: Duration = Duration::from_millis(500);

/// A change that more is likely to follow (data written, a file removed) is reported after this
/// much silence: long enough to bridge a truncation and the write behind it.
const SILENCE: Duration = Duration::from_millis(50);

/// The longest that changes without a pause put off the report.
const PATIENCE: Duration = Duration::from_millis(500);

/// A finished change (file closed, renamed into place) is reported after this, so that what the
/// same save still has in the queue joins it.
const GATHER: Duration = Duration::from_millis(3);

/// The least time between two reports, which bounds the work that a busy folder can cause.
const PAUSE: Duration = Duration::from_millis(10);

/// Watches folders. Needs a tokio runtime with time enabled.
pub struct Watcher {
    backend: Backend,
    signal: Arc<Signal>,
    /// When the change that is settling was first seen.
    since: Option<Instant>,
    /// No report before this.
    not_before: Instant,
}

enum Backend {
    Native(Native),
    Poll,
    Off,
}

struct Native {
    watcher: RecommendedWatcher,
    /// What is watched: real paths, one for each folder, with their identity.
    folders: BTreeMap<PathBuf, Identity>,
}

/// Device and inode: a folder that was deleted and made again is another one.
type Identity = (u64, u64);

impl Watcher {
    /// A watcher of no folder yet; falls back to polling, with a warning, where the system has no
    /// notification left to give.
    #[must_use]
    pub fn new(mode: Watch) -> Self {
        let signal = Arc::new(Signal::default());
        let backend = match mode {
            Watch::Off => Backend::Off,
            Watch::Poll => Backend::Poll,
            Watch::Native => Native::new(&signal).map_or_else(
                |error| {
                    warn_of_polling(&reason(&error));
                    Backend::Poll
                },
                Backend::Native,
            ),
        };
        Self { backend, signal, since: None, not_before: Instant::now() }
    }

    /// How changes are noticed now: `Poll` after a fall-back.
    #[must_use]
    pub fn mode(&self) -> Watch {
        match self.backend {
            Backend::Native(_) => Watch::Native,
            Backend::Poll => Watch::Poll,
            Backend::Off => Watch::Off,
        }
    }

    /// Watches `dirs` from now on, and nothing else. For one that does not exist the nearest
    /// folder above it is watched. Cheap where nothing is new.
    pub fn watch(&mut self, dirs: &BTreeSet<PathBuf>) {
        let Backend::Native(native) = &mut self.backend else { return };
        match native.watch(dirs, &self.signal) {
            Ok(false) => {}
            Ok(true) => self.signal.raise_unsettled(),
            Err(why) => self.fall_back(&why),
        }
    }

    /// Resolves when something in the folders has changed and has settled, or when polling, when
    /// it is time to look. Never resolves in `Off`. Cancel safe: a change is not lost.
    pub async fn changed(&mut self) {
        match self.backend {
            Backend::Off => std::future::pending().await,
            Backend::Poll => sleep_until(self.not_before).await,
            Backend::Native(_) => self.settled().await,
        }
        // Nothing is awaited from here on, so that a cancelled call has taken no change with it.
        self.signal.clear();
        self.since = None;
        if let Some(why) = self.signal.take_failure() {
            self.fall_back(&why);
        }
        let rest = if self.mode() == Watch::Poll { POLL } else { PAUSE };
        self.not_before = Instant::now() + rest;
    }

    /// Waits for a change, and then until it is finished or silent.
    async fn settled(&mut self) {
        self.signal.raised().await;
        let since = *self.since.get_or_insert_with(Instant::now);
        let limit = since + PATIENCE;
        loop {
            if self.signal.is_finished() {
                sleep_until((Instant::now() + GATHER).max(self.not_before)).await;
                return;
            }
            let silence = (Instant::now() + SILENCE).min(limit).max(self.not_before);
            if timeout_at(silence, self.signal.next()).await.is_err() {
                return;
            }
        }
    }

    fn fall_back(&mut self, why: &str) {
        warn_of_polling(why);
        self.backend = Backend::Poll;
        self.not_before = Instant::now();
    }
}

fn warn_of_polling(why: &str) {
    tracing::warn!(reason = why, "script changes are polled for, native watching does not work");
}

impl Native {
    fn new(signal: &Arc<Signal>) -> notify::Result<Self> {
        let signal = Arc::clone(signal);
        let watcher = notify::recommended_watcher(move |event| signal.take_in(event))?;
        Ok(Self { watcher, folders: BTreeMap::new() })
    }

    /// Whether anything about the folders was new; an error says why this cannot be watched.
    fn watch(&mut self, dirs: &BTreeSet<PathBuf>, signal: &Signal) -> Result<bool, String> {
        let wanted = distinct(dirs);
        for path in wanted.keys() {
            if let Some(kind) = filesystem::without_notification(path) {
                return Err(format!("{} is on {kind}", path.display()));
            }
        }
        // Lost before this call: after a removal that is seen later, the flag is up again.
        let mut is_new = signal.take_lost();
        for (path, identity) in &self.folders {
            if wanted.get(path) != Some(identity) {
                is_new = true;
                // It fails where the folder is gone, and the watch with it.
                let _ = self.watcher.unwatch(path);
            }
        }
        signal.set_folders(wanted.keys().cloned().collect());
        for (path, identity) in &wanted {
            let known = self.folders.get(path) == Some(identity);
            is_new |= !known;
            // Adding again is the only sure way to know that inotify has not dropped it; other
            // systems watch by path, and adding restarts their stream.
            if !known || cfg!(any(target_os = "linux", target_os = "android")) {
                self.add(path)?;
            }
        }
        self.folders = wanted;
        Ok(is_new)
    }

    fn add(&mut self, path: &Path) -> Result<(), String> {
        match self.watcher.watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => Ok(()),
            // It vanished a moment ago: what is above it is watched at the next round, which
            // comes at once, as a folder that cannot be looked at counts as new.
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(reason(&error)),
        }
    }
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

fn reason(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => "the limit of inotify watches is reached".to_owned(),
        ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string().trim_end_matches('.').to_lowercase(),
    }
}

/// The real paths of `dirs`, each folder once: two names of one folder would share one watch, and
/// lose it together.
fn distinct(dirs: &BTreeSet<PathBuf>) -> BTreeMap<PathBuf, Identity> {
    let mut by_identity = BTreeMap::new();
    for dir in dirs {
        if let Some((path, identity)) = dir.ancestors().find_map(existing) {
            by_identity.entry(identity).or_insert(path);
        }
    }
    by_identity.into_iter().map(|(identity, path)| (path, identity)).collect()
}

fn existing(dir: &Path) -> Option<(PathBuf, Identity)> {
    let path = dir.canonicalize().ok()?;
    let found = path.metadata().ok()?;
    found.is_dir().then(|| (path, (found.dev(), found.ino())))
}
