//! `scriptsock completions SHELL`: the completions of this command line. Doc comments are the help
//! text.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::failure::fail;
use super::{Cli, Exit};

const EXAMPLES: &str = "\
Examples:
  bash        source <(scriptsock completions bash)      in ~/.bashrc
  zsh         scriptsock completions zsh >DIR/_scriptsock    where DIR is in $fpath
  fish        scriptsock completions fish >~/.config/fish/completions/scriptsock.fish
  elvish      eval (scriptsock completions elvish | slurp)    in ~/.config/elvish/rc.elv
  powershell  scriptsock completions powershell | Out-String | Invoke-Expression    in $PROFILE";

/// What was typed.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsOptions {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    shell: Shell,
}

impl CompletionsOptions {
    /// Writes them to standard output.
    #[must_use]
    pub fn run(&self) -> Exit {
        // Not to standard output at once, because generating panics where nobody reads that.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "scriptsock", &mut script);
        let mut out = io::stdout().lock();
        match out.write_all(&script).and_then(|()| out.flush()) {
            Ok(()) => Exit::Stopped,
            Err(error) => fail("scriptsock completions", &error.into()),
        }
    }
}
