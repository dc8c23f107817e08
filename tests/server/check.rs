//! `scriptsock check` as a user runs it: what is in order, what is not, and both as JSON.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Server, wait_until};

/// How a command ended, and what it printed.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the program in a folder, to its end; what it prints fits a pipe.
#[track_caller]
pub fn run(folder: &Path, arguments: &[&str]) -> Ran {
    run_with(folder, arguments, &[])
}

/// The same with these variables in its environment.
#[track_caller]
fn run_with(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scriptsock"));
    command.args(arguments).current_dir(folder).envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let ended = wait_until("the command should end", || child.try_wait().unwrap());
    let output = child.wait_with_output().unwrap();
    Ran {
        status: ended.code().expect("an exit status"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder with these files.
pub fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

/// Checks with `--json`: the exit status, and an object a script.
#[track_caller]
fn json(folder: &Path, scripts: &[&str]) -> (i32, Vec<Value>) {
    let ran = run(folder, &[&["check", "--json"], scripts].concat());
    assert_eq!(ran.stderr, "", "{ran:?}");
    let objects = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
    (ran.status, objects.collect())
}

/// Expects a fault in `a.lua` with all of these parts in what is printed.
#[track_caller]
fn refused(script: &str, arguments: &[&str], parts: &[&str]) {
    let dir = folder(&[("a.lua", script)]);
    let ran = run(dir.path(), &[&["check", "a.lua"], arguments].concat());
    assert_eq!((ran.status, ran.stderr.as_str()), (1, ""), "{ran:?}");
    for part in parts {
        assert!(ran.stdout.contains(part), "no {part:?} in\n{}", ran.stdout);
    }
}

const LINES: &str = "return { framing = 'line', reply_framing = 'crlf', idle_timeout = 90, \
                     on_connect = function() end, on_message = function(msg) return msg end }";

#[test]
fn what_a_script_has_is_told() {
    let dir = folder(&[("a.lua", LINES), ("b.lua", "return function() end")]);
    let ran = run(dir.path(), &["check", "a.lua", "b"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let expected = "\
a.lua: ok: on_connect, on_message; framing line, replies crlf; idle timeout 1m 30s
b.lua: ok: on_message; framing raw
2 of 2 scripts are in order
";
    assert_eq!(ran.stdout, expected);
    let ran = run(dir.path(), &["check", "-q", "a.lua", "b"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, ""), "{ran:?}");
}

#[test]
fn what_it_requires_counts_and_framings_are_told_as_they_are_written() {
    let dir = folder(&[
        ("lib/proto.lua", "return { size = 9 }"),
        ("a.lua", "local p = require('./lib/proto') return { framing = { fixed = p.size } }"),
        ("b.lua", "return { framing = 'length:u16be,offset=4,header=keep,max=260' }"),
        ("c.lua", "return { framing = function(buffer) return #buffer, buffer end }"),
        ("d.lua", r"return { framing = { delimiter = '\0' } }"),
    ]);
    let ran = run(dir.path(), &["check", "a.lua", "b.lua", "c.lua", "d.lua"]);
    let nothing = "ok: no callbacks (what arrives is ignored); framing";
    for line in [
        format!("a.lua: {nothing} fixed:9; 2 files\n"),
        format!("b.lua: {nothing} length:u16be,offset=4,header=keep,max=260\n"),
        format!("c.lua: {nothing} function\n"),
        format!("d.lua: {nothing} delimiter:\\0\n"),
    ] {
        assert!(ran.stdout.contains(&line), "no {line:?} in\n{}", ran.stdout);
    }
    assert_eq!(ran.status, 0, "{ran:?}");
    let ran = run(dir.path(), &["check", "--framing", "crlf", "--max-message", "80", "a.lua"]);
    assert!(ran.stdout.ends_with("framing crlf; 2 files\n"), "{ran:?}");
}

#[test]
fn without_a_script_it_is_the_one_that_the_server_would_run() {
    let dir = folder(&[]);
    let ran = run(dir.path(), &["check"]);
    assert_eq!(ran.stdout, "built-in upper.lua: ok: on_message; framing raw\n", "{ran:?}");
    let dir = folder(&[("scripts/handler.lua", "return { on_session = function() end }")]);
    let ran = run(dir.path(), &["check"]);
    assert_eq!(ran.stdout, "scripts/handler.lua: ok: on_session; framing raw\n", "{ran:?}");
    assert_eq!(run(dir.path(), &["check", "handler"]).stdout, ran.stdout, "not under scripts/");
    fs::write(dir.path().join("scripts/handler.lua"), "return 5").unwrap();
    let ran = run(dir.path(), &["check"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stdout.starts_with("scripts/handler.lua cannot be loaded: "), "{ran:?}");
}

#[test]
fn the_environment_of_the_server_counts_for_check_and_test() {
    let dialogue = "> a\n< mine a\n";
    let mine = "return { framing = 'line', on_message = function(m) return 'mine ' .. m end }";
    let loops = "for i = 1, 3e7 do end return function(m) return m end";
    let dir = folder(&[("mine.lua", mine), ("long.lua", loops), ("t.dialogue", dialogue)]);
    let run = |arguments: &[&str], environment: &[(&str, &str)]| {
        run_with(dir.path(), arguments, environment)
    };
    let named = [("SCRIPTSOCK_SCRIPT", "mine.lua"), ("SCRIPTSOCK_FRAMING", "crlf")];
    let checked = run(&["check"], &named);
    assert_eq!(checked.stdout, "mine.lua: ok: on_message; framing crlf\n", "{checked:?}");
    assert_eq!(run(&["test"], &named[..1]).status, 0);
    assert_eq!(run(&["test"], &[]).status, 1);
    // What is named goes before it.
    let other = [("SCRIPTSOCK_SCRIPT", "nowhere.lua"), ("SCRIPTSOCK_BUDGET", "30s")];
    assert_eq!(run(&["check", "mine.lua"], &other).status, 0);
    assert_eq!(run(&["test", "--script", "mine.lua"], &other).status, 0);
    assert_eq!(run(&["check", "long.lua"], &[("SCRIPTSOCK_BUDGET", "1ms")]).status, 1);
    let wrong = run(&["check", "mine.lua"], &[("SCRIPTSOCK_BUDGET", "soon")]);
    assert_eq!(wrong.status, 2, "{wrong:?}");
    assert!(wrong.stderr.contains("SCRIPTSOCK_BUDGET"), "{wrong:?}");
}

#[test]
fn a_fault_is_shown_as_a_reload_shows_it() {
    let broken = "return {\n  framing = \"line\",\n  on_message = function(msg)\n    x = 1 << 2\n  end,\n}\n";
    let server = Server::builder().script("return string.upper").start();
    server.save("handler.lua", broken);
    server.wait_log("reload failed, generation 1 stays live");
    server.wait_log("hint: ");
    let ran = run(server.dir(), &["check", "handler.lua"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (1, ""), "{ran:?}");
    assert!(ran.stdout.starts_with("handler.lua cannot be loaded: handler.lua:4: "), "{ran:?}");
    assert!(ran.stdout.lines().count() > 5, "{ran:?}");
    let indented = ran.stdout.lines().map(|line| format!("  {line}")).collect::<Vec<_>>();
    let (shown, log) = (indented.join("\n"), server.log_text());
    assert!(log.contains(&shown), "{shown}\nis not in\n{log}");
}

#[test]
fn everything_that_keeps_a_script_from_going_live_is_a_fault() {
    refused(
        "return { on_mesage = print }",
        &[],
        &["there is no 'on_mesage'; did you mean on_message?"],
    );
    refused("", &[], &["a.lua cannot be loaded: the script returns nothing"]);
    refused("return { framing = 'lime' }", &[], &["framing: ", "line"]);
    refused("require('./gone')", &[], &["a.lua:1: ", "gone"]);
    refused("error('no')", &[], &["a.lua cannot be loaded: a.lua:1: no", "traceback:"]);
    refused("sleep(1)", &[], &["a.lua:1: sleep: not while loading; use on_load"]);
    refused("\x1bLua", &[], &["script a.lua is not text"]);
    refused(
        "return { framing = 'fixed:100' }",
        &["--max-message", "99"],
        &["framing: fixed 100 is above"],
    );
}

#[test]
fn a_script_without_an_end_is_ended_by_the_budget_and_one_without_a_bound_by_the_memory() {
    refused("\nwhile true do end", &[], &["a.lua:2: ", "budget"]);
    refused(
        "while true do pcall(error) end",
        &["--budget", "5ms"],
        &["a.lua:1: ", "more than its budget"],
    );
    let greedy = "local t = {}\nwhile true do t[#t + 1] = string.rep('x', 1e6) .. #t end";
    refused(greedy, &["--memory", "20MiB", "--budget", "10s"], &["not enough memory", "--memory"]);
}

#[test]
fn all_scripts_are_checked_though_one_fails() {
    let dir = folder(&[("bad.lua", "return 1"), ("good.lua", LINES)]);
    fs::create_dir(dir.path().join("folder")).unwrap();
    let ran = run(dir.path(), &["check", "gone.lua", "bad.lua", "folder", "good.lua", "uper"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (1, ""), "{ran:?}");
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 6, "{ran:?}");
    assert!(lines[0].starts_with("no script \"gone.lua\": tried gone.lua, scripts/gone.lua"));
    assert!(lines[1].starts_with("bad.lua cannot be loaded: the script returns a number"));
    assert!(lines[2].contains("is a directory, expected a Lua file"));
    assert!(lines[3].starts_with("good.lua: ok: on_connect, on_message"));
    assert!(lines[4].ends_with("did you mean the built-in upper.lua?"), "{ran:?}");
    assert_eq!(lines[5], "1 of 5 scripts are in order");
    let ran = run(dir.path(), &["check", "-q", "bad.lua", "good.lua"]);
    assert_eq!((ran.status, ran.stdout.lines().count()), (1, 1), "{ran:?}");
}

#[test]
fn on_load_is_not_called_and_logs_are_silent() {
    let script = "log.error('loud') print('loud') return { on_load = function() error('no') end }";
    let dir = folder(&[("a.lua", script)]);
    let ran = run(dir.path(), &["check", "a.lua"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(ran.stdout.starts_with("a.lua: ok: on_load (what arrives is ignored)"), "{ran:?}");
}

#[test]
fn editors_get_a_line_of_json_for_each_script() {
    let dir = folder(&[
        ("lib/p.lua", "return {}"),
        ("a.lua", &format!("require('./lib/p') {LINES}")),
        ("b.lua", "local function f()\n  error('why')\nend\nf()\n"),
        ("c.lua", "return function(msg)\n\treturn 1 << 2\nend\n"),
        ("d.lua", "return { peer_timeout = 0.5, on_session = print }"),
    ]);
    let (status, found) = json(dir.path(), &["a.lua", "b.lua", "c.lua", "gone", "d.lua"]);
    assert_eq!((status, found.len()), (1, 5), "{found:?}");
    assert_eq!((&found[0]["script"], &found[0]["ok"]), (&"a.lua".into(), &true.into()));
    assert_eq!(found[0]["callbacks"], serde_json::json!(["on_connect", "on_message"]));
    assert_eq!(
        (&found[0]["framing"], &found[0]["reply_framing"]),
        (&"line".into(), &"crlf".into())
    );
    assert_eq!(
        (&found[0]["idle_timeout_seconds"], &found[0]["fault"]),
        (&90.0.into(), &Value::Null)
    );
    assert_eq!(found[0]["files"], serde_json::json!(["a.lua", "lib/p.lua"]));
    assert_eq!(found[4]["peer_timeout_seconds"], 0.5);
    assert_eq!(found[4]["idle_timeout_seconds"], Value::Null);

    let (fault, ok) = (&found[1]["fault"], &found[1]["ok"]);
    assert_eq!((ok, &found[1]["callbacks"]), (&false.into(), &Value::Null));
    assert_eq!((&fault["file"], &fault["line"]), (&"b.lua".into(), &2.into()));
    assert_eq!((&fault["column"], &fault["message"]), (&3.into(), &"why".into()));
    assert_eq!(fault["hint"], Value::Null);
    assert_eq!(fault["trace"][0], serde_json::json!({"file": "b.lua", "line": 2, "function": "f"}));
    assert_eq!(fault["trace"][1]["line"], 4);
    assert!(fault["text"].as_str().unwrap().contains("2 |   error('why')"), "{fault}");

    let fault = &found[2]["fault"];
    assert_eq!((&fault["line"], &fault["column"]), (&2.into(), &2.into()), "{fault}");
    assert!(fault["hint"].as_str().unwrap().contains("bit32.lshift"), "{fault}");

    let fault = &found[3]["fault"];
    assert_eq!((&found[3]["script"], &fault["file"]), (&"gone".into(), &"gone".into()), "{fault}");
    assert_eq!(fault["line"], Value::Null);
    assert!(fault["message"].as_str().unwrap().starts_with("no script \"gone\""), "{fault}");
}

#[test]
fn a_fault_in_a_required_file_names_that_file() {
    let dir = folder(&[("lib/p.lua", "\n\nreturn nill.x\n"), ("a.lua", "require('./lib/p')\n")]);
    let (status, found) = json(dir.path(), &["a.lua"]);
    assert_eq!((status, &found[0]["script"]), (1, &"a.lua".into()));
    let fault = &found[0]["fault"];
    assert_eq!((&fault["file"], &fault["line"]), (&"lib/p.lua".into(), &3.into()), "{fault}");
}

#[test]
fn a_mistake_on_its_command_line_is_told_in_one_line() {
    let dir = folder(&[]);
    for (arguments, expected) in [
        (
            &["check", "--jason"][..],
            "unknown option '--jason'; did you mean '--json'? (scriptsock check --help",
        ),
        (
            &["check", "--framing", "fixed:100", "--max-message", "9"],
            "invalid value 'fixed:100' for '--framing'",
        ),
        (&["check", "--quiet", "--json"], "'--quiet' cannot be used with '--json'"),
        (&["chekc"], "unexpected argument 'chekc'; did you mean 'check'?"),
    ] {
        let ran = run(dir.path(), arguments);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
        assert!(ran.stderr.contains(expected), "no {expected:?} in {ran:?}");
    }
}

#[test]
fn every_built_in_handler_is_in_order() {
    let dir = folder(&[]);
    let names = scriptsock::script::BUILTINS.iter().map(|one| one.name).collect::<Vec<_>>();
    let ran = run(dir.path(), &[&["check"], names.as_slice()].concat());
    assert_eq!(ran.status, 0, "{ran:?}");
    let all = names.len();
    assert!(ran.stdout.ends_with(&format!("{all} of {all} scripts are in order\n")), "{ran:?}");
}
