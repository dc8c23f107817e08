//! Conversations with datagram peers, of which each has its own.

use crate::framed::session;
use crate::support::Server;

fn start(script: &str) -> Server {
    Server::builder().script(script).start()
}

#[test]
fn a_datagram_peer_has_a_conversation_of_its_own() {
    let server = start(
        r#"return {
          on_session = function(conn)
            local first = conn:read()
            conn:send("first " .. first)
            local second = conn:read()
            conn:send("second " .. second .. " after " .. first)
          end,
          on_close = function(conn, reason) log.info(`gone: {reason};`) end,
        }
        "#,
    );
    let (ann, bob) = (server.udp(), server.udp());
    ann.exchange(b"a1", b"first a1");
    bob.exchange(b"b1", b"first b1");
    ann.exchange(b"a2", b"second a2 after a1");
    server.wait_log("gone: closed;");
    bob.exchange(b"b2", b"second b2 after b1");
    server.wait_log_count("gone: closed;", 2);
    // The next datagram begins a new conversation.
    ann.exchange(b"a3", b"first a3");
}

#[test]
fn datagrams_of_a_peer_are_read_in_order() {
    let server = start(
        r#"return {
          on_session = function(conn)
            if conn:read() == "go" then
              server.state.go = true
              conn:send("went")
              return
            end
            log.info("sleeping")
            repeat sleep(0.01) until server.state.go
            while true do
              local msg = conn:read()
              if not msg then return end
              conn:send(msg)
            end
          end,
        }
        "#,
    );
    let peer = server.udp();
    peer.send(b"begin");
    server.wait_log("sleeping");
    for number in 0..60 {
        peer.send(format!("{number}").as_bytes());
    }
    server.udp().exchange(b"go", b"went");
    for number in 0..60 {
        peer.expect(format!("{number}").as_bytes());
    }
}

#[test]
fn a_read_of_a_datagram_may_time_out() {
    let server = start(&session(
        "",
        "conn:send(conn:read())
         local msg, why = conn:read({timeout = 0.05})
         conn:send(`{msg} {why}`)
         conn:send(conn:read())",
    ));
    let peer = server.udp();
    peer.exchange(b"first", b"first");
    peer.expect(b"nil timeout");
    peer.exchange(b"second", b"second");
}

#[test]
fn the_lines_of_a_datagram_are_read_one_by_one() {
    let server = start(&session(
        "framing = \"line\",",
        "while true do
           local msg, why = conn:read({timeout = 5})
           if not msg then log.info(`read gave {why};`); return end
           if msg == \"raw\" then msg = \"then \" .. conn:read(\"raw\") end
           conn:send(\"<\" .. msg .. \">\")
           if msg == \"quit\" then return end
         end",
    ));
    let peer = server.udp();
    peer.send(b"one\ntwo\nraw\nthree\nfour\n");
    peer.expect(b"<one>\n");
    peer.expect(b"<two>\n");
    peer.expect(b"<then three\nfour\n>\n");
    peer.exchange(b"five", b"<five>\n");
    peer.send(b"quit\nleft over");
    peer.expect(b"<quit>\n");
    server.wait_log("gone: closed;");
    peer.exchange(b"six", b"<six>\n");
}

#[test]
fn an_oversize_datagram_is_told_to_the_conversation_and_then_ends_it() {
    let server = start(&session(
        "framing = \"line,max=8\",",
        "while true do
           local msg, why = conn:read()
           conn:send(`{msg} {why}`)
           if not msg then return end
         end",
    ));
    let peer = server.udp();
    peer.exchange(b"fine", b"fine nil\n");
    peer.exchange(b"this is too long", b"nil oversize\n");
    server.wait_log("message over the limit of 8 bytes");
    server.wait_log("gone: oversize;");
    peer.exchange(b"again", b"again nil\n");
}
