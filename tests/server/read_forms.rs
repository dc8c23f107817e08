//! What `conn:read` can ask for: a framing for this once, in every form; and specs that are none.

use crate::framed::{send_pieces, session};
use crate::support::Server;
use crate::talk::ask;

fn start(script: &str) -> Server {
    Server::builder().script(script).start()
}

/// Reads once with each spec, and shows each message in brackets.
const FORMS: &str = r#"
local function to_bar(buffer)
  local at = buffer:find("|", 1, true)
  if at then return at, buffer:sub(1, at - 1) end
end
local SPECS = {
  "line",
  {line = true},
  {fixed = 3},
  "fixed:2",
  {fixed = 0},
  "length:u8",
  {length = "u16be", offset = 1, header = "keep"},
  "netstring",
  {delimiter = ";"},
  "delimiter:0x00",
  {"line", max = 10},
  {line = true, timeout = 5},
  {"fixed:4", timeout = 5},
  {timeout = 5},
  to_bar,
  {to_bar, max = 100, timeout = 5},
  "crlf",
  "all",
}
return {
  framing = "crlf",
  on_session = function(conn)
    for _, spec in SPECS do
      local msg, why = conn:read(spec)
      conn:send_raw(`<{msg or why}>`)
    end
  end,
}
"#;

const FORMS_WIRE: &[u8] = b"one\ntwo\r\nabcde\x03xyzA\0\x01B2:hi,semi;zero\0max\ntime\n\r\n\r\n\
    in force\r\nbar|rab|end\r\nall\n\0the rest";

const FORMS_ANSWERS: &[u8] = b"<one><two><abc><de><><xyz><A\0\x01B><hi><semi><zero><max><time>\
    <\r\n\r\n><in force><bar><rab><end><all\n\0the rest>";

#[test]
fn read_takes_a_framing_for_this_once_in_every_form() {
    let server = start(FORMS);
    let mut client = server.tcp();
    client.send(FORMS_WIRE);
    client.half_close();
    assert_eq!(client.read_to_end().escape_ascii().to_string(), shown(FORMS_ANSWERS));
}

#[test]
fn read_takes_a_framing_for_this_once_however_the_bytes_are_split() {
    let server = start(FORMS);
    for size in [1, 2, 3, 7] {
        let mut client = server.tcp();
        send_pieces(&mut client, FORMS_WIRE.chunks(size));
        client.half_close();
        assert_eq!(client.read_to_end().escape_ascii().to_string(), shown(FORMS_ANSWERS));
    }
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[test]
fn all_may_be_a_table_and_takes_many_pieces() {
    let server = start(&session("", "conn:send(`{#conn:read({all = true})}`)"));
    let mut client = server.tcp();
    for _ in 0..10 {
        client.send(&vec![b'x'; 50_000]);
    }
    client.half_close();
    assert_eq!(client.read_to_end(), b"500000");
    server.wait_log("gone: eof;");
}

const BAD_SPECS: &str = r#"
local SPECS = {
  text = "lien",
  unknown = {line = true, timeuot = 5},
  two = {line = true, crlf = true},
  number = 42,
  bool = true,
  negative = {fixed = -1},
  nan = {timeout = 0/0},
  past = {timeout = -1},
  word = {timeout = "soon"},
}
return {
  framing = "line",
  on_session = function(conn)
    while true do
      local msg = conn:read()
      if not msg then return end
      local ok, why = pcall(conn.read, conn, SPECS[msg])
      conn:send(`{ok} {why}`)
    end
  end,
}
"#;

#[test]
fn read_raises_for_a_spec_that_is_none_and_takes_nothing() {
    let server = start(BAD_SPECS);
    let mut client = server.tcp();
    for (message, parts) in [
        ("text", ["lien", "line"]),
        ("unknown", ["timeuot", "conn:read"]),
        ("two", ["line", "crlf"]),
        ("number", ["conn:read", "number"]),
        ("bool", ["conn:read", "boolean"]),
        ("negative", ["fixed", ""]),
        ("nan", ["timeout", ""]),
        ("past", ["timeout", ""]),
        ("word", ["timeout", ""]),
    ] {
        let answer = ask(&mut client, &format!("{message}\n"));
        assert!(answer.starts_with("false "), "{message}: {answer}");
        for part in parts {
            assert!(answer.contains(part), "{message}: no {part:?} in {answer}");
        }
    }
}
