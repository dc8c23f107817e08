//! Finds dialogues: files as they are given, and what is below folders.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::net::bind::reason;

/// What a dialogue's file ends with.
const ENDING: &str = "dialogue";

/// Folders that hold what was made, and not what was written.
const MADE: [&str; 2] = ["target", "node_modules"];

/// Why dialogues could not be found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// A path cannot be read.
    #[error("{}: {}", path.display(), reason(error))]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There are none below it.
    #[error("{}: there is no *.dialogue file below it", path.display())]
    None {
        /// The folder.
        path: PathBuf,
    },
}

/// The dialogues at these paths, sorted below each folder. Below it hidden folders, those in [`MADE`]
/// and links to folders are not looked into.
///
/// # Errors
/// A path cannot be read, or there is nothing below it.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FindError> {
    let mut files = Vec::new();
    for path in paths {
        let unreadable = |error| FindError::Unreadable { path: path.clone(), error };
        if !fs::metadata(path).map_err(unreadable)?.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        collect(path, &mut files)?;
        if files.len() == before {
            return Err(FindError::None { path: path.clone() });
        }
    }
    Ok(files)
}

/// The folders whose changes can change what [`find`] finds, or a dialogue itself.
#[must_use]
pub fn folders(paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for path in paths {
        if path.is_dir() {
            add_folders(path, &mut found);
        } else if let Some(folder) = path.parent() {
            let here = folder.as_os_str().is_empty();
            found.insert(if here { PathBuf::from(".") } else { folder.to_owned() });
        }
    }
    found
}

fn add_folders(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    found.insert(folder.to_owned());
    // What cannot be read is told of when the dialogues are looked for.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && is_looked_into(&path) {
            add_folders(&path, found);
        }
    }
}

/// Whether a folder may hold dialogues.
fn is_looked_into(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    !name.starts_with('.') && !MADE.contains(&name)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), FindError> {
    let unreadable = |error| FindError::Unreadable { path: folder.to_owned(), error };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        // A link is not followed, so that no folder is looked into for ever.
        paths.push((entry.path(), entry.file_type().is_ok_and(|kind| kind.is_dir())));
    }
    paths.sort();
    for (path, is_folder) in paths {
        let path = path.strip_prefix("./").unwrap_or(&path);
        if is_folder && is_looked_into(path) {
            collect(path, files)?;
        } else if path.extension().is_some_and(|ending| ending == ENDING) && is_read(path) {
            files.push(path.to_owned());
        }
    }
    Ok(())
}

/// Whether it is a file, or a link that leads nowhere, which is told; a pipe would be waited for.
fn is_read(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |it| it.is_file())
}
