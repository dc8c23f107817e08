//! Every folder of `examples/`: what has to be in it, and that its dialogues hold however their
//! streams are cut. What drives them with real clients is in `example_*.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");

/// The folders, which are at least those of the first four examples.
fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<_> =
        fs::read_dir(EXAMPLES).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 4 && folders.iter().all(|path| path.is_dir()), "{folders:?}");
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
        assert!(first.starts_with("-- ") && first.ends_with('.'), "{name}: {first}");
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
