//! Programs that we did not write and that drive a server: found on PATH, run with a limit. Where
//! one is missing its test is skipped and says so; in CI, where the variable `CI` is set, it fails.

use super::LIMIT;
use std::env;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A program on this machine.
#[derive(Debug)]
pub struct Tool {
    path: PathBuf,
}

/// What a program printed, once it had ended.
#[derive(Debug)]
pub struct Printed {
    /// Exit status; none where a signal ended it.
    pub status: Option<i32>,
    /// All of standard output.
    pub out: String,
    /// All of standard error.
    pub err: String,
}

impl Tool {
    /// Looks for `program` on PATH. Where it is not there, says that the test is skipped and which
    /// Debian package has it; fails in CI.
    #[track_caller]
    pub fn find(program: &str, package: &str) -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        find_in(&path, program, package, env::var_os("CI").is_some())
    }

    /// The program, to be started by the caller, who also ends it.
    pub fn command(&self) -> Command {
        Command::new(&self.path)
    }

    /// Runs it to its end, without input.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Printed {
        self.run_with(args, "")
    }

    /// Runs it to its end, with `input` on standard input. One that takes longer than a test waits
    /// is killed, and the test fails.
    #[track_caller]
    pub fn run_with<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        input: &str,
    ) -> Printed {
        let mut command = self.command();
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = gather(child.stdout.take().unwrap());
        let err = gather(child.stderr.take().unwrap());
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || {
            // Fails where the program ends without having read all of it.
            let _ = stdin.write_all(input.as_bytes());
        });
        let status = end_of(&mut child);
        let (out, err) = (out.join().unwrap(), err.join().unwrap());
        writer.join().unwrap();
        let Some(status) = status else {
            panic!("{command:?} has not ended after {LIMIT:?}; it printed\n{out}{err}");
        };
        Printed { status: status.code(), out, err }
    }
}

impl Printed {
    /// What it wrote to standard output, where it ended with status 0.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, Some(0), "{self:?}");
        self.out
    }
}

#[track_caller]
fn find_in(path: &OsStr, program: &str, package: &str, ci: bool) -> Option<Tool> {
    let found = env::split_paths(path).map(|folder| folder.join(program)).find(|candidate| {
        candidate.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    });
    if let Some(path) = found {
        return Some(Tool { path });
    }
    assert!(!ci, "no {program} on PATH; it is in the Debian package {package}");
    println!("skipped: no {program} on PATH; it is in the Debian package {package}");
    None
}

/// Reads all of a pipe in a thread.
fn gather(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        pipe.read_to_end(&mut all).unwrap();
        String::from_utf8_lossy(&all).into_owned()
    })
}

/// Waits for the end; none where it had to be killed.
fn end_of(child: &mut Child) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if start.elapsed() > LIMIT {
            // Fails only where it has ended meanwhile.
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::{Tool, find_in};
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_tool_is_found_on_path_and_run() {
        let shell = Tool::find("sh", "dash").unwrap();
        let printed = shell.run_with(["-c", "cat; echo no >&2; exit 3"], "hello\n");
        assert_eq!(printed.status, Some(3));
        assert_eq!((printed.out.as_str(), printed.err.as_str()), ("hello\n", "no\n"));
        assert_eq!(shell.run(["-c", "echo a b"]).ok(), "a b\n");
    }

    #[test]
    fn a_missing_tool_skips_a_test() {
        assert!(find_in(OsStr::new("/bin:/nowhere"), "no-such-tool", "none", false).is_none());
        assert!(find_in(OsStr::new(""), "sh", "dash", false).is_none());
    }

    #[test]
    #[should_panic(expected = "no no-such-tool on PATH; it is in the Debian package some-package")]
    fn a_missing_tool_fails_in_ci() {
        find_in(OsStr::new("/bin"), "no-such-tool", "some-package", true);
    }

    #[test]
    fn what_cannot_be_run_is_not_the_tool() {
        let (first, second) =
            (tempfile::TempDir::new().unwrap(), tempfile::TempDir::new().unwrap());
        let path = std::env::join_paths([first.path(), second.path()]).unwrap();
        fs::write(first.path().join("tool"), "a text").unwrap();
        fs::create_dir(second.path().join("tool")).unwrap();
        assert!(find_in(&path, "tool", "none", false).is_none());
        fs::remove_dir(second.path().join("tool")).unwrap();
        fs::write(second.path().join("tool"), "#!/bin/sh\necho second\n").unwrap();
        let mut mode = fs::metadata(second.path().join("tool")).unwrap().permissions();
        mode.set_mode(0o755);
        fs::set_permissions(second.path().join("tool"), mode).unwrap();
        let tool = find_in(&path, "tool", "none", false).unwrap();
        assert!(tool.path.starts_with(second.path()));
    }
}
