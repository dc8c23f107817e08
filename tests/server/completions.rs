//! `scriptsock completions`: the shells take them, and bash completes with them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::check::{folder, run};
use crate::support::Tool;

/// The completions for a shell.
#[track_caller]
fn completions(shell: &str) -> String {
    let ran = run(folder(&[]).path(), &["completions", shell]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(ran.stdout.lines().count() > 20, "{ran:?}");
    ran.stdout
}

/// Runs bash on a script that it gets on its standard input.
fn bash(arguments: &[&str], script: &str) -> Output {
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile"]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// What bash offers behind these words.
#[track_caller]
fn offered(words: &[&str]) -> Vec<String> {
    let last = words.len() - 1;
    let script = format!(
        "{}\nCOMP_WORDS=({})\nCOMP_CWORD={last}\n_scriptsock scriptsock '{}' '{}'\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        completions("bash"),
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words[last],
        words[last - 1],
    );
    let output = bash(&[], &script);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn every_shell_has_completions_that_know_commands_and_options() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = completions(shell);
        for word in ["check", "init", "bench", "max-message", "template", "no-editor"] {
            assert!(text.contains(word), "{shell} has no {word}");
        }
    }
}

#[test]
fn bash_takes_them_and_completes() {
    let output = bash(&["-n"], &completions("bash"));
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let commands = offered(&["scriptsock", "ch"]);
    assert!(commands.contains(&"check".to_owned()), "{commands:?}");
    assert!(offered(&["scriptsock", "--max-m"]).contains(&"--max-message".to_owned()));
    assert_eq!(offered(&["scriptsock", "init", "--no"]), ["--no-editor"]);
    let templates = offered(&["scriptsock", "init", "--template", ""]);
    assert_eq!(templates, ["line", "session", "binary", "udp", "device"]);
}

#[test]
fn zsh_and_fish_take_them() {
    for (shell, check) in [("zsh", "-n"), ("fish", "--no-execute")] {
        let Some(tool) = Tool::find(shell, shell) else { continue };
        let dir = folder(&[("completions", &completions(shell))]);
        let printed = tool.run([Path::new(check), &dir.path().join("completions")]);
        assert_eq!((printed.status, printed.err.as_str()), (Some(0), ""), "{shell}: {printed:?}");
    }
}

#[test]
fn a_misspelt_shell_is_met_with_the_nearest() {
    let ran = run(folder(&[]).path(), &["completions", "fsh"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{ran:?}");
    assert!(ran.stderr.contains("did you mean 'fish'?"), "{ran:?}");
    let ran = run(folder(&[]).path(), &["completions"]);
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("<SHELL> is missing"), "{ran:?}");
}

#[test]
fn a_reader_that_leaves_early_is_no_crash() {
    let mut command = Command::new("sh");
    command.args(["-c", "\"$0\" completions bash | head -n 1; exit 0"]);
    let output = command.arg(env!("CARGO_BIN_EXE_scriptsock")).output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
    // A file that is full tells of it.
    let mut command = Command::new("sh");
    command.args(["-c", "\"$0\" completions bash >/dev/full"]);
    let output = command.arg(env!("CARGO_BIN_EXE_scriptsock")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.starts_with(b"scriptsock completions: "), "{output:?}");
}
