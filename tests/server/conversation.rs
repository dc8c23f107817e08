//! `on_session`: a whole conversation as straight-line code. What a `read` can ask for and answer
//! is in `conversation_reads`, how a conversation ends in `conversation_ends`, what a reload means
//! to it in `conversation_reload`, and that of a datagram peer in `conversation_datagram`.

use crate::framed::{exchange_at_every_split, same_dialogue_everywhere};
use crate::support::Server;

/// The loop of the textbooks.
const UPPER: &str = r#"return {
  framing = "line",
  on_session = function(conn)
    while true do
      local msg = conn:read()
      if not msg then return end
      conn:send(msg:upper())
    end
  end,
}
"#;

fn start(script: &str) -> Server {
    Server::builder().script(script).start()
}

#[test]
fn the_loop_of_the_textbooks_is_a_server_over_every_transport() {
    same_dialogue_everywhere(
        UPPER,
        &[
            (b"hello\n", &[b"HELLO\n"]),
            (b"one\ntwo\r\nthree\n", &[b"ONE\n", b"TWO\n", b"THREE\n"]),
            (b"\n", &[b"\n"]),
            (b"bye\n", &[b"BYE\n"]),
        ],
    );
}

#[test]
fn a_conversation_gets_the_same_messages_at_every_split() {
    let server = start(UPPER);
    exchange_at_every_split(&mut server.tcp(), b"one\ntwo\r\n\nthree\n", b"ONE\nTWO\n\nTHREE\n");
}

#[test]
fn a_conversation_without_a_framing_reads_what_comes() {
    let server = start(&UPPER.replace("framing = \"line\",", ""));
    let mut client = server.tcp();
    client.exchange(b"no line", b"NO LINE");
    client.exchange(b"a\nb\n", b"A\nB\n");
    let peer = server.udp();
    peer.exchange(b"no line", b"NO LINE");
    peer.exchange(b"", b"");
}

#[test]
fn a_conversation_may_begin_with_a_greeting() {
    let script = r#"return {
      framing = "line",
      on_session = function(conn)
        conn:send("hello " .. conn.peer)
        local name = conn:read()
        conn:send("welcome " .. name)
      end,
    }
    "#;
    let server = start(script);
    let mut client = server.tcp();
    client.expect(format!("hello {}\n", client.local_addr()).as_bytes());
    client.exchange(b"ann\n", b"welcome ann\n");
    client.expect_eof();
    let peer = server.udp();
    peer.send(b"bob");
    peer.expect(format!("hello {}\n", peer.local_addr()).as_bytes());
    peer.expect(b"welcome bob\n");
}

#[test]
fn a_login_keeps_its_place_in_local_variables() {
    let script = r#"
    local function ask(conn, question)
      conn:send(question)
      return conn:read()
    end
    return {
      framing = "line",
      on_session = function(conn)
        local name = ask(conn, "name?")
        local tries = 0
        while ask(conn, "word?") ~= "secret" do
          tries += 1
          if tries == 3 then conn:send("no"); return end
        end
        conn:send(`{name} is in`)
        local line = conn:read()
        while line and line ~= "quit" do
          conn:send(`{name} says {line}`)
          line = conn:read()
        end
        conn:send("bye")
      end,
    }
    "#;
    let server = start(script);
    let mut client = server.tcp();
    client.expect(b"name?\n");
    client.exchange(b"ann\n", b"word?\n");
    client.exchange(b"wrong\n", b"word?\n");
    client.exchange(b"secret\n", b"ann is in\n");
    client.exchange(b"hello\n", b"ann says hello\n");
    client.exchange(b"quit\n", b"bye\n");
    client.expect_eof();
    let mut other = server.tcp();
    other.send(b"bob\na\nb\nc\n");
    assert_eq!(other.read_to_end(), b"name?\nword?\nword?\nword?\nno\n");
    same_dialogue_everywhere(
        script,
        &[
            (b"cat\n", &[b"name?\n", b"word?\n"]),
            (b"secret\n", &[b"cat is in\n"]),
            (b"hi\n", &[b"cat says hi\n"]),
            (b"quit\n", &[b"bye\n"]),
        ],
    );
}

