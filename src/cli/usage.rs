//! Mistakes on the command line, each on one line: what was typed, what was expected and the
//! nearest right spelling. clap's own reports take several lines; its findings are used, not its
//! words.

use std::error::Error;
use std::fmt::Display;
use std::io::Write;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::Exit;
use crate::text::Printable;

/// Why the program ends before it has begun.
#[derive(Debug)]
pub enum Stop {
    /// Help or the version was asked for.
    Show(Box<clap::Error>),
    /// A mistake.
    Usage(UsageError),
}

/// A mistake on the command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{details}", Printable(.text.as_bytes()))]
pub struct UsageError {
    text: String,
    /// Lines that can be shown as they are, each behind a newline.
    details: String,
}

impl UsageError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        UsageError { text: text.into(), details: String::new() }
    }

    /// One that is shown in lines, which hold nothing that a terminal could be fooled by.
    pub(super) fn with_lines(text: &str, lines: &impl Display) -> Self {
        UsageError { text: text.to_owned(), details: format!("\n{lines}") }
    }

    /// Prints it to standard error.
    #[must_use]
    pub fn report(&self) -> Exit {
        // Without standard error nobody can be told; the status still says it.
        let _ = writeln!(std::io::stderr(), "scriptsock: {self}");
        Exit::Usage
    }
}

impl Stop {
    /// What clap found in a line for `program`, or for its command `chosen`.
    pub(super) fn from_clap(
        error: clap::Error,
        program: &Command,
        chosen: Option<&Command>,
    ) -> Self {
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Stop::Show(Box::new(error)),
            _ => Stop::Usage(UsageError::new(sentence(&error, program, chosen))),
        }
    }

    /// Prints what was asked for to standard output, or the mistake to standard error.
    #[must_use]
    pub fn report(&self) -> Exit {
        match self {
            Stop::Show(text) => match text.print() {
                Ok(()) => Exit::Stopped,
                Err(_) => Exit::Failed,
            },
            Stop::Usage(error) => error.report(),
        }
    }
}

/// What clap found, in one sentence.
fn sentence(error: &clap::Error, program: &Command, chosen: Option<&Command>) -> String {
    let own_name = match chosen {
        Some(command) => format!("scriptsock {}", command.get_name()),
        None => "scriptsock".to_owned(),
    };
    let arg = text(error, ContextKind::InvalidArg).unwrap_or_default();
    let value = text(error, ContextKind::InvalidValue).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument => unknown(error, &arg, &own_name),
        ErrorKind::InvalidSubcommand => {
            let name = text(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            unknown(error, &name, &own_name)
        }
        ErrorKind::MissingRequiredArgument => {
            format!("{arg} is missing ({own_name} --help shows how)")
        }
        ErrorKind::InvalidValue if value.is_empty() => format!("option '{arg}' needs a value"),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let command = chosen.and_then(|command| program.find_subcommand(command.get_name()));
            let origin = origin(&arg, &value, command.unwrap_or(program));
            format!("invalid value '{value}' for {origin}: {}", expectation(error))
        }
        ErrorKind::TooManyValues => format!("option '{}' takes no value", option_name(&arg)),
        ErrorKind::ArgumentConflict if arg.is_empty() => {
            let name = text(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            let prior = text(error, ContextKind::PriorArg).unwrap_or_default();
            format!(
                "'{name}' cannot be used with '{prior}': options before a command are the server's"
            )
        }
        ErrorKind::ArgumentConflict => match text(error, ContextKind::PriorArg) {
            Some(prior) if prior != arg => format!("'{arg}' cannot be used with '{prior}'"),
            _ => format!("option '{}' is given twice", option_name(&arg)),
        },
        ErrorKind::InvalidUtf8 => "an argument is not valid UTF-8".to_owned(),
        kind => kind.as_str().unwrap_or("the command line cannot be understood").to_owned(),
    }
}

fn unknown(error: &clap::Error, arg: &str, own_name: &str) -> String {
    let what = if arg.starts_with('-') { "unknown option" } else { "unexpected argument" };
    let near = text(error, ContextKind::SuggestedArg);
    let hint = match near.or_else(|| text(error, ContextKind::SuggestedSubcommand)) {
        Some(near) => format!("; did you mean '{near}'?"),
        None if Path::new(arg).extension().is_some_and(|end| end == "lua") => {
            format!("; did you mean '--script {arg}'?")
        }
        None => String::new(),
    };
    format!("{what} '{arg}'{hint} ({own_name} --help lists all)")
}

/// What was expected in place of a value.
fn expectation(error: &clap::Error) -> String {
    if let Some(reason) = error.source() {
        return reason.to_string();
    }
    let Some(ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue) else {
        return "it cannot be read".to_owned();
    };
    let hint = match text(error, ContextKind::SuggestedValue) {
        Some(near) => format!("; did you mean '{near}'?"),
        None => String::new(),
    };
    format!("expected {}{hint}", valid.join(", "))
}

