//! Writes files where there are none: all of them, or none.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Those of `files` that are there already, below `folder`; a link that leads nowhere is there too.
pub(super) fn in_the_way<'a>(
    folder: &Path,
    files: &[(&'a str, &str)],
) -> anyhow::Result<Vec<&'a str>> {
    let mut found = Vec::new();
    for (name, _) in files {
        let path = folder.join(name);
        match fs::symlink_metadata(&path) {
            Ok(_) => found.push(*name),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("{} cannot be written; nothing was written", path.display())
                });
            }
        }
    }
    Ok(found)
}

/// Writes `files` below `folder`, which is made where it does not exist. After a failure nothing
/// of it is left.
pub(super) fn write(folder: &Path, files: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut made = Made::default();
    for (name, text) in files {
        let path = folder.join(name);
        if let Err(error) = made.file(&path, text) {
            made.remove();
            return Err(error).with_context(|| {
                format!("{} cannot be written; nothing was written", path.display())
            });
        }
    }
    Ok(())
}

/// What was made so far, in that order.
#[derive(Default)]
struct Made {
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Made {
    fn file(&mut self, path: &Path, text: &str) -> io::Result<()> {
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        // What has appeared since it was looked for is not overwritten either.
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        self.files.push(path.to_owned());
        file.write_all(text.as_bytes())
    }

    fn folder(&mut self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        fs::create_dir(path)?;
        self.folders.push(path.to_owned());
        Ok(())
    }

    /// Takes it all back, as far as that is possible.
    fn remove(&self) {
        for file in self.files.iter().rev() {
            let _ = fs::remove_file(file);
        }
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}
