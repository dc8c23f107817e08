//! Specs that are none: refused where they stand, in a script, on the command line, in a call.

use crate::framed::bracketing;
use crate::support::Server;
use crate::talk::{ask, place_of, reload_refused};

/// Texts that no grammar has, and what the refusal names.
const TEXTS: [(&str, &[&str]); 21] = [
    ("lin", &["lin", "line"]),
    ("lenght:u16be", &["lenght", "length"]),
    ("netstrings", &["netstrings", "netstring"]),
    ("length", &["length"]),
    ("length:u17be", &["u17be", "u16be"]),
    ("length:u16be,ofset=4", &["ofset", "offset"]),
    ("length:u16be,offset=4", &["offset", "keep"]),
    ("length:u16be,offset=x,header=keep", &["offset", "x"]),
    ("length:u16be,header=kep", &["kep", "keep"]),
    ("length:u16be,adjust=x", &["adjust"]),
    ("fixed", &["fixed"]),
    ("fixed:0", &["fixed"]),
    ("fixed:-1", &["fixed"]),
    ("fixed:twelve", &["fixed", "twelve"]),
    ("fixed:10,max=5", &["fixed"]),
    ("line,max=lots", &["max", "lots"]),
    ("line,mx=5", &["mx", "max"]),
    ("line,offset=5", &["offset"]),
    ("line:5", &["line"]),
    ("delimiter:", &["delimiter"]),
    ("all", &["all"]),
];

/// Values of a script that are no framing, and what the refusal names.
const VALUES: [(&str, &[&str]); 22] = [
    ("42", &["framing"]),
    ("true", &["framing"]),
    ("\"\"", &["framing"]),
    ("{}", &["framing"]),
    ("{line = true, fixed = 3}", &["line", "fixed"]),
    ("{\"line\", crlf = true}", &["line", "crlf"]),
    ("{\"line\", \"crlf\"}", &["framing"]),
    ("{lin = true}", &["lin", "line"]),
    ("{line = true, maxx = 3}", &["maxx", "max"]),
    ("{line = true, offset = 3}", &["offset"]),
    ("{line = true, timeout = 5}", &["timeout"]),
    ("{line = \"yes\"}", &["line"]),
    ("{fixed = \"x\"}", &["fixed"]),
    ("{fixed = 1.5}", &["fixed"]),
    ("{fixed = 0}", &["fixed"]),
    ("{fixed = 0/0}", &["fixed"]),
    ("{delimiter = \"\"}", &["delimiter"]),
    ("{delimiter = (\"x\"):rep(257)}", &["delimiter", "256"]),
    ("{length = 2}", &["length"]),
    ("{length = \"u16be\", offset = -1, header = \"keep\"}", &["offset"]),
    ("{line = true, max = -1}", &["max"]),
    ("{line = true, max = 0/0}", &["max"]),
];

#[test]
fn a_script_with_a_spec_that_is_none_does_not_load() {
    let texts = TEXTS.map(|(text, parts)| (format!("\"{text}\""), parts));
    let values = VALUES.map(|(value, parts)| (value.to_owned(), parts));
    for (spec, parts) in texts.into_iter().chain(values) {
        let script = bracketing(&spec);
        let failed =
            Server::builder().script(&script).listen("tcp://127.0.0.1:0").start_expecting_failure();
        assert_eq!(failed.status, 1, "{spec}: {failed:?}");
        assert!(failed.stderr.contains("handler.lua"), "{spec}: {failed:?}");
        for part in parts {
            assert!(failed.stderr.contains(part), "{spec}: no {part:?} in {failed:?}");
        }
    }
}

#[test]
fn a_reply_framing_that_is_none_does_not_load() {
    for (spec, parts) in [("\"lin\"", ["reply_framing", "line"]), ("42", ["reply_framing", ""])] {
        let failed = Server::builder()
            .script(&format!("return {{framing = \"line\", reply_framing = {spec}}}\n"))
            .listen("tcp://127.0.0.1:0")
            .start_expecting_failure();
        assert_eq!(failed.status, 1, "{spec}: {failed:?}");
        for part in parts {
            assert!(failed.stderr.contains(part), "{spec}: no {part:?} in {failed:?}");
        }
    }
}

#[test]
fn a_spec_of_the_command_line_that_is_none_is_bad_usage() {
    for (text, parts) in TEXTS {
        let failed = Server::builder()
            .listen("tcp://127.0.0.1:0")
            .args([format!("--framing={text}").as_str()])
            .start_expecting_failure();
        failed.assert_one_line(2, &[&["--framing"], parts].concat());
    }
}

#[test]
fn a_reload_with_a_spec_that_is_none_is_refused() {
    let server = Server::builder().script(&bracketing("\"line\"")).start();
    let mut client = server.tcp();
    client.exchange(b"one\n", b"<one>\n");
    reload_refused(&server, &bracketing("\"lien\""));
    server.wait_log("lien");
    client.exchange(b"two\n", b"<two>\n");
}

const CALLING: &str = r#"
local SPECS = {
  text = "lien",
  unknown = {line = true, mx = 5},
  two = {line = true, crlf = true},
  number = 42,
  bool = false,
  zero = {fixed = 0},
  strip = "length:u16be,offset=2",
}
return {
  framing = "line",
  on_message = function(msg, conn)
    if msg == "uncaught" then
      conn:set_framing("lien") -- HERE
    end
    local ok, why = pcall(conn.set_framing, conn, SPECS[msg])
    return `{ok} {why}`
  end,
}
"#;

#[test]
fn set_framing_raises_for_a_spec_that_is_none_and_changes_nothing() {
    let server = Server::builder().script(CALLING).start();
    let mut client = server.tcp();
    for (message, parts) in [
        ("text", &["lien", "line"][..]),
        ("unknown", &["mx", "max"]),
        ("two", &["line", "crlf"]),
        ("number", &["conn:set_framing", "number"]),
        ("bool", &["conn:set_framing", "boolean"]),
        ("zero", &["fixed"]),
        ("strip", &["offset"]),
    ] {
        let answer = ask(&mut client, &format!("{message}\n"));
        assert!(answer.starts_with("false "), "{message}: {answer}");
        for part in parts {
            assert!(answer.contains(part), "{message}: no {part:?} in {answer}");
        }
    }
}

#[test]
fn an_error_of_set_framing_is_one_of_the_callers_line() {
    let server = Server::builder().script(CALLING).start();
    let mut client = server.tcp();
    client.send(b"uncaught\n");
    let fault = server.wait_log("handler fault");
    assert!(fault.contains("on_message") && fault.contains("lien"), "{fault}");
    assert!(fault.contains(&place_of(CALLING, "HERE")), "{fault}");
    assert!(ask(&mut client, "zero\n").starts_with("false "));
}
