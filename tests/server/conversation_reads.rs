//! What `conn:read` answers where there is no message: the end of the stream and of the connection,
//! a timeout, a message that is none; and who may read. What it can ask for is in `read_forms`.

use crate::framed::session;
use crate::support::{SIGTERM, Server};
use crate::talk::read_line;

fn start(script: &str) -> Server {
    Server::builder().script(script).start()
}

#[test]
fn a_read_that_times_out_leaves_what_arrived_in_the_buffer() {
    let server = start(&session(
        "framing = \"line\",",
        "while true do
           local msg, why = conn:read({timeout = 0.05})
           if msg then conn:send(\"<\" .. msg .. \">\")
           else log.info(`read gave {msg} {why};`) end
           if why and why ~= \"timeout\" then return end
         end",
    ));
    let mut client = server.tcp();
    client.exchange(b"first\nhalf a", b"<first>\n");
    server.wait_log_count("read gave nil timeout;", server.log_count("nil timeout;") + 3);
    client.exchange(b" line\n", b"<half a line>\n");
    client.half_close();
    client.expect_eof();
    server.wait_log("read gave nil eof;");
}

#[test]
fn a_timeout_of_one_framing_leaves_the_bytes_to_another() {
    let server = start(&session(
        "framing = \"line\",",
        "local msg, why = conn:read({fixed = 100, timeout = 0.05})
         conn:send(`{msg} {why}`)
         conn:send(\"<\" .. conn:read() .. \">\")
         conn:send(\"<\" .. conn:read({fixed = 4}) .. \">\")",
    ));
    let mut client = server.tcp();
    client.send(b"line\nabcd");
    assert_eq!(client.read_to_end(), b"nil timeout\n<line>\n<abcd>\n");
}

#[test]
fn at_the_end_of_the_stream_reads_say_eof_and_sends_still_arrive() {
    let server = start(&session(
        "framing = \"line\", on_eof = function() log.info(\"on_eof runs\") end,",
        "local n = 0
         while conn:read() do n += 1 end
         local msg, why = conn:read()
         conn:send(`{n} {msg} {why}`)",
    ));
    let mut client = server.tcp();
    client.send(b"one\ntwo\nthree");
    client.half_close();
    assert_eq!(client.read_to_end(), b"3 nil eof\n");
    server.wait_log("gone: eof;");
    server.assert_no_log("on_eof runs");
}

#[test]
fn a_counted_block_that_the_peer_cuts_is_eof() {
    let server = start(&session(
        "framing = \"line\",",
        "local msg, why = conn:read({fixed = 5})
         conn:send(`{msg} {why}`)",
    ));
    let mut client = server.tcp();
    client.send(b"ab");
    client.half_close();
    assert_eq!(client.read_to_end(), b"nil eof\n");
    server.wait_log("gone: eof;");
}

#[test]
fn a_read_says_closed_when_another_closes_the_connection() {
    let server = start(&session(
        "framing = \"line\",",
        "local msg = conn:read()
         if msg == \"keep\" then
           server.state.kept = conn
           conn:send(\"kept\")
           local msg, why = conn:read()
           log.info(`read gave {msg} {why};`)
         else
           server.state.kept:close()
         end",
    ));
    let mut kept = server.tcp();
    kept.exchange(b"keep\n", b"kept\n");
    server.tcp().send(b"close\n");
    kept.expect_eof();
    server.wait_log("read gave nil closed;");
    server.wait_log_count("gone: closed;", 2);
}

#[test]
fn a_read_behind_ones_own_close_says_closed() {
    let server = start(&session(
        "framing = \"line\",",
        "conn:read()
         conn:send(\"bye\")
         conn:close()
         local msg, why = conn:read()
         log.info(`read gave {msg} {why};`)",
    ));
    let mut client = server.tcp();
    client.send(b"one\ntwo\n");
    assert_eq!(client.read_to_end(), b"bye\n");
    server.wait_log("read gave nil closed;");
    server.wait_log("gone: closed;");
}

#[test]
fn a_read_says_reset_when_the_peer_resets() {
    let server = start(&session(
        "framing = \"line\",",
        "conn:send(conn:read())
         local msg, why = conn:read()
         log.info(`read gave {msg} {why};`)",
    ));
    let mut client = server.tcp();
    client.exchange(b"one\n", b"one\n");
    client.reset();
    server.wait_log("read gave nil reset;");
    server.wait_log("gone: reset;");
}

#[test]
fn a_read_says_shutdown_when_the_server_stops_and_last_words_arrive() {
    let mut server = start(&session(
        "framing = \"line\",",
        "conn:send(conn:read())
         local msg, why = conn:read()
         conn:send(`{msg} {why}`)",
    ));
    let mut client = server.tcp();
    let peer = server.udp();
    client.exchange(b"one\n", b"one\n");
    peer.exchange(b"one\n", b"one\n");
    server.signal(SIGTERM);
    assert_eq!(client.read_to_end(), b"nil shutdown\n");
    peer.expect(b"nil shutdown\n");
    assert_eq!(server.wait_exit(), 0);
    server.wait_log_count("gone: shutdown;", 2);
    server.assert_no_log("drain ended by its deadline");
}

#[test]
fn an_oversize_message_is_told_to_the_conversation_and_then_ends_it() {
    let server = start(&session(
        "framing = \"line,max=8\",",
        "while true do
           local msg, why = conn:read()
           conn:send(`{msg} {why}`)
           if not msg then return end
         end",
    ));
    let mut client = server.tcp();
    client.exchange(b"fine\n", b"fine nil\n");
    client.send(b"this is too long\n");
    assert_eq!(client.read_to_end(), b"nil oversize\n");
    server.wait_log("message over the limit of 8 bytes");
    server.wait_log("gone: oversize;");
}

#[test]
fn a_malformed_message_is_told_to_the_conversation_and_then_ends_it() {
    for (framing, bad) in [
        ("\"netstring\"", "x"),
        ("function() error(\"no frame\") end", "x"),
        ("function() return -1 end", "x"),
    ] {
        let server = start(&session(
            &format!("framing = {framing}, reply_framing = \"line\","),
            "local msg, why = conn:read()
             conn:send(`{msg} {why}`)",
        ));
        let mut client = server.tcp();
        client.send(bad.as_bytes());
        assert_eq!(client.read_to_end(), b"nil framing\n");
        server.wait_log("gone: framing;");
    }
}

#[test]
fn a_second_reader_at_the_same_time_raises() {
    let server = start(&session(
        "framing = \"line\",",
        "spawn(function()
           local ok, why = pcall(conn.read, conn)
           conn:send(`{ok} {why}`)
         end)
         conn:send(\"<\" .. conn:read() .. \">\")
         conn:send(\"<\" .. conn:read() .. \">\")",
    ));
    let mut client = server.tcp();
    let answer = read_line(&mut client);
    assert!(answer.starts_with("false ") && answer.contains("already being read"), "{answer}");
    client.exchange(b"one\n", b"<one>\n");
    client.exchange(b"two\n", b"<two>\n");
    client.expect_eof();
}

#[test]
fn a_task_that_reads_sees_its_message_before_on_message_gets_the_next() {
    let server = start(
        r#"return {
          framing = "line",
          on_message = function(msg, conn)
            if msg ~= "go" then return "message " .. msg end
            spawn(function() conn:send("task " .. conn:read()) end)
            return "reading"
          end,
        }"#,
    );
    let mut client = server.tcp();
    client.exchange(b"go\n", b"reading\n");
    client.exchange(b"one\ntwo\n", b"task one\nmessage two\n");
}

#[test]
fn a_message_of_a_task_that_is_cancelled_goes_to_on_message() {
    const ROUNDS: usize = 300;
    let server = start(
        r#"return {
          framing = "line",
          on_load = function()
            every(0.001, function()
              for _, conn in server.connections() do
                if conn.state.task then conn.state.task:cancel() end
              end
            end)
          end,
          on_message = function(msg, conn)
            if msg ~= "go" then return msg end
            conn.state.task = spawn(function() conn:send(conn:read()) end)
            return "reading"
          end,
        }"#,
    );
    let mut client = server.tcp();
    for round in 0..ROUNDS {
        client.exchange(b"go\n", b"reading\n");
        // Somewhere around the moment at which the task is cancelled.
        std::thread::sleep(std::time::Duration::from_micros(round as u64 * 5));
        let line = format!("{round}\n");
        client.exchange(line.as_bytes(), line.as_bytes());
    }
}

#[test]
fn a_task_that_reads_is_told_that_the_server_stops() {
    let mut server = start(&session(
        "framing = \"line\",",
        "spawn(function()
           conn:send(\"reading\")
           local msg, why = conn:read()
           log.info(`the task got {msg} {why}`)
         end)",
    ));
    let mut client = server.tcp();
    client.expect(b"reading\n");
    server.signal(SIGTERM);
    server.wait_log("the task got nil shutdown");
    assert_eq!(server.wait_exit(), 0);
    client.expect_gone();
}

#[test]
fn readers_may_take_turns() {
    let server = start(&session(
        "framing = \"line\",",
        "conn:send(\"main \" .. conn:read())
         spawn(function() conn:send(\"spawned \" .. conn:read()) end)",
    ));
    let mut client = server.tcp();
    client.exchange(b"one\n", b"main one\n");
    client.exchange(b"two\n", b"spawned two\n");
    client.expect_eof();
}

#[test]
fn read_works_through_pcall_and_not_in_a_coroutine_of_the_scripts_own() {
    let server = start(&session(
        "framing = \"line\",",
        "local ok, msg = pcall(function() return (conn:read()) end)
         conn:send(`{ok} {msg}`)
         local ok, why = pcall(coroutine.wrap(function() return conn:read() end))
         conn:send(`{ok} {why}`)
         conn:send(\"<\" .. conn:read() .. \">\")",
    ));
    let mut client = server.tcp();
    client.send(b"one\n");
    client.expect(b"true one\nfalse ");
    let answer = read_line(&mut client);
    assert!(answer.contains("use spawn"), "{answer}");
    client.exchange(b"two\n", b"<two>\n");
}
