//! The architecture, checked on the source text: imports run downwards, a library is named in
//! its modules only, and `unsafe` stays where its proofs are.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the crate, from the top: each may name those behind it.
const LAYERS: [&str; 36] = [
    "main",
    "cli",
    "proxy",
    "replay",
    "server",
    "reload",
    "gate",
    "shadow",
    "simulation",
    "worker",
    "accept",
    "outgoing",
    "vm",
    "datagram",
    "session",
    "service",
    "departures",
    "handler",
    "roster",
    "recorder",
    "tap",
    "conn",
    "hub",
    "watch",
    "script",
    "load",
    "play",
    "transcript",
    "settings",
    "net",
    "frame",
    "hash",
    "reference",
    "text",
    "turn",
    "world",
];

/// Libraries, and the modules that name each: one, but where each has a use of its own.
const LIBRARIES: [(&str, &[&str]); 25] = [
    ("mlua", &["vm"]),
    ("annotate_snippets", &["vm"]),
    ("notify", &["watch"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("tracing_subscriber", &["cli"]),
    // `cli` steers terminals with it, `net` receives and sends.
    ("rustix", &["cli", "net"]),
    ("signal_hook", &["cli"]),
    ("unicode_segmentation", &["cli"]),
    ("unicode_width", &["cli"]),
    // `vm` gives it to scripts, `cli` prints results with it.
    ("serde_json", &["vm", "cli"]),
    ("data_encoding", &["vm"]),
    ("getrandom", &["vm"]),
    ("serde", &["vm"]),
    ("crc", &["hash"]),
    ("sha2", &["hash"]),
    ("sha1", &["hash"]),
    ("md5", &["hash"]),
    ("hmac", &["hash"]),
    ("socket2", &["net"]),
    ("strsim", &["text"]),
    ("mio", &["load"]),
    ("hdrhistogram", &["load"]),
    ("regex_automata", &["transcript"]),
    ("regex_syntax", &["transcript"]),
];

/// The files that may hold `unsafe`.
const UNSAFE: [&str; 8] = [
    "cli/footprint.rs",
    "vm/budget.rs",
    "vm/raw.rs",
    "vm/raw/case.rs",
    "vm/raw/frames.rs",
    "vm/raw/method.rs",
    "vm/raw/results.rs",
    "vm/raw/stack.rs",
];

/// The source files below `src`, by their path from there, with their text less comments.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "the source was not found: {files:?}");
    files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            let text = fs::read_to_string(&path).unwrap();
            (name, text.lines().map(without_comment).collect::<Vec<_>>().join("\n"))
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

fn without_comment(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// The module that a file belongs to: `vm` for `vm/api/conn.rs`.
fn module(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|known| *known == module)
}

/// The modules of the crate that a text names, one by one or in braces.
fn named(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for root in ["crate::", "scriptsock::"] {
        for (at, _) in text.match_indices(root) {
            let rest = &text[at + root.len()..];
            let list = rest.strip_prefix('{').and_then(|list| list.split('}').next());
            for item in list.unwrap_or(rest).split(',').take(list.map_or(1, |_| usize::MAX)) {
                let end = item.trim().find(|c: char| !c.is_alphanumeric() && c != '_');
                let item = item.trim();
                names.push(item[..end.unwrap_or(item.len())].to_owned());
            }
        }
    }
    names
}

#[test]
fn imports_run_downwards() {
    let mut checked = 0;
    for (file, text) in sources() {
        if file == "lib.rs" {
            continue;
        }
        let own = layer(module(&file)).unwrap_or_else(|| panic!("{file} has no layer"));
        for name in named(&text) {
            let Some(other) = layer(&name) else { continue };
            assert!(other >= own, "{file} names crate::{name}, which is above it");
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} imports were seen");
}

#[test]
fn a_library_is_named_in_its_modules_only() {
    for (library, homes) in LIBRARIES {
        let users: Vec<_> = sources()
            .into_iter()
            .filter(|(_, text)| text.contains(&format!("{library}::")))
            .map(|(file, _)| file)
            .collect();
        for home in homes {
            assert!(users.iter().any(|file| module(file) == *home), "{home} names no {library}");
        }
        for file in users {
            assert!(homes.contains(&module(&file)), "{file} names {library}");
        }
    }
}

#[test]
fn sessions_know_no_socket_and_no_lua() {
    for (file, text) in sources() {
        if matches!(module(&file), "session" | "datagram" | "handler" | "conn") {
            for word in ["TcpStream", "UdpSocket", "UnixStream", "mlua", "crate::vm"] {
                assert!(!text.contains(word), "{file} names {word}");
            }
        }
    }
}

#[test]
fn framings_know_no_input_and_output() {
    let framings = sources().into_iter().filter(|(file, _)| module(file) == "frame");
    let checked = framings.map(|(file, text)| {
        for word in ["tokio", "mlua", "std::io", "std::net", "std::fs"] {
            assert!(!text.contains(word), "{file} names {word}");
        }
    });
    assert!(checked.count() > 5, "the framings were not found");
}

#[test]
fn dialogues_know_no_input_and_output() {
    let files = sources().into_iter().filter(|(file, _)| module(file) == "transcript");
    let checked = files.map(|(file, text)| {
        for word in ["tokio", "mlua", "std::io", "std::fs", "TcpStream", "UdpSocket"] {
            assert!(!text.contains(word), "{file} names {word}");
        }
    });
    assert!(checked.count() > 10, "the dialogues were not found");
}

#[test]
fn a_load_has_no_runtime_and_its_pure_parts_no_sockets() {
    let loads: Vec<_> = sources().into_iter().filter(|(file, _)| module(file) == "load").collect();
    assert!(loads.len() > 5, "the load was not found");
    for (file, text) in &loads {
        for word in ["tokio", "mlua", "clap"] {
            assert!(!text.contains(word), "{file} names {word}");
        }
    }
    for pure in ["exchange", "message", "plan", "player", "report", "schedule", "tally"] {
        let name = format!("load/{pure}.rs");
        let found = loads.iter().find(|(file, _)| *file == name);
        let (_, text) = found.unwrap_or_else(|| panic!("no {name}"));
        for word in ["mio", "net::client", "Instant", "super::engine", "super::link"] {
            assert!(!text.contains(word), "{name} names {word}");
        }
    }
}

#[test]
fn unsafe_code_stays_in_its_files() {
    let mut seen = 0;
    for (file, text) in sources() {
        let has =
            text.contains("unsafe {") || text.contains("unsafe impl") || text.contains("unsafe fn");
        assert!(!has || UNSAFE.contains(&file.as_str()), "{file} holds unsafe code");
        seen += usize::from(has);
    }
    assert_eq!(seen, UNSAFE.len(), "a file that may hold unsafe code needs it no more");
}
