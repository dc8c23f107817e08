//! `--shadow N` with answers that take their time: before the save, and with the new script.

use std::time::Duration;

use crate::support::Server;

const SLEEPS: &str = "return { framing = \"line\", on_message = function(m, conn)\n\
                        sleep(0.2)\n\
                        return \"slept\"\n\
                      end }\n";

/// The same without a callback that waits.
const LATER: &str = "return { framing = \"line\", on_message = function(m, conn)\n\
                       after(0.2, function() conn:send(\"slept\") end)\n\
                     end }\n";

fn shadowed(script: &str) -> Server {
    Server::builder().script(script).args(["--shadow", "40"]).start()
}

#[test]
fn the_last_answer_of_an_open_conversation_may_come_late() {
    for script in [SLEEPS, LATER] {
        let server = shadowed(script);
        let mut client = server.tcp();
        client.exchange(b"a\n", b"slept\n");
        server.save("handler.lua", &script.replace("slept", "dozed"));
        let line = server.wait_log("shadow: ");
        assert!(line.contains("1 of 1 reply changes generation="), "{line}");
        server.wait_log("before \"slept\\n\"");
        server.wait_log("now    \"dozed\\n\"");
    }
}

#[test]
fn each_late_answer_stands_with_its_message() {
    for script in [SLEEPS, LATER] {
        let server = shadowed(script);
        let mut client = server.tcp();
        client.exchange(b"a\n", b"slept\n");
        client.exchange(b"b\n", b"slept\n");
        server.save("handler.lua", &script.replace("slept", "dozed"));
        let line = server.wait_log("shadow: ");
        assert!(line.contains("2 of 2 replies change generation="), "{line}");
        assert_eq!(server.wait_log_count("now    \"dozed\\n\"", 2).len(), 2);
    }
}

#[test]
fn datagrams_are_answered_late_too() {
    for script in [SLEEPS, LATER] {
        let server = shadowed(script);
        let peer = server.udp();
        peer.exchange(b"a", b"slept\n");
        peer.exchange(b"b", b"slept\n");
        server.save("handler.lua", &script.replace("slept", "dozed"));
        let line = server.wait_log("shadow: ");
        assert!(line.contains("2 of 2 replies change generation="), "{line}");
        assert_eq!(server.wait_log_count("now    \"dozed\\n\"", 2).len(), 2);
    }
}

#[test]
fn an_answer_that_only_comes_later_is_the_same() {
    for script in [SLEEPS, LATER] {
        let server = shadowed(&script.replace("0.2", "0.01"));
        let (mut client, peer) = (server.tcp(), server.udp());
        client.exchange(b"a\n", b"slept\n");
        client.exchange(b"b\n", b"slept\n");
        peer.exchange(b"a", b"slept\n");
        peer.exchange(b"b", b"slept\n");
        server.save("handler.lua", &script.replace("0.2", "0.5"));
        let line = server.wait_log("shadow: ");
        assert!(line.contains("none of 4 replies changes generation="), "{line}");
    }
}

#[test]
fn a_peer_that_left_with_its_answer_waits_for_the_new_one() {
    let server = shadowed(&SLEEPS.replace("0.2", "0.01"));
    let mut client = server.tcp();
    client.exchange(b"a\n", b"slept\n");
    client.half_close();
    client.expect_eof();
    server.save("handler.lua", &SLEEPS.replace("0.2", "0.5").replace("slept", "dozed"));
    server.wait_log("shadow: 1 of 1 reply changes");
    server.wait_log("now    \"dozed\\n\"");
}

#[test]
fn each_message_of_one_read_has_its_late_answer() {
    let server = shadowed(SLEEPS);
    let mut client = server.tcp();
    client.exchange(b"a\nb\n", b"slept\nslept\n");
    server
        .save("handler.lua", &SLEEPS.replace("\"slept\"", "m == \"a\" and \"dozed\" or \"slept\""));
    server.wait_log("shadow: 1 of 2 replies changes");
    server.wait_log("message \"a\\n\"");
    server.wait_log("now    \"dozed\\n\"");
}

#[test]
fn an_answer_that_is_on_its_way_at_the_save_is_seen() {
    let server = shadowed(&SLEEPS.replace("0.2", "3"));
    let mut client = server.tcp();
    client.send(b"a\n");
    client.expect_silence(Duration::from_millis(100));
    server.save("handler.lua", &SLEEPS.replace("0.2", "5").replace("slept", "dozed"));
    let line = server.wait_log("shadow: ");
    assert!(line.contains("1 of 1 reply changes generation="), "{line}");
    server.wait_log("before \"slept\\n\"");
    server.wait_log("now    \"dozed\\n\"");
}

#[test]
fn nothing_is_waited_for_without_end() {
    let server = shadowed(&SLEEPS.replace("0.2", "0.01"));
    let mut client = server.tcp();
    client.exchange(b"a\n", b"slept\n");
    client.exchange(b"b\n", b"slept\n");
    server.save("handler.lua", &SLEEPS.replace("0.2", "3600"));
    server.wait_log("shadow: 2 of 2 replies change");
    assert_eq!(server.wait_log_count("now    nothing", 2).len(), 2);
}

#[test]
fn what_comes_by_itself_does_not_hide_an_answer() {
    let script = "return { framing = \"line\", on_message = function(m, conn)\n\
                    every(0.1, function() conn:send(\"tick\") end)\n\
                    return \"got \" .. m\n\
                  end }\n";
    let server = shadowed(script);
    let mut client = server.tcp();
    client.exchange(b"a\n", b"got a\n");
    client.expect(b"tick\ntick\ntick\n");
    server.save("handler.lua", &script.replace("got", "have"));
    server.wait_log("shadow: 1 of 1 reply changes");
    server.wait_log("now    \"have a\\ntick\\ntick\\ntick");
}

#[test]
fn a_peer_goes_on_behind_an_end_of_the_server() {
    let script = "return { framing = \"line\", on_message = function(m, conn)\n\
                    if m == \"end\" then conn:send(\"ended\") return conn:shutdown() end\n\
                    if m == \"get\" then return \"kept \" .. tostring(server.state.kept) end\n\
                    server.state.kept = m\n\
                    log.info(\"keeps it\")\n\
                  end }\n";
    let server = shadowed(script);
    let mut client = server.tcp();
    client.exchange(b"end\n", b"ended\n");
    client.expect_eof();
    client.send(b"this\n");
    server.wait_log("keeps it");
    server.tcp().exchange(b"get\n", b"kept this\n");
    server.save("handler.lua", &script.replace("\"kept \"", "\"has \""));
    server.wait_log("shadow: 1 of 3 replies changes generation=");
    server.wait_log("now    \"has this\\n\"");
}