/// Where a value came from: the option, or its environment variable if that holds the value. clap
/// does not tell, and one text in both places is the same mistake.
fn origin(arg: &str, value: &str, command: &Command) -> String {
    let option = option_name(arg);
    let known = command
        .get_arguments()
        .find(|known| known.get_long().is_some_and(|long| option.strip_prefix("--") == Some(long)));
    match known.and_then(Arg::get_env) {
        Some(name) if std::env::var_os(name).is_some_and(|set| set == value) => {
            name.to_string_lossy().into_owned()
        }
        _ => format!("'{option}'"),
    }
}

/// `--budget` of clap's `--budget <TIME>`.
fn option_name(arg: &str) -> &str {
    arg.split_once(' ').map_or(arg, |(name, _)| name).trim_end_matches("...")
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        ContextValue::StyledStr(text) => Some(text.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::Cli;
    use super::*;

    fn mistake(args: &[&str]) -> String {
        let args = ["scriptsock"].iter().chain(args).map(OsString::from);
        let error = match Cli::read(args) {
            Ok(cli) => cli.options.settings().expect_err("a mistake"),
            Err(Stop::Usage(error)) => error,
            Err(Stop::Show(text)) => panic!("shows {text}"),
        };
        let error = error.to_string();
        assert!(!error.contains('\n'), "{error}");
        error
    }

    #[test]
    fn an_unknown_option_gets_the_nearest_one() {
        assert_eq!(
            mistake(&["bnech", "80"]),
            "unexpected argument 'bnech'; did you mean 'bench'? (scriptsock --help lists all)"
        );
        assert_eq!(
            mistake(&["--scrpt", "x"]),
            "unknown option '--scrpt'; did you mean '--script'? (scriptsock --help lists all)"
        );
        assert_eq!(mistake(&["-Z"]), "unknown option '-Z' (scriptsock --help lists all)");
    }

    #[test]
    fn a_stray_script_is_proposed_as_one() {
        assert_eq!(
            mistake(&["upper.lua"]),
            "unexpected argument 'upper.lua'; did you mean '--script upper.lua'? \
             (scriptsock --help lists all)"
        );
        assert_eq!(mistake(&["x"]), "unexpected argument 'x' (scriptsock --help lists all)");
    }

    #[test]
    fn a_missing_value_names_the_option() {
        assert_eq!(mistake(&["--script"]), "option '--script <FILE>' needs a value");
        assert_eq!(mistake(&["--budget", "--once"]), "option '--budget <TIME>' needs a value");
        assert_eq!(mistake(&["-s", ""]), "option '--script <FILE>' needs a value");
        assert_eq!(mistake(&["--watch"]), "option '--watch <native|poll|off>' needs a value");
    }

    #[test]
    fn a_bad_value_says_what_was_expected() {
        assert_eq!(
            mistake(&["--budget", "5"]),
            "invalid value '5' for '--budget': give a unit, for example 30s"
        );
        assert_eq!(
            mistake(&["-w", "many"]),
            "invalid value 'many' for '--workers': expected a number from 1 to 1024, or auto"
        );
        assert_eq!(
            mistake(&["--watch", "pol"]),
            "invalid value 'pol' for '--watch': expected native, poll, off; did you mean 'poll'?"
        );
        assert_eq!(
            mistake(&["--log-format=xml"]),
            "invalid value 'xml' for '--log-format': expected text, json"
        );
        assert_eq!(
            mistake(&["--memory", "a\nb"]),
            "invalid value 'a\\nb' for '--memory': \
             expected a size, for example 65536, 64KiB or 1MiB"
        );
    }

    #[test]
    fn a_bad_listener_is_named() {
        let error = mistake(&["-l", "8080", "-l", "tpc://127.0.0.1:1"]);
        assert!(error.starts_with("invalid value 'tpc://127.0.0.1:1' for '--listen': "));
        assert!(error.ends_with("; did you mean tcp://"), "{error}");
        assert_eq!(
            mistake(&["-l", "none", "-l", "80"]),
            "invalid value 'none' for '--listen': it excludes every other listener"
        );
        assert_eq!(
            mistake(&["-l", "8080", "-l", "web=udp://127.0.0.1:8080"]),
            "invalid value 'web=udp://127.0.0.1:8080' for '--listen': \
             udp://127.0.0.1:8080 is given twice"
        );
    }

    #[test]
    fn a_bad_framing_says_what_was_expected() {
        let error = mistake(&["-f", "lime"]);
        assert!(error.starts_with("invalid value 'lime' for '--framing': "), "{error}");
        assert!(error.contains("did you mean line"), "{error}");
        let error = mistake(&["-f", "fixed:10", "--max-message", "5"]);
        assert!(error.starts_with("invalid value 'fixed:10' for '--framing': "), "{error}");
    }

    #[test]
    fn contradictions_are_refused() {
        assert_eq!(mistake(&["-q", "-v"]), "--quiet and --verbose contradict each other: give one");
        assert_eq!(mistake(&["--once", "--once"]), "option '--once' is given twice");
        assert_eq!(mistake(&["-w1", "-w2"]), "option '--workers' is given twice");
        assert_eq!(mistake(&["--once=maybe"]), "option '--once' takes no value");
    }

    #[test]
    fn help_and_version_are_no_mistakes() {
        for option in ["--help", "-h", "--version", "-V"] {
            let args = ["scriptsock", option].map(OsString::from);
            assert!(matches!(Cli::read(args), Err(Stop::Show(_))), "{option}");
        }
    }
}
