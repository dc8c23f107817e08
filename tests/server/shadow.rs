//! `--shadow N`: at a save the server says which of the last replies the new script changes.

use std::time::Duration;

use crate::support::{Client, Server};

const UPPER: &str =
    "return { framing = \"line\", on_message = function(m) return m:upper() end }\n";

fn shadowed(script: &str, count: &str) -> Server {
    Server::builder().script(script).args(["--shadow", count]).start()
}

fn lines(client: &mut Client, lines: &[(&str, &str)]) {
    for (line, answer) in lines {
        client.exchange(format!("{line}\n").as_bytes(), format!("{answer}\n").as_bytes());
    }
}

#[test]
fn the_replies_that_change_are_told_with_their_messages() {
    let server = shadowed(UPPER, "10");
    let mut client = server.tcp();
    lines(&mut client, &[("hello", "HELLO"), ("you", "YOU"), ("there", "THERE")]);
    server.save(
        "handler.lua",
        "return { framing = \"line\", on_message = function(m)\n\
           return if m == \"you\" then \"thou\" else m:upper()\n\
         end }\n",
    );
    let line = server.wait_log("shadow: ");
    assert!(line.contains("1 of 3 replies changes"), "{line}");
    server.wait_log("message \"you\\n\"");
    server.wait_log("before \"YOU\\n\"");
    server.wait_log("now    \"thou\\n\"");
    assert_eq!(server.log_count("message \""), 1, "{}", server.log_text());
    // No connection was touched.
    lines(&mut client, &[("you", "thou")]);
    client.expect_silence(Duration::from_millis(50));
}

#[test]
fn a_save_that_changes_nothing_says_so() {
    let server = shadowed(UPPER, "10");
    lines(&mut server.tcp(), &[("hello", "HELLO")]);
    server.save("handler.lua", &format!("-- anew\n{UPPER}"));
    let line = server.wait_log("shadow: ");
    assert!(line.contains("none of 1 reply changes"), "{line}");
}

#[test]
fn each_message_of_one_read_has_its_reply() {
    let server = shadowed(UPPER, "10");
    server.tcp().exchange(b"a\nb\nc\n", b"A\nB\nC\n");
    server.save("handler.lua", &UPPER.replace("m:upper()", "m == \"b\" and \"x\" or m:upper()"));
    let line = server.wait_log("shadow: ");
    assert!(line.contains("1 of 3 replies changes"), "{line}");
    server.wait_log("message \"b\\n\"");
}

#[test]
fn conversations_are_held_from_fresh_state() {
    let script = "return { framing = \"line\", on_message = function(m, conn)\n\
                    conn.state.n = (conn.state.n or 0) + 1\n\
                    return conn.state.n .. \" \" .. m\n\
                  end }\n";
    let server = shadowed(script, "10");
    let mut client = server.tcp();
    lines(&mut client, &[("a", "1 a"), ("b", "2 b")]);
    server.save("handler.lua", &script.replace("\" \"", "\": \""));
    server.wait_log("shadow: 2 of 2 replies change");
    server.wait_log("now    \"2: b\\n\"");
    // The counter of the open connection has gone on from where it was.
    lines(&mut client, &[("c", "3: c")]);
}

#[test]
fn of_what_depends_on_state_from_before_nothing_is_said() {
    let script = "return { framing = \"line\", on_message = function(m)\n\
                    server.state.n = (server.state.n or 0) + 1\n\
                    return server.state.n .. \" \" .. m\n\
                  end }\n";
    let server = shadowed(script, "2");
    lines(&mut server.tcp(), &[("a", "1 a"), ("b", "2 b")]);
    // The counter is at 2 when the two messages come that are kept.
    lines(&mut server.tcp(), &[("c", "3 c"), ("d", "4 d")]);
    server.save("handler.lua", &script.replace("\" \"", "\": \""));
    let line = server.wait_log("shadow: ");
    assert!(line.contains("nothing can be said of any reply; in 2 replies state from"), "{line}");
}

#[test]
fn messages_of_connections_that_are_older_than_the_tape_are_left_out() {
    let server = shadowed(UPPER, "2");
    let mut client = server.tcp();
    lines(&mut client, &[("a", "A"), ("b", "B"), ("c", "C")]);
    server.save("handler.lua", &UPPER.replace("upper", "reverse"));
    let line = server.wait_log("shadow: ");
    assert!(line.contains("nothing can be said of any reply; 2 messages"), "{line}");
    assert!(line.contains("2 messages are left out"), "{line}");
}