#[test]
fn conversations_run_beside_each_other() {
    let server = start(
        r#"return {
          framing = "line",
          on_session = function(conn)
            local sum = 0
            while true do
              local line = conn:read()
              if not line then return end
              sum += tonumber(line)
              conn:send(tostring(sum))
            end
          end,
        }
        "#,
    );
    let mut clients: Vec<_> = (0..50).map(|_| server.tcp()).collect();
    for round in 1..=5 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(format!("{number}\n").as_bytes());
        }
        for (number, client) in clients.iter_mut().enumerate() {
            client.expect(format!("{}\n", number * round).as_bytes());
        }
    }
}

#[test]
fn a_read_may_drive_a_for_loop() {
    let server = start(
        r#"return {
          framing = "line",
          on_session = function(conn)
            local n = 0
            for line in function() return (conn:read()) end do
              n += 1
              conn:send(`{n} {line}`)
            end
            conn:send("end")
          end,
        }
        "#,
    );
    let mut client = server.tcp();
    client.exchange(b"one\n", b"1 one\n");
    client.exchange(b"two\n", b"2 two\n");
    client.half_close();
    assert_eq!(client.read_to_end(), b"end\n");
}

#[test]
fn on_connect_runs_before_the_conversation() {
    let server = start(
        r#"return {
          framing = "line",
          on_connect = function(conn) sleep(0.02); conn.state.name = "ann"; return "one moment" end,
          on_session = function(conn)
            conn:send("hello " .. conn.state.name)
            conn:send(conn:read())
          end,
        }
        "#,
    );
    let mut client = server.tcp();
    client.send(b"early\n");
    assert_eq!(client.read_to_end(), b"one moment\nhello ann\nearly\n");
}

#[test]
fn a_connection_that_on_connect_refuses_has_no_conversation() {
    let server = start(
        r#"return {
          framing = "line",
          on_connect = function() return nil, "house full", "come back later" end,
          on_session = function(conn) log.info("in session"); conn:read() end,
          on_close = function(conn, reason) log.info(`gone: {reason};`) end,
        }
        "#,
    );
    assert_eq!(server.tcp().read_to_end(), b"come back later\n");
    server.wait_log("gone: rejected;");
    server.assert_no_log("in session");
}

#[test]
fn what_arrives_while_a_conversation_sleeps_waits_for_it() {
    let server = start(
        r#"return {
          framing = "line",
          on_session = function(conn)
            while true do
              local msg = conn:read()
              if not msg then return end
              if msg == "nap" then
                log.info("sleeping")
                repeat sleep(0.01) until server.state.go
              end
              if msg == "go" then server.state.go = true end
              conn:send(msg)
            end
          end,
        }
        "#,
    );
    let mut client = server.tcp();
    client.send(b"nap\none\n");
    server.wait_log("sleeping");
    client.send(b"two\nthr");
    server.tcp().exchange(b"go\n", b"go\n");
    client.expect(b"nap\none\ntwo\n");
    client.exchange(b"ee\n", b"three\n");
}

#[test]
fn a_waiting_read_holds_nobody_up() {
    let server = start(UPPER);
    let mut half = server.tcp();
    half.send(b"half a li");
    let mut other = server.tcp();
    let peer = server.udp();
    for _ in 0..10 {
        other.exchange(b"hello\n", b"HELLO\n");
        peer.exchange(b"hello", b"HELLO\n");
    }
    half.exchange(b"ne\n", b"HALF A LINE\n");
}

#[test]
fn a_conversation_may_switch_its_framing() {
    let server = start(
        r#"return {
          framing = "line",
          on_session = function(conn)
            while true do
              local msg = conn:read()
              if not msg then return end
              if msg == "counted" then conn:set_framing("netstring") end
              if msg == "lines" then conn:set_framing(nil) end
              conn:send(msg)
            end
          end,
        }
        "#,
    );
    exchange_at_every_split(
        &mut server.tcp(),
        b"a\ncounted\n1:b,5:lines,c\n",
        b"a\n7:counted,1:b,lines\nc\n",
    );
}

#[test]
fn a_script_with_on_message_and_on_session_does_not_load() {
    let failed = Server::builder()
        .script("return {on_message = function() end, on_session = function() end}\n")
        .listen("tcp://127.0.0.1:0")
        .start_expecting_failure();
    assert_eq!(failed.status, 1, "{failed:?}");
    for part in ["handler.lua", "on_message", "on_session"] {
        assert!(failed.stderr.contains(part), "no {part:?} in {failed:?}");
    }
}
