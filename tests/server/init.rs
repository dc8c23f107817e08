//! `scriptsock init` in a fresh folder: what it writes runs, is sound, and answers as its dialogue
//! says; what is there already stays.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::check::{Ran, folder, run};
use crate::support::Server;

const TEMPLATES: [&str; 5] = ["line", "session", "binary", "udp", "device"];

const FILES: [&str; 7] = [
    "scripts/handler.lua",
    "tests/handler.dialogue",
    ".vscode/settings.json",
    ".luaurc",
    ".luarc.json",
    "types/scriptsock.d.luau",
    "types/scriptsock.meta.lua",
];

/// Every file below a folder, by its path from there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[track_caller]
fn assert_files(folder: &Path, expected: &[&str]) {
    let mut expected: Vec<_> = expected.iter().map(PathBuf::from).collect();
    expected.sort();
    assert_eq!(files(folder), expected);
}

/// Runs init in a fresh folder, where it has to go well.
#[track_caller]
fn init(arguments: &[&str]) -> (TempDir, Ran) {
    let dir = TempDir::new().unwrap();
    let ran = run(dir.path(), &[&["init"], arguments].concat());
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    (dir, ran)
}

/// Runs it where it has to fail, and expects that nothing is written.
#[track_caller]
fn refused(dir: &Path, arguments: &[&str], parts: &[&str]) {
    let before = files(dir);
    let ran = run(dir, &[&["init"], arguments].concat());
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    for part in parts {
        assert!(ran.stderr.contains(part), "no {part:?} in {ran:?}");
    }
    assert_eq!(files(dir), before);
}

