//! The file that a recording goes to: for its owner alone, nothing in it is overwritten unless that
//! is asked for, and it holds whole steps at any time, also where the disk is full.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where a recording goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// An open file.
#[derive(Debug)]
pub struct Output {
    file: File,
    name: String,
    /// Bytes of whole steps, where the file can be cut behind them.
    whole: Option<u64>,
}

/// Why a file cannot be recorded to.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Something would be lost.
    #[error("{name} exists already: choose another name, or remove it{hint}")]
    Exists {
        /// The file.
        name: String,
        /// What else may be done about it.
        hint: &'static str,
    },
    /// The system refused it.
    #[error("{name} cannot be written: {error}")]
    System {
        /// The file.
        name: String,
        /// What the system says.
        error: io::Error,
    },
}

impl Place {
    /// Opens it. A file that holds something is left alone and refused, unless it is to be
    /// overwritten; `hint` then says how that would be asked for.
    ///
    /// # Errors
    /// It holds something, or the system refuses it.
    pub fn open(&self, overwrite: bool, hint: &'static str) -> Result<Output, OpenError> {
        let name = self.to_string();
        let system = |error| OpenError::System { name: name.clone(), error };
        let file = match self {
            Self::Stdout => io::stdout().as_fd().try_clone_to_owned().map(File::from),
            Self::File(path) => match open(path, overwrite) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    return Err(OpenError::Exists { name, hint });
                }
                opened => opened,
            },
        };
        let file = file.map_err(system)?;
        // What is written to by others too, such as standard output, is not cut.
        let is_own = matches!(self, Self::File(_))
            && file.metadata().is_ok_and(|metadata| metadata.is_file());
        Ok(Output { file, name, whole: is_own.then_some(0) })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => out.write_str("standard output"),
            Self::File(path) => path.display().fmt(out),
        }
    }
}

/// A new file, or one that holds nothing; a device or a pipe as it is.
fn open(path: &Path, overwrite: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // What people say may hold secrets.
    options.write(true).mode(0o600);
    match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        opened => return opened,
    }
    match fs::metadata(path) {
        Ok(found) if found.is_file() && found.len() > 0 && !overwrite => {
            Err(ErrorKind::AlreadyExists.into())
        }
        Ok(found) if found.is_file() => options.truncate(true).open(path),
        Ok(_) => options.open(path),
        // A link that leads nowhere yet.
        Err(_) => options.create(true).open(path),
    }
}

impl Output {
    /// Writes whole lines. Where not all of them can be, none is there.
    pub(super) fn write(&mut self, text: &str) -> io::Result<()> {
        let written = self.file.write_all(text.as_bytes());
        match (&written, &mut self.whole) {
            (Ok(()), Some(whole)) => *whole += text.len() as u64,
            (Err(_), Some(whole)) => {
                // A part of a step is worse than none. Where even that fails, the first error counts.
                let _ = self.file.set_len(*whole);
            }
            (_, None) => {}
        }
        written.map_err(|error| self.explain(&error))
    }

    /// Sees to it that all is on the disk.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let synced = if self.whole.is_some() { self.file.sync_data() } else { Ok(()) };
        synced.map_err(|error| self.explain(&error))
    }

    fn explain(&self, error: &io::Error) -> io::Error {
        io::Error::other(format!("{} cannot be written: {error}", self.name))
    }
}
