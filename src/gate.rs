//! `--gate`: dialogues that must pass with a script before it goes live. Which script, and what
//! becomes of it, is `reload`'s business.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::hash::Fields;
use crate::script::Bundle;
use crate::settings::Settings;
use crate::simulation::suite::{Handlers, LARGEST, Suite, find, folders};

/// Failures that are shown in full.
const SHOWN: usize = 3;

/// See the module.
#[derive(Debug, Clone)]
pub struct Gate {
    paths: Vec<PathBuf>,
    settings: Arc<Settings>,
}

/// Whether it can be read in one go: a pipe would be waited for.
fn is_sound(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|it| it.is_file() && it.len() <= LARGEST)
}

/// What the dialogues are like: equal ones need not be played again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print([u8; 32]);

impl Gate {
    /// The gate that the settings ask for.
    #[must_use]
    pub fn of(settings: &Arc<Settings>) -> Option<Self> {
        let paths = settings.gate.clone();
        (!paths.is_empty()).then(|| Self { paths, settings: Arc::clone(settings) })
    }

    /// The folders whose changes can open or close it.
    #[must_use]
    pub fn watched(&self) -> BTreeSet<PathBuf> {
        // The watcher is not told where the server was started.
        folders(&self.paths)
            .into_iter()
            .map(|folder| std::path::absolute(&folder).unwrap_or(folder))
            .collect()
    }

    /// The dialogues as they are now.
    #[must_use]
    pub fn print(&self) -> Print {
        let mut fields = Fields::default();
        for file in find(&self.paths).unwrap_or_default() {
            fields.path("dialogue", &file);
            // What cannot be read fails when it is played.
            if is_sound(&file) {
                fields.field(&fs::read(&file).unwrap_or_default());
            }
        }
        Print(fields.finish())
    }

    /// Plays the dialogues with a script, on threads of their own, which end when nobody waits any
    /// more; tells how many there are.
    ///
    /// # Errors
    /// What differs, or why nothing could be played.
    pub async fn admit(&self, bundle: &Arc<Bundle>) -> Result<usize, String> {
        let (gate, bundle) = (self.clone(), Arc::clone(bundle));
        let stop = CancellationToken::new();
        let _stopping = stop.clone().drop_guard();
        let played = spawn_blocking(move || gate.play(bundle, stop)).await;
        played.unwrap_or_else(|_| Err("the dialogues could not be played".to_owned()))
    }

    fn play(&self, bundle: Arc<Bundle>, stop: CancellationToken) -> Result<usize, String> {
        let files = find(&self.paths).map_err(|error| error.to_string())?;
        if let Some(file) = files.iter().find(|file| !is_sound(file)) {
            return Err(format!("{} is no file of a dialogue's size", file.display()));
        }
        let suite = Suite {
            files,
            handlers: Handlers::given(bundle),
            settings: Arc::clone(&self.settings),
            splits: false,
            jobs: available_parallelism().map_or(1, NonZeroUsize::get),
            stop,
        };
        let (mut played, mut troubles) = (0, Vec::new());
        let ran = suite.run(|verdict| {
            played += 1;
            troubles.extend(verdict.trouble);
        });
        ran.map_err(|error| format!("no thread for the dialogues: {error}"))?;
        if troubles.is_empty() {
            return Ok(played);
        }
        let count = troubles.len();
        let mut text = format!("{count} of {played} dialogues failed");
        for trouble in troubles.iter().take(SHOWN) {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{trouble}");
        }
        if count > SHOWN {
            let _ = write!(text, "\nand {} more", count - SHOWN);
        }
        Err(text)
    }
}
