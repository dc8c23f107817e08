//! The lines that were typed: walking through them, and the file that keeps them from one session
//! to the next.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Lines that are kept.
const MOST: usize = 1000;

/// Bytes of the file that are read; it never has as many but by someone else's hand.
const LARGEST: u64 = 16 << 20;

/// Bytes of a line that goes to the file.
const LONGEST: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The oldest first.
    lines: Vec<String>,
    /// The one that is shown, while someone walks through them.
    shown: Option<usize>,
    /// What was on the line before the walk.
    draft: String,
    /// Lines of this session, which the file does not have.
    new: Vec<String>,
    /// Where the file is, if there is to be one.
    file: Option<PathBuf>,
}

impl History {
    /// One that begins with what the file has and adds to it.
    pub(super) fn in_file(file: Option<PathBuf>) -> Self {
        let lines = file.as_deref().map(read).unwrap_or_default();
        Self { lines, file, ..Self::default() }
    }

    /// A line was sent.
    pub(super) fn add(&mut self, line: &str) {
        self.shown = None;
        if line.is_empty() || self.lines.last().is_some_and(|last| last == line) {
            return;
        }
        self.lines.push(line.to_owned());
        // As in a shell: what begins with a blank is not written down.
        if !line.starts_with(' ') && line.len() <= LONGEST && !line.contains(['\n', '\r']) {
            self.new.push(line.to_owned());
        }
        for lines in [&mut self.lines, &mut self.new] {
            lines.drain(..lines.len().saturating_sub(MOST));
        }
    }

    /// The line before the one that is shown, which is `current`.
    pub(super) fn older(&mut self, current: &str) -> Option<&str> {
        let at = self.shown.unwrap_or(self.lines.len()).checked_sub(1)?;
        if self.shown.is_none() {
            current.clone_into(&mut self.draft);
        }
        self.shown = Some(at);
        Some(&self.lines[at])
    }

    /// The line behind the one that is shown; at the end what was there before the walk.
    pub(super) fn newer(&mut self) -> Option<&str> {
        let at = self.shown? + 1;
        if at == self.lines.len() {
            self.shown = None;
            return Some(&self.draft);
        }
        self.shown = Some(at);
        Some(&self.lines[at])
    }

    /// Writes this session's lines behind those that the file has by now.
    ///
    /// # Errors
    /// The file could not be written; then it is as it was.
    pub(super) fn save(&self) -> io::Result<()> {
        let Some(file) = self.file.as_deref().filter(|_| !self.new.is_empty()) else {
            return Ok(());
        };
        if let Some(folder) = file.parent()
            && !folder.is_dir()
        {
            DirBuilder::new().mode(0o700).create(folder)?;
        }
        let mut lines = read(file);
        lines.extend_from_slice(&self.new);
        let kept = &lines[lines.len().saturating_sub(MOST)..];
        // Another session may do the same at this moment: each has a name of its own.
        let draft = file.with_extension(format!("{}.tmp", std::process::id()));
        write(&draft, kept).and_then(|()| fs::rename(&draft, file)).inspect_err(|_| {
            // What is left of it helps nobody.
            let _ = fs::remove_file(&draft);
        })
    }
}

/// The file in the user's state folder; none where there is no such folder.
pub(super) fn file_of_user() -> Option<PathBuf> {
    let folder = match std::env::var_os("XDG_STATE_HOME").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".local/state"),
    };
    (folder.is_absolute() && folder.is_dir()).then(|| folder.join("scriptsock/connect_history"))
}

/// The lines of the file, the last ones if it has many; none if it cannot be read.
fn read(file: &Path) -> Vec<String> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
    if read.is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(MOST)..].iter().map(|line| (*line).to_owned()).collect()
}

/// Writes a new file that its owner alone can read.
fn write(path: &Path, lines: &[String]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all((lines.join("\n") + "\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn of(lines: &[&str]) -> History {
        let mut history = History::default();
        for line in lines {
            history.add(line);
        }
        history
    }

    #[test]
    fn lines_are_walked_through_and_the_draft_comes_back() {
        let mut history = of(&["a", "b"]);
        assert_eq!(history.newer(), None);
        assert_eq!(history.older("draft"), Some("b"));
        assert_eq!(history.older("b"), Some("a"));
        assert_eq!(history.older("a"), None);
        assert_eq!(history.newer(), Some("b"));
        assert_eq!(history.newer(), Some("draft"));
        assert_eq!(history.newer(), None);
        history.older("");
        history.older("");
        history.add("c");
        assert_eq!(history.older(""), Some("c"));
    }

    #[test]
    fn repeats_and_empty_lines_are_left_out_and_the_oldest_go() {
        let mut history = of(&["a", "a", "", "a"]);
        assert_eq!(history.lines, ["a"]);
        for number in 0..2 * MOST {
            history.add(&number.to_string());
        }
        assert_eq!((history.lines.len(), history.new.len()), (MOST, MOST));
        assert_eq!(history.older(""), Some((2 * MOST - 1).to_string().as_str()));
    }

    #[test]
    fn the_file_is_private_and_holds_what_every_session_sent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scriptsock/connect_history");
        let mut first = History::in_file(Some(path.clone()));
        let mut second = History::in_file(Some(path.clone()));
        for line in ["one", " secret", "two\nthree", "four"] {
            first.add(line);
        }
        second.add("five");
        first.save().unwrap();
        second.save().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\nfour\nfive\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let mut third = History::in_file(Some(path));
        assert_eq!(third.older(""), Some("five"));
    }

    #[test]
    fn a_file_that_cannot_be_written_is_an_error_and_no_line_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("connect_history");
        History::in_file(Some(path.clone())).save().unwrap();
        assert!(!path.exists());
        let mut history = History::in_file(Some(dir.path().join("no/such/folder")));
        history.add("x");
        assert!(history.save().is_err());
    }
}