#[test]
fn a_folder_is_ready_to_run_without_options() {
    let builder = Server::builder();
    let ran = run(builder.dir(), &["init"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert_files(builder.dir(), &FILES);
    assert!(ran.stdout.contains("wrote ./scripts/handler.lua\n"), "{ran:?}");
    let next = "now type:                 scriptsock\n\
                and in a second terminal: scriptsock connect 7890\n\
                after a change:           scriptsock test    plays tests/handler.dialogue\n";
    assert!(ran.stdout.ends_with(next), "{ran:?}");

    let server = builder.start();
    server.wait_log("script=scripts/handler.lua");
    let mut client = server.tcp();
    client.expect(b"commands: echo TEXT, add NUMBER NUMBER, count, quit\n");
    client.exchange(b"add 2 3\n", b"5\n");
    client.exchange(b"quit\n", b"bye\n");
    client.expect_eof();
}

#[test]
fn every_template_is_sound_and_answers_as_its_dialogue_says() {
    for template in TEMPLATES {
        println!("{template}");
        let (dir, _) = init(&["--template", template]);
        let ran = run(dir.path(), &["check"]);
        assert_eq!(ran.status, 0, "{ran:?}");
        let ran = run(dir.path(), &["test", "--splits"]);
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(ran.stdout.contains("tests/handler.dialogue"), "{ran:?}");
    }
}

#[test]
fn a_change_of_the_handler_is_noticed_by_the_dialogue() {
    let (dir, _) = init(&[]);
    let path = dir.path().join("scripts/handler.lua");
    let handler = fs::read_to_string(&path).unwrap();
    fs::write(&path, handler.replace("a + b", "a - b")).unwrap();
    let ran = run(dir.path(), &["test"]);
    assert_eq!(ran.status, 1, "{ran:?}");
}

#[test]
fn every_template_is_a_script_that_says_what_it_is() {
    for template in TEMPLATES {
        let (dir, ran) = init(&["-t", template]);
        let handler = fs::read_to_string(dir.path().join("scripts/handler.lua")).unwrap();
        assert!(handler.starts_with("-- "), "{template}");
        for part in ["\n-- Start:    scriptsock\n", "\n-- Protocol: ", "\n} :: Handler\n"] {
            assert!(handler.contains(part), "{template} has no {part:?}");
        }
        let line =
            ran.stdout.lines().find_map(|line| line.strip_prefix("and in a second terminal: "));
        let attempt = line.expect("what to type");
        assert!(handler.contains(&format!("\n-- Try:      {attempt}")), "{template}: {attempt}");
        for line in handler.lines() {
            assert!(line.chars().count() <= 100 && !line.ends_with(' '), "{template}: {line:?}");
        }
    }
}

#[test]
fn the_readme_and_the_help_list_the_templates() {
    let readme = include_str!("../../README.md");
    let help = run(folder(&[]).path(), &["init", "--help"]).stdout;
    for template in TEMPLATES {
        let line = help.lines().find_map(|line| line.trim().strip_prefix(template));
        let about = line.unwrap_or_else(|| panic!("no {template} in\n{help}")).trim();
        let row = format!("| `{template}` | {about}");
        assert!(readme.contains(&row), "no {row:?} in the README");
    }
}

#[test]
fn settings_for_editors_name_files_that_are_there() {
    let (dir, _) = init(&[]);
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let settings: Value = serde_json::from_str(&read(".vscode/settings.json")).unwrap();
    let definitions = settings["luau-lsp.types.definitionFiles"]["@scriptsock"].as_str().unwrap();
    assert_eq!(read(definitions), scriptsock::reference::LUAU_TYPES);
    let settings: Value = serde_json::from_str(&read(".luarc.json")).unwrap();
    let library = settings["workspace.library"][0].as_str().unwrap();
    assert_eq!(read(&format!("{library}/scriptsock.meta.lua")), scriptsock::reference::LUALS_TYPES);
    let settings: Value = serde_json::from_str(&read(".luaurc")).unwrap();
    assert_eq!(settings["languageMode"], "nonstrict");
}

#[test]
fn a_folder_is_made_where_there_is_none_and_named_in_the_next_command() {
    for (name, command) in [
        ("a/deep/one", "cd a/deep/one && scriptsock"),
        ("it's mine", r"cd 'it'\''s mine' && scriptsock"),
    ] {
        let (dir, ran) = init(&[name, "--no-editor"]);
        assert_files(&dir.path().join(name), &FILES[..2]);
        assert!(ran.stdout.contains(&format!(" {command}\n")), "{ran:?}");
        let shell = format!("{} check", command.replace("scriptsock", "\"$0\""));
        let mut child = std::process::Command::new("sh");
        child.args(["-c", &shell, env!("CARGO_BIN_EXE_scriptsock")]).current_dir(dir.path());
        let output = child.output().unwrap();
        assert!(output.status.success(), "{shell}: {output:?}");
        assert!(output.stdout.starts_with(b"scripts/handler.lua: ok: "), "{output:?}");
    }
}

#[test]
fn what_is_there_already_is_never_overwritten() {
    let dir = folder(&[("scripts/handler.lua", "mine")]);
    let parts = ["scripts/handler.lua is there already", "nothing was written", "another folder"];
    refused(dir.path(), &[], &parts);
    refused(dir.path(), &["--no-editor"], &parts);
    assert_eq!(fs::read_to_string(dir.path().join("scripts/handler.lua")).unwrap(), "mine");

    let dir = folder(&[(".luaurc", "{}"), ("types/scriptsock.d.luau", "")]);
    let parts = [".luaurc, types/scriptsock.d.luau are there already", "give --no-editor"];
    refused(dir.path(), &[], &parts);
    let ran = run(dir.path(), &["init", "--no-editor"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(fs::read_to_string(dir.path().join(".luaurc")).unwrap(), "{}");
    refused(dir.path(), &["--no-editor"], &["scripts/handler.lua, tests/handler.dialogue are"]);
}

#[test]
fn what_is_in_the_way_of_a_folder_leaves_nothing_half_done() {
    refused(folder(&[("scripts", "")]).path(), &[], &["scripts/handler.lua cannot be written"]);
    refused(folder(&[("new", "")]).path(), &["new"], &["new/scripts/handler.lua"]);
    // A link that leads nowhere would be written through.
    let dir = folder(&[]);
    std::os::unix::fs::symlink("nowhere", dir.path().join(".luaurc")).unwrap();
    let ran = run(dir.path(), &["init"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains(".luaurc is there already"), "{ran:?}");
    // What can be made before the failure is taken back.
    let dir = folder(&[]);
    std::os::unix::fs::symlink("nowhere", dir.path().join("types")).unwrap();
    let ran = run(dir.path(), &["init"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains("types/scriptsock.d.luau cannot be written"), "{ran:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{:?}", files(dir.path()));
}

#[test]
fn a_misspelt_template_is_met_with_the_nearest() {
    let dir = folder(&[]);
    let ran = run(dir.path(), &["init", "--template", "sesion"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{ran:?}");
    let expected = "scriptsock: invalid value 'sesion' for '--template': expected line, session, \
                    binary, udp, device; did you mean 'session'?\n";
    assert_eq!(ran.stderr, expected);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
