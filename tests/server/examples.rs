//! Every folder of `examples/`: what has to be in it, and that its dialogues hold however their
//! streams are cut. What drives them with real clients is in `example_*.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench_command::bench;
use crate::check::run;
use crate::support::printable;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");

/// A file of an example, by its path from `examples/`.
pub fn path(name: &str) -> String {
    Path::new(EXAMPLES).join(name).display().to_string()
}

/// The text of such a file.
pub fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap()
}

/// Plays a dialogue against a server over real sockets, twice, and expects that it goes well.
#[track_caller]
pub fn play(url: &str, dialogue: &str) {
    let mode = if url.contains("udp://") { "exchange" } else { "churn" };
    let url = url.split_once('=').map_or(url, |(_, url)| url);
    let finished = bench(&format!("{url} --dialogue {} --mode {mode} -c 1 -n 2", path(dialogue)));
    assert_eq!(finished.status, 0, "{dialogue}: {finished:?}");
    assert!(finished.stdout.contains("2 sent, 2 answered"), "{dialogue}: {finished:?}");
}

/// The folders, which are at least those of eight examples.
fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<_> =
        fs::read_dir(EXAMPLES).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 8 && folders.iter().all(|path| path.is_dir()), "{folders:?}");
    folders
}

/// All files below a folder with this extension.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found
}

#[test]
fn the_dialogues_hold_however_they_are_cut() {
    let tested = Command::new(env!("CARGO_BIN_EXE_scriptsock"))
        .args(["test", "--splits", EXAMPLES])
        .output()
        .unwrap();
    let out = String::from_utf8(tested.stdout).unwrap();
    assert!(tested.status.success(), "{out}{}", String::from_utf8_lossy(&tested.stderr));
    let count: usize = folders().iter().map(|folder| files(folder, "dialogue").len()).sum();
    assert!(out.contains(&format!("\n{count} dialogues passed in ")), "{count}: {out}");
}

#[test]
fn every_folder_has_a_handler_dialogues_and_a_readme() {
    for folder in folders() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let handler = fs::read_to_string(folder.join("handler.lua")).unwrap();
        let mut lines = handler.lines();
        let first = lines.next().unwrap();
        assert!(first.starts_with("-- "), "{name}: not what it does: {first}");
        let start = format!("-- Start:    scriptsock --script examples/{name}/handler.lua");
        assert!(lines.any(|line| line.starts_with(&start)), "{name}: no {start}");
        assert!(lines.any(|line| line.starts_with("-- Try:      ")), "{name}");
        assert!(lines.any(|line| line.starts_with("-- Protocol: ")), "{name}");
        let readme = fs::read_to_string(folder.join("README.md")).unwrap();
        assert!(readme.contains(&format!("examples/{name}")), "{name}: not how to start it");
        let dialogues = files(&folder, "dialogue");
        assert!(!dialogues.is_empty(), "{name}");
        for dialogue in dialogues {
            let text = fs::read_to_string(&dialogue).unwrap();
            assert!(text.starts_with("# "), "{}: not what it shows", dialogue.display());
            assert!(text.contains("\n@handler handler.lua\n"), "{}", dialogue.display());
        }
    }
}

#[test]
fn every_handler_goes_live_and_stands_in_the_readme() {
    let readme = include_str!("../../README.md");
    for folder in folders() {
        let ran = run(&folder, &["check", "handler.lua"]);
        assert_eq!(ran.status, 0, "{ran:?}");
        let row = format!("(examples/{})", folder.file_name().unwrap().to_str().unwrap());
        assert!(readme.contains(&row), "{row} is not in the README");
    }
}

#[test]
fn every_script_says_what_it_does_and_fits_its_width() {
    for folder in folders() {
        for path in files(&folder, "lua") {
            let (name, text) = (path.display(), fs::read_to_string(&path).unwrap());
            assert!(text.starts_with("-- "), "{name} does not say what it does");
            for line in text.lines() {
                let fits = line.chars().count() <= 100 && !line.ends_with(' ');
                assert!(fits, "{name}: {}", printable(line.as_bytes()));
            }
        }
    }
}
