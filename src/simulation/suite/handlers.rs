//! Whom a dialogue is held with: one handler for all, or the one that each names.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::script::{Bundle, Source};
use crate::settings::Script;
use crate::transcript::Dialogue;

/// See the module.
pub struct Handlers(Kind);

enum Kind {
    /// Whatever a dialogue says.
    Given(Arc<Bundle>),
    /// What each says; else what the server would run. Each is read once.
    Own { cwd: PathBuf, usual: Script, known: Mutex<HashMap<Choice, Arc<Bundle>>> },
}

/// What was asked for, and where names begin.
type Choice = (Option<PathBuf>, PathBuf);

impl Handlers {
    /// The same for all.
    #[must_use]
    pub fn given(bundle: Arc<Bundle>) -> Self {
        Self(Kind::Given(bundle))
    }

    /// The one that each dialogue names; else what a server that is started in `cwd` runs as usual.
    #[must_use]
    pub fn own(cwd: PathBuf, usual: Script) -> Self {
        Self(Kind::Own { cwd, usual, known: Mutex::default() })
    }

    /// That of a dialogue in `folder`.
    pub(super) fn of(&self, dialogue: &Dialogue, folder: &Path) -> Result<Arc<Bundle>, String> {
        let (cwd, usual, known) = match &self.0 {
            Kind::Given(bundle) => return Ok(Arc::clone(bundle)),
            Kind::Own { cwd, usual, known } => (cwd, usual, known),
        };
        let named = dialogue.directives.handler.as_ref();
        let named = named.map(|file| PathBuf::from(file.to_string()));
        let choice = (named, cwd.join(folder));
        let lock = || known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bundle) = lock().get(&choice) {
            return Ok(Arc::clone(bundle));
        }
        let source = match &choice.0 {
            Some(file) => locate(file, folder, cwd),
            None => Source::locate(usual, cwd).map_err(|error| error.to_string()),
        };
        let bundle = Arc::new(source?.read().map_err(|error| error.to_string())?);
        lock().insert(choice, Arc::clone(&bundle));
        Ok(bundle)
    }
}

/// Finds the handler that a dialogue in `folder` names: beside it, or built in. It is shown by its
/// way from `cwd`.
fn locate(file: &Path, folder: &Path, cwd: &Path) -> Result<Source, String> {
    let beside = without_detours(&folder.join(file));
    Source::locate(&Script::Named(beside), cwd).or_else(|missing| {
        Source::locate(&Script::Named(file.to_owned()), &cwd.join(folder))
            .map_err(|_| missing.to_string())
    })
}

/// A path without `.` and without `..` behind a name.
fn without_detours(path: &Path) -> PathBuf {
    let mut straight = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(straight.components().next_back(), Some(Component::Normal(_))) =>
            {
                straight.pop();
            }
            part => straight.push(part),
        }
    }
    // The folder itself.
    if straight.as_os_str().is_empty() { PathBuf::from(".") } else { straight }
}
