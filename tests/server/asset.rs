//! `asset`, and `require` of JSON: found as modules are, part of what is watched and hashed.

use crate::support::{Failed, Server};
use crate::talk::{ask, reload};
use std::fs;

fn start(script: &str, files: &[(&str, &str)]) -> Server {
    let builder = Server::builder().script(script);
    files.iter().fold(builder, |builder, (path, text)| builder.file(path, text)).start()
}

fn answering(expression: &str) -> String {
    format!("return function() return tostring({expression}) .. \"\\n\" end\n")
}

/// A script in the folder `app` that evaluates `expression` does not start, and says each of
/// `says`; `prepare` makes more than files.
fn refused_with(
    expression: &str,
    files: &[(&str, &str)],
    prepare: impl FnOnce(&std::path::Path),
    says: &[&str],
) {
    let builder = Server::builder()
        .file("app/handler.lua", &format!("local x = {expression}\nreturn function() end\n"))
        .args(["--script", "app/handler.lua"])
        .listen("tcp://127.0.0.1:0");
    let builder = files.iter().fold(builder, |builder, (path, text)| builder.file(path, text));
    prepare(builder.dir());
    let failed: Failed = builder.start_expecting_failure();
    assert_eq!(failed.status, 1, "{failed:?}");
    for text in says {
        assert!(failed.stderr.contains(text), "no {text:?} in:\n{}", failed.stderr);
    }
}

fn refused(expression: &str, files: &[(&str, &str)], says: &[&str]) {
    refused_with(expression, files, |_| (), says);
}

#[test]
fn an_asset_is_the_bytes_of_a_file() {
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let builder = Server::builder().script(
        "local early = asset('./firmware.bin')
         return function() return asset('./firmware.bin') == early and early or 'differs' end\n",
    );
    fs::write(builder.dir().join("firmware.bin"), &bytes).unwrap();
    let server = builder.start();
    let mut client = server.tcp();
    client.send(b"x");
    client.expect(&bytes);
}

#[test]
fn an_asset_is_read_while_loading_and_later() {
    let server = start(
        "local early = asset('./a.txt')
         return function() return `{early} {asset('./b.txt')} {asset('./b.txt')}\\n` end\n",
        &[("a.txt", "early"), ("b.txt", "later")],
    );
    assert_eq!(ask(&mut server.tcp(), "x"), "early later later");
}

#[test]
fn an_asset_is_taken_as_it_is() {
    let server = start(
        &answering("`{#asset('./a.lua')} {#asset('./empty')} {asset('./a.lua'):sub(4, 5)}`"),
        &[("a.lua", "\u{feff}#!x\n"), ("empty", "")],
    );
    assert_eq!(ask(&mut server.tcp(), "x"), "7 0 #!");
}

#[test]
fn an_asset_is_found_from_the_file_that_asks() {
    let server = start(
        &answering("require('./lib/a') .. asset('./x.txt')"),
        &[
            ("lib/a.lua", "return asset('./x.txt') .. asset('../y.txt')\n"),
            ("lib/x.txt", "[lib x]"),
            ("x.txt", "[x]"),
            ("y.txt", "[y]"),
        ],
    );
    assert_eq!(ask(&mut server.tcp(), "x"), "[lib x][y][x]");
}

#[test]
fn a_name_put_together_may_mean_an_asset_that_is_named_elsewhere() {
    let server = start(
        "local function all() return asset('./a.txt') end
         return function(msg) return tostring(select(2, pcall(asset, './' .. msg))) .. '\\n' end\n",
        &[("a.txt", "a"), ("b.txt", "b")],
    );
    let mut client = server.tcp();
    assert_eq!(ask(&mut client, "a.txt"), "a");
    let answer = ask(&mut client, "b.txt");
    assert!(answer.contains("named in a string literal, as in asset("), "{answer}");
}

#[test]
fn a_changed_asset_is_a_new_generation() {
    let script = answering("asset('./a.txt')");
    let server = start(&script, &[("a.txt", "one")]);
    let mut client = server.tcp();
    assert_eq!(ask(&mut client, "x"), "one");
    server.save("a.txt", "two");
    server.wait_log("generation 2 is live");
    assert_eq!(ask(&mut client, "x"), "two");
    fs::remove_file(server.dir().join("a.txt")).unwrap();
    server.wait_log("generation 3 is live");
    server.expect_errors();
    client.send(b"x");
    server.wait_log("no such file, tried a.txt");
    server.save("a.txt", "back");
    server.wait_log("generation 4 is live");
    assert_eq!(ask(&mut client, "x"), "back");
}

#[test]
fn a_missing_asset_is_named_with_what_was_meant() {
    refused(
        "asset('./firmware.bn')",
        &[("app/firmware.bin", "")],
        &[
            "app/handler.lua:1: cannot read asset \"./firmware.bn\" from app/handler.lua: no such file",
            "tried app/firmware.bn; did you mean \"firmware.bin\"?",
        ],
    );
    refused("asset('./lib/x')", &[], &["no such file, tried app/lib/x"]);
}

