//! A two-way line proxy in one file, which changes what passes either way. That bytes pass as they
//! are is in `proxy`.

use crate::support::{Client, Listener, Server, idle_address};
use crate::talk::reload;

const PROXY: &str = include_str!("protocols/proxy.lua");
const TARGET: &str = "tcp://127.0.0.1:7890";

/// The script, before this listener.
fn script(url: &str) -> String {
    assert!(PROXY.contains(TARGET), "no {TARGET} in the script");
    PROXY.replace(TARGET, url)
}

fn start() -> (Listener, Server) {
    let listener = Listener::tcp();
    let server = Server::builder().script(&script(&listener.url())).start();
    (listener, server)
}

/// A client and the connection that the proxy made for it.
fn pair(server: &Server, listener: &Listener) -> (Client, Client) {
    (server.tcp(), listener.accept())
}

#[test]
fn lines_are_changed_both_ways_at_any_split() {
    let (listener, server) = start();
    let (mut client, mut up) = pair(&server, &listener);
    up.send(b"welcome\n");
    client.expect(b"1: welcome\n");
    for piece in [&b"he"[..], b"llo\r", b"\nyou\n\nan", b"d\n"] {
        client.send(piece);
    }
    up.expect(b"HELLO\nYOU\n\nAND\n");
    for piece in b"one\ntwo\r\n\n".chunks(1) {
        up.send(piece);
    }
    client.expect(b"2: one\n3: two\n4: \n");
    server.assert_no_log("gone");
}

#[test]
fn a_half_close_of_the_client_is_passed_on_and_the_answer_still_comes() {
    let (listener, server) = start();
    let (mut client, mut up) = pair(&server, &listener);
    client.send(b"all of\nthe question");
    client.half_close();
    assert_eq!(up.read_to_end(), b"ALL OF\nTHE QUESTION\n");
    up.send(b"the answer\nand ");
    client.expect(b"1: the answer\n");
    up.send(b"its end");
    drop(up);
    assert_eq!(client.read_to_end(), b"2: and its end\n");
    server.wait_log("gone eof");
}

#[test]
fn a_half_close_of_the_server_is_passed_on_and_the_client_may_say_more() {
    let (listener, server) = start();
    let (mut client, mut up) = pair(&server, &listener);
    up.send(b"noon\n");
    up.half_close();
    assert_eq!(client.read_to_end(), b"1: noon\n");
    client.send(b"thank you\n");
    up.expect(b"THANK YOU\n");
    server.assert_no_log("gone");
    client.send(b"bye\n");
    client.half_close();
    assert_eq!(up.read_to_end(), b"BYE\n");
    drop(up);
    server.wait_log("gone eof");
}

#[test]
fn a_reset_is_passed_on_both_ways() {
    let (listener, server) = start();
    let (mut client, up) = pair(&server, &listener);
    up.reset();
    client.expect_reset();
    let (client, mut up) = pair(&server, &listener);
    client.reset();
    up.expect_reset();
    server.wait_log_count("gone reset", 2);
    server.assert_no_log("handler fault");
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let script = script(&format!("tcp://{}", idle_address()));
    let server = Server::builder().script(&script).start();
    assert_eq!(server.tcp().read_to_end(), b"the other server cannot be reached\n");
    server.wait_log("connection refused");
}

#[test]
fn a_save_changes_both_ways_of_open_connections_at_once() {
    let (listener, server) = start();
    let mut pairs: Vec<_> = (0..5).map(|_| pair(&server, &listener)).collect();
    let script = script(&listener.url()).replace("line:upper()", "`SAVE {line}`");
    for save in 1..=20 {
        let script = script.replace("SAVE", &save.to_string());
        let script =
            script.replace("{conn.state.count}: ", &format!("{{conn.state.count}} {save}: "));
        reload(&server, &script, save + 1);
        for (client, up) in &mut pairs {
            // First the way back: the client has said nothing since the save.
            up.send(b"line\n");
            client.expect(format!("{save} {save}: line\n").as_bytes());
            client.send(b"line\n");
            up.expect(format!("{save} line\n").as_bytes());
        }
    }
    listener.assert_no_more();
    server.assert_no_log("gone");
}

#[test]
fn many_lines_pass_both_ways_in_order_over_saves() {
    const LINES: usize = 20_000;
    let (listener, server) = start();
    let (client, up) = pair(&server, &listener);
    let said: Vec<_> = (0..LINES).map(|n| format!("line {n}\n")).collect();
    let forth = said.concat().to_uppercase();
    let numbered = said.iter().enumerate().map(|(n, line)| format!("{}: {line}", n + 1));
    let back = numbered.collect::<Vec<_>>().concat();
    std::thread::scope(|scope| {
        for (near, far, expected) in [(&client, &up, &forth), (&up, &client, &back)] {
            let (mut writer, mut reader) = (near.second_handle(), far.second_handle());
            let said = said.concat();
            scope.spawn(move || writer.send(said.as_bytes()));
            scope.spawn(move || reader.expect(expected.as_bytes()));
        }
        for generation in 2..6 {
            reload(&server, &format!("-- {generation}\n{}", script(&listener.url())), generation);
        }
    });
    server.assert_no_log("handler fault");
}
