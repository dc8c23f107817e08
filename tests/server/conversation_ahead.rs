//! Messages that came together, and are read one by one without a wait between: what holds for
//! those that a read waits for holds for them.

use crate::framed::session;
use crate::support::Server;

/// As the rest of a session: a line a read, until `quit`.
const LOOP: &str = "while true do
       local msg, why = conn:read()
       if not msg then return log.info(`ended by {why};`) end
       if msg == \"quit\" then conn:close() end
       conn:send(msg)
     end";

#[test]
fn many_lines_are_answered_in_order() {
    let server = Server::builder().script(&session("framing = \"line\",", LOOP)).start();
    let lines = (0..20_000).map(|n| n.to_string()).collect::<Vec<_>>().join("\n") + "\n";
    server.tcp().exchange(lines.as_bytes(), lines.as_bytes());
}

#[test]
fn nothing_is_read_behind_a_close() {
    let server = Server::builder().script(&session("framing = \"line\",", LOOP)).start();
    let mut client = server.tcp();
    client.send(b"one\nquit\ntwo\nthree\n");
    assert_eq!(client.read_to_end(), b"one\n");
    server.wait_log("ended by closed;");
}

#[test]
fn every_message_is_logged_where_that_is_asked_for() {
    let script = session("framing = \"line\",", LOOP);
    let server = Server::builder().script(&script).args(["-v"]).start();
    server.tcp().exchange(b"one\ntwo\nthree\n", b"one\ntwo\nthree\n");
    for word in ["one", "two", "three"] {
        server.wait_log(&format!("message \"{word}\""));
    }
}

#[test]
fn a_function_as_framing_may_find_them() {
    let script = session(
        "framing = function(buffer) if #buffer > 1 then return 2, buffer:sub(1, 2) end end,",
        LOOP,
    );
    let server = Server::builder().script(&script).start();
    server.tcp().exchange(b"onetwothre", b"onetwothre");
}

#[test]
fn a_framing_by_name_is_for_this_once() {
    let script = session(
        "framing = \"line\",",
        "for _ = 1, 3 do
           local line = conn:read()
           conn:send(line .. \"|\" .. conn:read(\"fixed:3\") .. \"|\" .. conn:read(\"fixed:0\"))
         end",
    );
    let server = Server::builder().script(&script).start();
    let mut client = server.tcp();
    client.send(b"a\n\n\n\nb\nabcc\nxyz");
    assert_eq!(client.read_to_end(), b"a|\n\n\n|\nb|abc|\nc|xyz|\n");
}

#[test]
fn another_reader_has_the_connection() {
    let script = session(
        "framing = \"line\",",
        "conn:read()
         spawn(function() conn:send(conn:read(\"fixed:8\")) end)
         sleep(0.05)
         local ok, why = pcall(conn.read, conn)
         conn:send(`{ok} {why}`)
         sleep(0.05)",
    );
    let server = Server::builder().script(&script).start();
    let mut client = server.tcp();
    client.send(b"one\ntwo\n");
    let answer = crate::talk::read_line(&mut client);
    assert!(answer.starts_with("false ") && answer.contains("already being read"), "{answer}");
    client.exchange(b"four", b"two\nfour");
}

#[test]
fn errors_are_told_at_the_line_of_the_caller() {
    let script = session(
        "framing = \"line\",",
        "local function told(f, ...)
           local _, why = pcall(f, ...)
           conn:send(why)
         end
         told(function() conn:send(nil) end)
         told(function() conn:send_raw({}) end)
         told(function() conn.send(\"x\") end)
         told(function() conn.read({}) end)
         told(function() conn:read(\"nonsense\") end)
         told(function() conn:read(\"line\", 5) end)
         told(function() conn.read(nil, \"line\") end)
         told(function() return conn.nonsense end)
         told(conn.send, conn, 5)",
    );
    let line = 1 + script.lines().position(|line| line.contains("conn:send(nil)")).unwrap();
    let server = Server::builder().script(&script).start();
    let mut client = server.tcp();
    let told = String::from_utf8(client.read_to_end()).unwrap();
    let told: Vec<_> = told.lines().collect();
    assert_eq!(told.len(), 9, "{told:#?}");
    for (at, text) in told[..8].iter().enumerate() {
        assert!(text.contains(&format!(":{}: ", line + at)), "{text}");
    }
    for (text, expected) in told.iter().zip([
        "conn:send expects a string, got nil",
        "conn:send_raw expects a string, got table",
        "call it with a colon: conn:send(...)",
        "call it with a colon: conn:read(...)",
        "conn:read: ",
        "conn:read takes one framing",
        "call it with a colon: conn:read(...)",
        "conn has no field 'nonsense'",
        "conn:send expects a string, got number",
    ]) {
        assert!(text.contains(expected), "{text}");
    }
}
