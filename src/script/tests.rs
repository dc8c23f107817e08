//! Scripts on a real disk: look-up, closure, digest and what people are told.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{Ask, Bundle, Digest, Source};
use crate::settings::Script;

/// A folder to start the server in.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(files: &[(&str, &str)]) -> Self {
        let place = Self::new();
        for (path, content) in files {
            place.write(path, content);
        }
        place
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn link(&self, target: impl AsRef<Path>, path: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn locate(&self, name: &str) -> Result<Source, String> {
        let choice = Script::Named(name.into());
        Source::locate(&choice, self.0.path()).map_err(|error| error.to_string())
    }

    fn default(&self) -> Source {
        Source::locate(&Script::Default, self.0.path()).unwrap()
    }

    /// The file shown to people that `--script NAME` runs.
    fn runs(&self, name: &str) -> String {
        self.locate(name).unwrap().read().unwrap().main().shown().to_owned()
    }

    fn bundle(&self, name: &str) -> Bundle {
        self.locate(name).unwrap().read().unwrap()
    }

    fn read_error(&self, name: &str) -> String {
        self.locate(name).unwrap().read().unwrap_err().to_string()
    }

    fn digest(&self) -> Digest {
        self.bundle("main.lua").digest()
    }

    fn watched(&self, bundle: &Bundle) -> Vec<String> {
        let root = self.0.path().canonicalize().unwrap();
        let below = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
        bundle.watched().iter().map(below).collect()
    }
}

fn shown(bundle: &Bundle) -> Vec<&str> {
    bundle.files().map(super::File::shown).collect()
}

/// What `require(name)` in the main file leads to, or the error's text.
fn resolve(bundle: &Bundle, name: &str) -> Result<String, String> {
    let found = bundle.resolve(Ask::Require, bundle.main().id(), name);
    found.map(|file| file.shown().to_owned()).map_err(|error| error.to_string())
}

#[test]
fn a_script_is_found_as_given_then_under_scripts_then_built_in() {
    let place = Place::new();
    assert_eq!(place.runs("upper.lua"), "built-in upper.lua");
    assert_eq!(place.runs("upper"), "built-in upper.lua");
    place.write("scripts/upper.lua", "");
    assert_eq!(place.runs("upper.lua"), "scripts/upper.lua");
    assert_eq!(place.runs("upper"), "scripts/upper.lua");
    place.write("upper.lua", "");
    assert_eq!(place.runs("upper.lua"), "upper.lua");
    assert_eq!(place.runs("upper"), "upper.lua");
    assert_eq!(place.runs("./scripts/upper.lua"), "./scripts/upper.lua");
    let absolute = place.path("upper.lua").display().to_string();
    assert_eq!(place.runs(&absolute), absolute);
}

#[test]
fn a_miss_names_the_value_every_place_and_the_nearest_name() {
    let place = Place::new();
    assert_eq!(
        place.locate("uper.lua").unwrap_err(),
        "no script \"uper.lua\": tried uper.lua, scripts/uper.lua, the built-in handlers; \
         did you mean the built-in upper.lua?"
    );
    assert_eq!(
        place.locate("talk").unwrap_err(),
        "no script \"talk\": tried talk, talk.lua, scripts/talk, scripts/talk.lua, \
         the built-in handlers; built in are chat.lua, echo.lua, handler.lua, log.lua, reject.lua, \
         reverse.lua, upper.lua"
    );
    assert_eq!(
        place.locate("my/upper.lua").unwrap_err(),
        "no script \"my/upper.lua\": tried my/upper.lua, scripts/my/upper.lua; \
         did you mean the built-in upper.lua?"
    );
    assert_eq!(
        place.locate("/nowhere/x.lua").unwrap_err().split(';').next(),
        Some("no script \"/nowhere/x.lua\": tried /nowhere/x.lua")
    );
}

#[test]
fn what_is_no_file_is_refused_with_the_reason() {
    let place = Place::with(&[("dir.lua/x", ""), ("echo/x", ""), ("file", "")]);
    assert_eq!(
        place.locate("dir.lua").unwrap_err(),
        "script \"dir.lua\" is a directory, expected a Lua file"
    );
    assert_eq!(place.runs("echo"), "built-in echo.lua");
    assert!(place.locate("file/x.lua").unwrap_err().starts_with("no script \"file/x.lua\": tried"));
    assert!(place.locate("").unwrap_err().contains("is a directory"));
    assert_eq!(
        place.locate("/dev/null").unwrap_err(),
        "script \"/dev/null\" is not a regular file, expected a Lua file"
    );
    place.link("loop.lua", "loop.lua");
    let error = place.locate("loop.lua").unwrap_err();
    assert!(error.starts_with("script \"loop.lua\" cannot be read: "), "{error}");
}