#[test]
fn an_asset_stays_in_the_folder() {
    let secret = [("secret.txt", "secret"), ("app/lib/x", "")];
    let outside = "it leads outside the script's folder app";
    refused("asset('../secret.txt')", &secret, &["handler.lua:1", outside]);
    refused("asset('./lib/../../secret.txt')", &secret, &[outside]);
    let relative = "must begin with ./ or ../, as in asset(\"./etc/hostname\")";
    refused("asset('/etc/hostname')", &[], &["handler.lua:1", relative]);
    refused("asset('secret.txt')", &secret, &["as in asset(\"./secret.txt\")"]);
}

#[test]
fn a_link_out_of_the_folder_is_refused() {
    for (path, expression) in
        [("link.bin", "asset('./link.bin')"), ("x.json", "require('./x.json')")]
    {
        let link = |dir: &std::path::Path| {
            std::os::unix::fs::symlink("../secret", dir.join("app").join(path)).unwrap();
        };
        let says =
            format!("app/{path} is a symbolic link that leads outside the script's folder app");
        refused_with(expression, &[("secret", "1")], link, &[&says]);
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let files = [("app/dir/x", ""), ("app/dir.json/x", "")];
    refused("asset('./dir')", &files, &["app/dir is a directory, expected a file"]);
    refused("asset('./')", &files, &["is a directory, expected a file"]);
    refused(
        "require('./dir.json')",
        &files,
        &["app/dir.json is a directory, expected a JSON file"],
    );
    let large = |dir: &std::path::Path| {
        let file = fs::File::create(dir.join("app/large")).unwrap();
        file.set_len((16 << 20) + 1).unwrap();
    };
    refused_with("asset('./large')", &[], large, &["app/large is larger than 16 MiB"]);
    let pipe = |dir: &std::path::Path| {
        nix::unistd::mkfifo(&dir.join("app/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    };
    refused_with("asset('./pipe')", &[], pipe, &["app/pipe is not a regular file"]);
}

#[test]
fn json_is_required_as_a_table() {
    let server = start(
        "local config = require('./lib/config.json')
         return function()
           local same = config == require('./lib/../lib/config.json')
           return `{config.names[2]} {config.deep.n} {same} {require('./lib/a') == config}\\n`
         end\n",
        &[
            ("lib/config.json", "\u{feff}{\"names\": [\"a\", \"b\"],\n \"deep\": {\"n\": 1}}\n"),
            ("lib/a.lua", "return require('./config.json')\n"),
        ],
    );
    assert_eq!(ask(&mut server.tcp(), "x"), "b 1 true true");
}

#[test]
fn json_may_hold_any_value() {
    let server = start(
        &answering(
            "`{require('./false.json')} {require('./null.json') == json.null} {require('./n.json')}`",
        ),
        &[("false.json", "false"), ("null.json", "null"), ("n.json", "1.5")],
    );
    let mut client = server.tcp();
    assert_eq!(ask(&mut client, "x"), "false true 1.5");
    assert_eq!(ask(&mut client, "x"), "false true 1.5");
}

#[test]
fn what_json_says_is_no_code() {
    let server = start(
        &answering("require('./a.json')[1]"),
        &[("a.json", "[\"require('./absent.json')\", \"asset('./absent')\"]")],
    );
    assert_eq!(ask(&mut server.tcp(), "x"), "require('./absent.json')");
}

#[test]
fn a_mistake_in_json_is_shown_in_its_place() {
    let json = "{\n  \"name\": \"x\",\n  \"port\": ,\n}\n";
    refused(
        "require('./config.json')",
        &[("app/config.json", json)],
        &["app/config.json:3: expected value at column 11", "\"port\": ,", "handler.lua:1"],
    );
    refused("require('./config.json')", &[("app/config.json", "")], &["app/config.json:1: EOF"]);
    refused(
        "require('./config.jsn')",
        &[("app/config.json", "")],
        &["no such file, tried app/config.jsn.lua"],
    );
    refused(
        "require('./confg.json')",
        &[("app/config.json", "")],
        &["tried app/confg.json; did you mean \"config.json\"?"],
    );
}

#[test]
fn a_changed_json_file_is_a_new_generation() {
    let server = start(&answering("require('./a.json').n"), &[("a.json", "{\"n\": 1}")]);
    let mut client = server.tcp();
    assert_eq!(ask(&mut client, "x"), "1");
    server.save("a.json", "{\"n\": 2}");
    server.wait_log("generation 2 is live");
    assert_eq!(ask(&mut client, "x"), "2");
}

/// What a generation writes into a required table is its own.
#[test]
fn a_required_table_is_new_in_each_generation() {
    let script = "
        local data, lib = require('./a.json'), require('./lib')
        data.n += 1
        lib.n += 1
        return function() return `{data.n} {lib.n}\\n` end\n";
    let server = start(script, &[("a.json", "{\"n\": 1}"), ("lib.lua", "return {n = 1}\n")]);
    let mut client = server.tcp();
    assert_eq!(ask(&mut client, "x"), "2 2");
    reload(&server, &format!("{script}-- changed\n"), 2);
    assert_eq!(ask(&mut client, "x"), "2 2");
}

#[test]
fn a_built_in_script_has_no_files_beside_it() {
    let server = Server::builder().args(["--script", "upper"]).start();
    server.tcp().exchange(b"asset", b"ASSET");
}
