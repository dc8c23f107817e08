//! The mode of the terminal on standard input: raw while a line is edited, so that every key
//! arrives at once and is shown by us; what it was before at the end, however that comes.

use std::io::{self, IsTerminal, Write};

use rustix::process::{Signal, kill_current_process_group};
use rustix::stdio::stdin;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// Has the terminal mark what is pasted, and no more.
const MARK_PASTES: &[u8] = b"\x1b[?2004h";
const NO_MARKS: &[u8] = b"\x1b[?2004l";

/// The raw mode, until it is dropped.
#[derive(Debug)]
pub(super) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Enters it.
    ///
    /// # Errors
    /// Standard input is no terminal any more.
    pub(super) fn enter() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mode = Self { before };
        mode.set()?;
        Ok(mode)
    }

    /// Stops the process as Ctrl-Z does, and enters the mode again once it goes on.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        self.reset();
        kill_current_process_group(Signal::TSTP)?;
        self.before = tcgetattr(stdin())?;
        self.set()
    }

    fn set(&self) -> io::Result<()> {
        let mut raw = self.before.clone();
        // Output stays as it is: LF goes to the begin of the next row.
        raw.input_modes.remove(
            InputModes::BRKINT
                | InputModes::ICRNL
                | InputModes::INLCR
                | InputModes::ISTRIP
                | InputModes::IXON,
        );
        raw.local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN | LocalModes::ISIG);
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(stdin(), OptionalActions::Drain, &raw)?;
        mark(MARK_PASTES);
        Ok(())
    }

    fn reset(&self) {
        mark(NO_MARKS);
        // A terminal that is gone needs no mode.
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.before);
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        self.reset();
    }
}

/// Tells the terminal, which is on standard output or on standard error.
fn mark(sequence: &[u8]) {
    // Where it does not take it, pastes are typed lines.
    if io::stdout().is_terminal() {
        let _ = io::stdout().write_all(sequence).and_then(|()| io::stdout().flush());
    } else if io::stderr().is_terminal() {
        let _ = io::stderr().write_all(sequence);
    }
}
