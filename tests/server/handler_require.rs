//! `require`: relative to the requiring file, inside the script's folder, one instance a
//! generation, and mistakes that a person can read.

use crate::support::Server;
use crate::talk::ask;

/// A handler that answers with `expression`, beside the files given.
fn start(head: &str, expression: &str, files: &[(&str, &str)]) -> Server {
    let script =
        format!("{head}\nreturn function() return tostring(({expression})) .. \"\\n\" end\n");
    let builder = Server::builder().script(&script);
    files.iter().fold(builder, |builder, (path, text)| builder.file(path, text)).start()
}

/// A script that requires `path` does not start, and says each of `says`.
fn refused(path: &str, files: &[(&str, &str)], says: &[&str]) {
    let builder = Server::builder()
        .file("app/handler.lua", &format!("local x = require(\"{path}\")\nreturn function() end\n"))
        .args(["--script", "app/handler.lua"])
        .listen("tcp://127.0.0.1:0");
    let failed = files
        .iter()
        .fold(builder, |builder, (path, text)| builder.file(path, text))
        .start_expecting_failure();
    assert_eq!(failed.status, 1, "{failed:?}");
    for text in says {
        assert!(failed.stderr.contains(text), "no {text:?} in:\n{}", failed.stderr);
    }
}

#[test]
fn a_file_is_found_by_its_name_without_the_ending() {
    let server = start(
        "local words = require(\"./lib/words\")",
        "words.greeting",
        &[("lib/words.lua", "return {greeting = \"hello\"}\n")],
    );
    assert_eq!(ask(&mut server.tcp(), "x"), "hello");
}

#[test]
fn a_folder_is_found_by_its_init() {
    let server = start(
        "local words = require(\"./words\")",
        "words.greeting",
        &[("words/init.lua", "return {greeting = \"hello\"}\n")],
    );
    assert_eq!(ask(&mut server.tcp(), "x"), "hello");
}

#[test]
fn a_file_goes_before_a_folder() {
    let server = start(
        "local words = require(\"./words\")",
        "words",
        &[("words.lua", "return \"file\"\n"), ("words/init.lua", "return \"folder\"\n")],
    );
    assert_eq!(ask(&mut server.tcp(), "x"), "file");
}

#[test]
fn a_module_requires_relative_to_itself() {
    let server = start(
        "local a = require(\"./lib/a\")",
        "a",
        &[
            ("lib/a.lua", "return \"a\" .. require(\"./b\") .. require(\"../top\")\n"),
            ("lib/b.lua", "return \"b\"\n"),
            ("b.lua", "return \"wrong\"\n"),
            ("top.lua", "return \"top\"\n"),
        ],
    );
    assert_eq!(ask(&mut server.tcp(), "x"), "abtop");
}

#[test]
fn a_module_is_one_instance_a_generation() {
    let server = start(
        "local one, two = require(\"./words\"), require(\"./lib/../words\")",
        "one == two and two == require(\"./lib/again\") and one.bodies()",
        &[
            (
                "words.lua",
                "local runs = (server.state.runs or 0) + 1
                 server.state.runs = runs
                 return {bodies = function() return runs end}\n",
            ),
            ("lib/again.lua", "return require(\"../words\")\n"),
        ],
    );
    assert_eq!(ask(&mut server.tcp(), "x"), "1");
}

#[test]
fn a_module_may_return_nothing_but_once() {
    let server = start(
        "local first = require(\"./quiet\")\nlocal second = require(\"./quiet\")",
        "`{first} {second} {server.state.runs}`",
        &[("quiet.lua", "server.state.runs = (server.state.runs or 0) + 1\n")],
    );
    let answer = ask(&mut server.tcp(), "x");
    assert!(answer.ends_with(" 1"), "{answer:?}");
}

#[test]
fn a_module_may_be_required_later() {
    let server = start(
        "local function late() return require(\"./words\") end\nlate()",
        "late()",
        &[("words.lua", "return \"words\"\n")],
    );
    assert_eq!(ask(&mut server.tcp(), "x"), "words");
}

#[test]
fn a_cycle_is_named() {
    refused(
        "./a",
        &[("app/a.lua", "return require(\"./b\")\n"), ("app/b.lua", "return require(\"./a\")\n")],
        &["cycle", "a.lua", "b.lua"],
    );
}

#[test]
fn a_module_that_requires_the_script_is_a_cycle() {
    refused("./a", &[("app/a.lua", "return require(\"./handler\")\n")], &["cycle", "handler.lua"]);
}

#[test]
fn a_missing_file_is_named_with_what_was_tried() {
    refused("./lib/absent", &[], &["handler.lua:1", "lib/absent", ".lua", "init.lua"]);
}

#[test]
fn a_way_out_of_the_folder_is_refused() {
    refused("../secret", &[("secret.lua", "return \"secret\"\n")], &["../secret", "handler.lua:1"]);
    refused(
        "./lib/../../secret",
        &[("secret.lua", "return 1\n"), ("app/lib/x.lua", "return 1\n")],
        &["secret"],
    );
}

#[test]
fn an_absolute_path_is_refused() {
    refused("/etc/hostname", &[], &["/etc/hostname", "handler.lua:1"]);
}

#[test]
fn a_symlink_out_of_the_folder_is_refused() {
    let builder = Server::builder()
        .file("secret.lua", "return \"secret\"\n")
        .file("app/handler.lua", "local x = require(\"./link\")\nreturn function() end\n")
        .args(["--script", "app/handler.lua"])
        .listen("tcp://127.0.0.1:0");
    std::os::unix::fs::symlink("../secret.lua", builder.dir().join("app/link.lua")).unwrap();
    let failed = builder.start_expecting_failure();
    assert_eq!(failed.status, 1, "{failed:?}");
    assert!(failed.stderr.contains("link"), "{}", failed.stderr);
}

#[test]
fn a_name_that_is_not_relative_is_refused() {
    refused("words", &[("app/words.lua", "return 1\n")], &["words", "./words"]);
}

#[test]
fn a_fault_in_a_module_names_its_file_and_line() {
    let server = start(
        "local words = require(\"./lib/words\")",
        "words.fail()",
        &[(
            "lib/words.lua",
            "local words = {}\nfunction words.fail()\n  error(\"boom\")\nend\nreturn words\n",
        )],
    );
    server.tcp().send(b"x");
    assert!(server.wait_log("handler fault").contains("boom"));
    server.wait_log("words.lua:3");
}