#[test]
fn the_default_goes_live_when_it_appears_and_never_falls_back_again() {
    let place = Place::new();
    let source = place.default();
    let bundle = source.read().unwrap();
    assert_eq!(bundle.main().shown(), "built-in upper.lua");
    assert_eq!(place.watched(&bundle), [""]);

    place.write("scripts/handler.lua", "return print");
    let bundle = source.read().unwrap();
    assert_eq!(bundle.main().shown(), "scripts/handler.lua");
    assert_eq!(place.watched(&bundle), ["scripts"]);

    fs::remove_dir_all(place.path("scripts")).unwrap();
    let error = source.read().unwrap_err();
    assert!(error.is_missing());
    assert_eq!(error.to_string(), "script scripts/handler.lua does not exist");
    let root = place.0.path().canonicalize().unwrap();
    assert_eq!(source.watched().into_iter().collect::<Vec<_>>(), [root]);
}

#[test]
fn the_closure_is_read_with_the_folders_to_watch() {
    let place = Place::with(&[
        ("s/main.lua", "require './a' -- require './no'\n require('./lib/b')"),
        ("s/a.lua", "require('./lib/b.lua') require './main'"),
        ("s/lib/b.lua", "return require '../c'"),
        ("s/c/init.lua", ""),
        ("s/no.lua", ""),
    ]);
    let bundle = place.bundle("s/main.lua");
    assert_eq!(shown(&bundle), ["s/a.lua", "s/c/init.lua", "s/lib/b.lua", "s/main.lua"]);
    assert_eq!(place.watched(&bundle), ["s", "s/c", "s/lib"]);
    assert_eq!(resolve(&bundle, "./lib/b").unwrap(), "s/lib/b.lua");
    assert_eq!(resolve(&bundle, "./lib/b.lua").unwrap(), "s/lib/b.lua");
    assert_eq!(resolve(&bundle, "./c").unwrap(), "s/c/init.lua");
    let b = bundle.file("s/lib/b.lua").unwrap().id().clone();
    assert_eq!(bundle.resolve(Ask::Require, &b, "../c").unwrap().shown(), "s/c/init.lua");
    assert_eq!(bundle.line("s/main.lua", 2).unwrap(), " require('./lib/b')");
    assert_eq!(bundle.line("s/main.lua", 3), None);
    assert_eq!(bundle.line("s/main.lua", 0), None);
}

#[test]
fn what_cannot_be_required_is_said_in_one_line() {
    let main = "require './lib/prto' require 'lib' require '../x' require './bad' require './dir'";
    let place = Place::with(&[("s/main.lua", main), ("s/lib/proto.lua", ""), ("s/dir.lua/x", "")]);
    place.write("s/bad.lua", b"\x1bLua");
    let bundle = place.bundle("s/main.lua");
    for (name, why) in [
        (
            "./lib/prto",
            "no such file, tried s/lib/prto.lua and s/lib/prto/init.lua; did you mean \"proto\"?",
        ),
        ("lib", "a file's name must begin with ./ or ../, as in require(\"./lib\")"),
        ("../x", "it leads outside the script's folder s"),
        (
            "./computed",
            "required files must be named in a string literal, as in require(\"./lib/proto\")",
        ),
        ("./bad", "s/bad.lua is not text; only text is loaded as a script, no bytecode"),
        ("./dir", "s/dir.lua is a directory, expected a Lua file"),
    ] {
        let expected = format!("cannot require {name:?} from s/main.lua: {why}");
        assert_eq!(resolve(&bundle, name).unwrap_err(), expected);
    }
}

#[test]
fn a_link_may_not_lead_outside_but_the_main_script_may_be_one() {
    let place = Place::with(&[("real/main.lua", "require './in' require './out' require './d/x'")]);
    place.write("other/x.lua", "");
    place.write("s/target.lua", "");
    place.link("../real/main.lua", "s/main.lua");
    place.link("target.lua", "s/in.lua");
    place.link("../other/x.lua", "s/out.lua");
    place.link("../other", "s/d");
    let bundle = place.bundle("s/main.lua");
    assert_eq!(resolve(&bundle, "./in").unwrap(), "s/in.lua");
    for (name, file) in [("./out", "s/out.lua"), ("./d/x", "s/d/x.lua")] {
        let error = resolve(&bundle, name).unwrap_err();
        let why = "is a symbolic link that leads outside the script's folder s";
        assert_eq!(error, format!("cannot require {name:?} from s/main.lua: {file} {why}"));
    }
    // The first holds `other`, to which a link leads.
    assert_eq!(place.watched(&bundle), ["", "other", "real", "s"]);
}

#[test]
fn a_config_map_is_read_and_its_swap_changes_the_digest() {
    let place = Place::with(&[
        ("..2024_01/main.lua", "require './lib'"),
        ("..2024_01/lib.lua", "return 1"),
        ("..2024_02/main.lua", "require './lib'"),
        ("..2024_02/lib.lua", "return 2"),
    ]);
    place.link("..2024_01", "..data");
    place.link("..data/main.lua", "main.lua");
    place.link("..data/lib.lua", "lib.lua");
    let before = place.bundle("main.lua");
    assert_eq!(shown(&before), ["lib.lua", "main.lua"]);
    assert_eq!(place.watched(&before), ["", "..2024_01"]);

    place.link("..2024_02", "..data_tmp");
    fs::rename(place.path("..data_tmp"), place.path("..data")).unwrap();
    let after = place.bundle("main.lua");
    assert_eq!(place.watched(&after), ["", "..2024_02"]);
    assert_ne!(before.digest(), after.digest());
}