#[test]
fn datagrams_and_greetings_are_replies_too() {
    let script = "return {\n\
                    on_connect = function(conn) return \"hi\" end,\n\
                    on_message = function(m) return m:upper() end,\n\
                  }\n";
    let server = shadowed(script, "10");
    let peer = server.udp();
    peer.send(b"x");
    peer.expect(b"hi");
    peer.expect(b"X");
    server.save("handler.lua", &script.replace("hi", "hello"));
    // What greets a peer answers its first datagram.
    server.wait_log("shadow: 1 of 1 reply changes");
    server.wait_log("before \"hiX\"");
    server.wait_log("now    \"helloX\"");
    let mut client = server.tcp();
    client.exchange(b"", b"hello");
    server.save("handler.lua", &script.replace("hi", "welcome"));
    server.wait_log("shadow: 2 of 2 replies change");
    server.wait_log("as it connects");
    server.wait_log("now    \"welcome\"");
}

#[test]
fn a_script_that_never_rests_does_not_hold_the_server_up() {
    let server = shadowed(UPPER, "10");
    let mut client = server.tcp();
    lines(&mut client, &[("a", "A")]);
    server.save(
        "handler.lua",
        "return { framing = \"line\", on_message = function(m)\n\
           if m == \"a\" then while true do sleep(0) end end\n\
           return m\n\
         end }\n",
    );
    server.wait_log("generation 2 is live");
    lines(&mut client, &[("b", "b")]);
    server.wait_log("shadow: the last messages could not be answered anew");
}

#[test]
fn answers_without_end_are_not_kept() {
    let server = shadowed(UPPER, "100");
    let mut client = server.tcp();
    for _ in 0..100 {
        client.exchange(b"a\n", b"A\n");
    }
    let huge = UPPER.replace("m:upper()", "string.rep(\"b\", 1000000)");
    server.save("handler.lua", &huge);
    server.wait_log("could not be answered anew: the answers are over 64 MiB");
}

#[test]
fn what_depended_on_state_is_not_told_at_later_saves_either() {
    let script = "return { framing = \"line\", on_connect = function()\n\
                    server.state.n = (server.state.n or 0) + 1\n\
                    return \"visitor \" .. server.state.n\n\
                  end }\n";
    let server = shadowed(script, "2");
    for number in 1..=3 {
        let mut client = server.tcp();
        client.exchange(b"x\n", format!("visitor {number}\n").as_bytes());
        client.half_close();
        client.expect_eof();
    }
    for save in 2..=3 {
        server.save("handler.lua", &script.replace("visitor", &format!("guest {save}")));
        let lines = server.wait_log_count("shadow: ", save - 1);
        let line = &lines[save - 2];
        assert!(!line.contains("visitor"), "{line}");
        assert!(line.contains("state from before"), "{line}");
    }
    assert_eq!(server.log_count("before \"visitor"), 0, "{}", server.log_text());
}

#[test]
fn a_message_in_several_reads_is_one() {
    let script =
        "return { framing = \"line\", on_message = function(m) return tostring(#m) end }\n";
    let server = shadowed(script, "10");
    let mut client = server.tcp();
    client.send(&vec![b'x'; 400_000]);
    client.exchange(b"\n", b"400000\n");
    server.save("handler.lua", &script.replace("#m", "#m + 1"));
    let line = server.wait_log("shadow: ");
    assert!(!line.contains("left out"), "{line}");
    server.wait_log("now    \"400001\\n\"");
}

#[test]
fn replies_are_shown_where_they_differ() {
    let script = "return { framing = \"line\", on_message = function(m)\n\
                    return string.rep(\"x\", 200) .. m\n\
                  end }\n";
    let server = shadowed(script, "10");
    lines(&mut server.tcp(), &[("hello", &format!("{}hello", "x".repeat(200)))]);
    server.save("handler.lua", &script.replace(".. m", ".. m:upper()"));
    server.wait_log("shadow: 1 of 1 reply changes");
    let before = server.wait_log("  before … \"xxx");
    assert!(before.ends_with("xxhello\\n\""), "{before}");
    let now = server.wait_log("  now    … \"xxx");
    assert!(now.ends_with("xxHELLO\\n\""), "{now}");
}

#[test]
fn an_end_that_is_new_is_shown_behind_a_long_reply() {
    let script = "return { framing = \"line\", on_message = function(m, conn)\n\
                    conn:send(string.rep(\"x\", 200))\n\
                    return conn.state.none\n\
                  end }\n";
    let server = shadowed(script, "10");
    lines(&mut server.tcp(), &[("hello", &"x".repeat(200))]);
    server.save("handler.lua", &script.replace("conn.state.none", "conn:close()"));
    server.wait_log("shadow: 1 of 1 reply changes");
    let before = server.wait_log("  before … \"xxx");
    assert!(before.ends_with("x\\n\""), "{before}");
    let now = server.wait_log("  now    … \"xxx");
    assert!(now.ends_with("x\\n\" and the end of the connection"), "{now}");
}
