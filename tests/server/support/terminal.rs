//! A command of the program on a terminal: a real pseudo-terminal, whose screen is worked out from
//! what the program writes, as a terminal would show it.

use super::{LIMIT, wait_until};
use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};

/// Rows of the screen.
pub const ROWS: u16 = 12;
/// Columns of the screen.
pub const COLUMNS: u16 = 80;

/// A command on a terminal of its own.
pub struct Terminal {
    child: Child,
    keyboard: File,
    /// The terminal's other side, so that its mode can be looked at after the end.
    other: OwnedFd,
    screen: Arc<(Mutex<vt100::Parser>, Condvar)>,
}

/// What a command is started with.
pub struct Setup {
    command: Command,
    stdout: Option<Stdio>,
}

impl Setup {
    /// The state folder of the user.
    pub fn state(mut self, folder: &Path) -> Self {
        self.command.env("XDG_STATE_HOME", folder);
        self
    }

    /// One environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Standard output is not the terminal.
    pub fn stdout(mut self, file: File) -> Self {
        self.stdout = Some(file.into());
        self
    }

    /// Starts it.
    #[track_caller]
    pub fn start(mut self) -> Terminal {
        let size = Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let slave = || Stdio::from(pty.slave.try_clone().unwrap());
        self.command.stdin(slave()).stderr(slave());
        self.command.stdout(self.stdout.take().unwrap_or_else(slave));
        let child = self.command.spawn().unwrap();
        let parser = vt100::Parser::new(size_of(ROWS), size_of(COLUMNS), 0);
        let screen = Arc::new((Mutex::new(parser), Condvar::new()));
        let theirs = Arc::clone(&screen);
        let keyboard = File::from(pty.master);
        let mut output = keyboard.try_clone().unwrap();
        // Ends once nobody has the other side open any more.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = output.read(&mut buffer) {
                theirs.0.lock().unwrap().process(&buffer[..count]);
                theirs.1.notify_all();
            }
        });
        Terminal { child, keyboard, other: pty.slave, screen }
    }
}

impl Terminal {
    /// The program with these arguments. It has no state folder but one that is given.
    pub fn setup(args: &[&str]) -> Setup {
        Self::setup_below(&[], args)
    }

    /// A script of a shell with job control, for which the program is `"$0" "$@"`.
    pub fn setup_in_shell(script: &str, args: &[&str]) -> Setup {
        Self::setup_below(&["sh", "-mc", script], args)
    }

    fn setup_below(above: &[&str], args: &[&str]) -> Setup {
        // The terminal is the one of its session, so that it gets its signals.
        let mut command = Command::new("setsid");
        command.arg("--ctty").args(above).arg(env!("CARGO_BIN_EXE_scriptsock")).args(args);
        command.env("TERM", "xterm").env("XDG_STATE_HOME", "/no/such/folder");
        Setup { command, stdout: None }
    }

    /// Starts the program with these arguments.
    #[track_caller]
    pub fn start(args: &[&str]) -> Self {
        Self::setup(args).start()
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// The rows of the screen as far as they are used, without the blanks behind them.
    pub fn rows(&self) -> Vec<String> {
        rows(&self.screen.0.lock().unwrap())
    }

    /// Waits until the last rows are these.
    #[track_caller]
    pub fn wait_rows(&self, expected: &[&str]) {
        let ends = |rows: &[String]| {
            rows.ends_with(&expected.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>())
        };
        self.wait(&format!("{expected:#?}"), |screen| ends(&rows(screen)));
    }

    /// Waits until the cursor is in this column of the last row, from 0 on.
    #[track_caller]
    pub fn wait_column(&self, column: u16) {
        self.wait(&format!("the cursor in column {column}"), |screen| {
            let (row, at) = screen.screen().cursor_position();
            at == column && usize::from(row) + 1 == rows(screen).len().max(1)
        });
    }

    /// Waits until the screen is as wished.
    #[track_caller]
    pub fn wait(&self, what: &str, found: impl Fn(&vt100::Parser) -> bool) {
        let (lock, changed) = &*self.screen;
        let screen = lock.lock().unwrap();
        let (screen, waited) =
            changed.wait_timeout_while(screen, LIMIT, |screen| !found(screen)).unwrap();
        let shown = rows(&screen);
        drop(screen);
        assert!(!waited.timed_out(), "waited in vain for {what}\ngot {shown:#?}");
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// The terminal gives keys one by one, and does not show them itself.
    pub fn is_raw(&self) -> bool {
        use nix::sys::termios::{LocalFlags, tcgetattr};
        let mode = tcgetattr(&self.other).unwrap();
        !mode.local_flags.intersects(LocalFlags::ICANON | LocalFlags::ECHO)
    }

    /// Another size of the screen.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        self.screen.0.lock().unwrap().set_size(size_of(rows), size_of(columns));
        let stty = Command::new("stty")
            .args(["rows", &rows.to_string(), "columns", &columns.to_string()])
            .stdin(self.other.try_clone().unwrap())
            .status()
            .unwrap();
        assert!(stty.success());
    }

    /// Waits for its end, and for all that it has written; its exit status. The terminal is as it
    /// was before.
    #[track_caller]
    pub fn wait_exit(&mut self) -> i32 {
        let status = wait_until("the program should end", || self.child.try_wait().unwrap());
        assert!(!self.is_raw(), "the terminal was left in raw mode");
        status.code().expect("an exit status")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Fails only where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the screen\n{:#?}", self.rows());
        }
    }
}

fn size_of(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

fn rows(screen: &vt100::Parser) -> Vec<String> {
    let all = screen.screen().rows(0, COLUMNS).map(|row| row.trim_end().to_owned());
    let mut rows: Vec<String> = all.collect();
    while rows.last().is_some_and(String::is_empty) {
        rows.pop();
    }
    rows
}