#[test]
fn content_and_names_decide_the_digest() {
    let place = Place::with(&[("main.lua", "require './a'"), ("a.lua", "return 1")]);
    let first = place.digest();
    assert_eq!(first.to_string().len(), 8);
    place.write("a.lua", "return 1");
    let file = fs::File::options().write(true).open(place.path("a.lua")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(place.digest(), first);
    place.write("unrelated.lua", "return 1");
    assert_eq!(place.digest(), first);
    place.write("a.lua", "return 2");
    assert_ne!(place.digest(), first);
    fs::create_dir(place.path("a")).unwrap();
    fs::remove_file(place.path("a.lua")).unwrap();
    place.write("a/init.lua", "return 1");
    assert_ne!(place.digest(), first);
    place.write("a.lua", "return 1");
    assert_eq!(place.digest(), first);
}

#[test]
fn assets_and_json_are_part_of_the_bundle() {
    let main = "asset './data/a.bin' asset './main.lua' require './data/b.json' asset './b.lua'";
    let place = Place::with(&[("main.lua", main), ("data/a.bin", "\u{feff}#!"), ("b.lua", "?")]);
    place.write("data/b.json", "\u{feff}[\"require './x'\"]");
    let bundle = place.bundle("main.lua");
    // An asset is no code: nothing is required by it, and no line of it is shown.
    assert_eq!(shown(&bundle), ["data/b.json", "main.lua"]);
    assert_eq!(place.watched(&bundle), ["", "data"]);
    let asset = |name| bundle.resolve(Ask::Asset, bundle.main().id(), name).unwrap().content();
    assert_eq!(&**asset("./data/a.bin"), "\u{feff}#!".as_bytes());
    assert_eq!(&**asset("./main.lua"), main.as_bytes());
    assert_eq!(&**bundle.file("data/b.json").unwrap().content(), b"[\"require './x'\"]");
    assert!(resolve(&bundle, "./b").unwrap_err().contains("named in a string literal"));

    let mut before = bundle.digest();
    for path in ["data/a.bin", "data/b.json", "b.lua"] {
        place.write(path, "changed");
        assert_ne!(place.digest(), before, "{path}");
        before = place.digest();
    }
    fs::remove_file(place.path("b.lua")).unwrap();
    assert_ne!(place.digest(), before);
}

#[test]
fn a_missing_file_may_appear_later() {
    let place = Place::with(&[("main.lua", "pcall(require, './x') require './lib/a'")]);
    let without = place.bundle("main.lua");
    assert!(resolve(&without, "./lib/a").unwrap_err().contains("no such file"));
    assert_eq!(place.watched(&without), [""]);
    place.write("lib/a.lua", "");
    let with = place.bundle("main.lua");
    assert_ne!(with.digest(), without.digest());
    assert_eq!(resolve(&with, "./lib/a").unwrap(), "lib/a.lua");
    assert_eq!(place.watched(&with), ["", "lib"]);
}

#[test]
fn a_byte_order_mark_and_an_interpreter_line_are_left_out() {
    let place = Place::new();
    let content = |bytes: &[u8]| {
        place.write("main.lua", bytes);
        place.bundle("main.lua").main().content().to_vec()
    };
    assert_eq!(content(b"\xef\xbb\xbfreturn 1"), b"return 1");
    assert_eq!(content(b"#!/usr/bin/env scriptsock\nreturn 1"), b"\nreturn 1");
    assert_eq!(content(b"\xef\xbb\xbf#!x\r\nreturn 1"), b"\nreturn 1");
    assert_eq!(content(b"#!x"), b"");
    assert_eq!(content(b"\treturn '\xff'"), b"\treturn '\xff'");
    assert_eq!(content(b""), b"");
}

#[test]
fn only_text_of_a_sane_size_is_read() {
    let place = Place::new();
    for first in [0, 3, 8, 0x1b, 0x7f] {
        place.write("main.lua", [first, b'x']);
        assert_eq!(
            place.read_error("main.lua"),
            "script main.lua is not text; only text is loaded as a script, no bytecode"
        );
    }
    let file = fs::File::create(place.path("main.lua")).unwrap();
    file.set_len((16 << 20) + 1).unwrap();
    assert_eq!(place.read_error("main.lua"), "script main.lua is larger than 16 MiB");
}

#[test]
fn folders_that_hold_themselves_come_to_an_end() {
    let place = Place::with(&[("main.lua", "require './self/main'")]);
    place.link(".", "self");
    assert!(place.bundle("main.lua").files().count() < 100);
}
