//! Finds the script that was asked for: as a file, under `scripts/`, or among the built-in
//! handlers. Reading it is `read`'s business.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::builtin::{self, BUILTINS, Builtin};
use super::bundle::Bundle;
use super::folders;
use super::read::{self, ReadError, Unreadable};
use crate::settings::Script;

/// Where scripts are looked for when they are not found as given.
const FOLDER: &str = "scripts";

/// What runs where no script is named.
const DEFAULT: &str = "scripts/handler.lua";

/// Where the script comes from, for as long as the server runs.
#[derive(Debug)]
pub struct Source(Origin);

#[derive(Debug)]
enum Origin {
    File(Place),
    Builtin(&'static Builtin),
    /// The built-in handler runs until the file is there for the first time.
    Awaited {
        file: Place,
        seen: AtomicBool,
    },
}

#[derive(Debug)]
struct Place {
    path: PathBuf,
    shown: PathBuf,
}

impl Source {
    /// Finds the script; relative paths begin at `cwd`, an absolute path.
    ///
    /// # Errors
    /// There is no such script, or it is a directory or cannot be opened.
    pub fn locate(choice: &Script, cwd: &Path) -> Result<Self, NotFound> {
        match choice {
            Script::Default => default(cwd),
            Script::Named(value) => named(value, cwd),
        }
    }

    /// Reads the script as it is now, with the static closure of what it requires.
    ///
    /// # Errors
    /// The main file is missing or unusable. What is wrong with a required file is said by
    /// [`Bundle::resolve`] once the script requires it.
    pub fn read(&self) -> Result<Bundle, ReadError> {
        match &self.0 {
            Origin::Builtin(builtin) => Ok(read::from_builtin(builtin, BTreeSet::new())),
            Origin::File(file) => read::from_disk(&file.path, &file.shown),
            Origin::Awaited { file, seen } => {
                let result = read::from_disk(&file.path, &file.shown);
                let missing = result.as_ref().is_err_and(ReadError::is_missing);
                if missing && !seen.load(Ordering::Relaxed) {
                    return Ok(read::from_builtin(&builtin::UPPER, self.watched()));
                }
                seen.store(true, Ordering::Relaxed);
                result
            }
        }
    }

    /// The file that goes live when it appears, as people are shown it.
    #[must_use]
    pub fn awaited(&self) -> Option<&Path> {
        match &self.0 {
            Origin::Awaited { file, seen } if !seen.load(Ordering::Relaxed) => Some(&file.shown),
            _ => None,
        }
    }

    /// The folders that decide which file this is: what to watch when [`Source::read`] failed.
    #[must_use]
    pub fn watched(&self) -> BTreeSet<PathBuf> {
        let mut watched = BTreeSet::new();
        match &self.0 {
            Origin::Builtin(_) => {}
            Origin::File(file) | Origin::Awaited { file, .. } => {
                folders::watched(&file.path, &mut watched);
            }
        }
        watched
    }
}

/// Why there is no script to run; one line that names what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// There is none of this name anywhere.
    #[error("no script {value:?}: tried {}{}", tried.join(", "), hint(*near))]
    Nowhere {
        /// What was asked for.
        value: String,
        /// Every place looked at.
        tried: Vec<String>,
        /// The built-in handler that may have been meant.
        near: Option<&'static str>,
    },
    /// It is there and cannot be run.
    #[error("script {shown:?} {why}")]
    Unusable {
        /// The file as people are shown it.
        shown: String,
        /// What is wrong with it.
        why: Unreadable,
    },
}

fn hint(near: Option<&str>) -> String {
    if let Some(near) = near {
        return format!("; did you mean the built-in {near}?");
    }
    let names: Vec<_> = BUILTINS.iter().map(|one| one.name).collect();
    format!("; built in are {}", names.join(", "))
}

fn default(cwd: &Path) -> Result<Source, NotFound> {
    let file = Place { path: cwd.join(DEFAULT), shown: DEFAULT.into() };
    match read::open(&file.path) {
        Ok(_) => Ok(Source(Origin::File(file))),
        Err(Unreadable::Missing) => {
            Ok(Source(Origin::Awaited { file, seen: AtomicBool::new(false) }))
        }
        Err(why) => Err(unusable(&file.shown, why)),
    }
}

fn named(value: &Path, cwd: &Path) -> Result<Source, NotFound> {
    let mut tried = Vec::new();
    // A directory does not hide a script: `-s echo` beside a folder `echo`.
    let mut directory = None;
    for shown in places(value) {
        let path = cwd.join(&shown);
        match read::open(&path) {
            Ok(_) => return Ok(Source(Origin::File(Place { path, shown }))),
            Err(Unreadable::Missing) => tried.push(shown.display().to_string()),
            Err(why @ Unreadable::Directory) => {
                directory.get_or_insert_with(|| unusable(&shown, why));
            }
            Err(why) => return Err(unusable(&shown, why)),
        }
    }
    // A path with folders in it means that file, and never a handler that is spelled alike.
    let name = value.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if is_bare(value) {
        if let Some(builtin) = builtin::find(name) {
            return Ok(Source(Origin::Builtin(builtin)));
        }
        tried.push("the built-in handlers".to_owned());
    }
    let near = builtin::find(name).or_else(|| builtin::nearest(name)).map(|one| one.name);
    let value = value.display().to_string();
    Err(directory.unwrap_or(NotFound::Nowhere { value, tried, near }))
}

fn unusable(shown: &Path, why: Unreadable) -> NotFound {
    NotFound::Unusable { shown: shown.display().to_string(), why }
}

/// Where a named script may be: as given, then under `scripts/`; `.lua` may be left out.
fn places(value: &Path) -> Vec<PathBuf> {
    let mut spellings = vec![value.to_path_buf()];
    if value.extension().is_none() && value.file_name().is_some() {
        let mut with_ending: OsString = value.as_os_str().to_owned();
        with_ending.push(".lua");
        spellings.push(with_ending.into());
    }
    let mut places = spellings.clone();
    if value.is_relative() {
        places.extend(spellings.iter().map(|spelling| Path::new(FOLDER).join(spelling)));
    }
    places
}

fn is_bare(value: &Path) -> bool {
    let mut components = value.components();
    matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
}
