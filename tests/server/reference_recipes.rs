//! The Lua of the reference: every block is a whole handler that starts, and every recipe does
//! what it says.

use crate::readme::lua_blocks;
use crate::support::{Client, Server};
use scriptsock::reference::MARKDOWN;

/// The recipe that is to be saved under this name.
#[track_caller]
fn recipe(name: &str) -> String {
    let start = format!("scriptsock --script {name}");
    let found = lua_blocks(MARKDOWN).into_iter().find(|(_, text)| text.contains(&start));
    found.unwrap_or_else(|| panic!("there is no {name}")).1
}

/// A server with a recipe, and a client of it.
#[track_caller]
fn started(name: &str) -> (Server, Client) {
    let server = Server::builder().script(&recipe(name)).start();
    let client = server.tcp();
    (server, client)
}

/// A server with a recipe that hands on to another one, and that one, which answers in upper case.
#[track_caller]
fn started_before_another(name: &str) -> (Server, Server) {
    let target = Server::builder().args(["--script", "upper.lua"]).start();
    let text = recipe(name);
    let known = "tcp://127.0.0.1:7890\"";
    assert!(text.contains(known), "{name} has another target");
    let text = text.replace(known, &format!("tcp://{}\"", target.tcp_addr()));
    (Server::builder().script(&text).start(), target)
}

#[test]
fn every_block_starts() {
    let blocks = lua_blocks(MARKDOWN);
    assert!(blocks.len() >= 12, "not the reference's blocks: {}", blocks.len());
    for (number, text) in blocks {
        println!("reference.md:{number}");
        Server::builder().script(&text).start();
    }
}

#[test]
fn the_first_block_greets_and_counts() {
    let server = Server::builder().script(&lua_blocks(MARKDOWN)[0].1).start();
    let mut client = server.tcp();
    client.expect(format!("hello {}\n", client.local_addr()).as_bytes());
    client.exchange(b"a\nb\n", b"1 A\n2 B\n");
}

#[test]
fn the_loop_of_the_textbooks_answers_until_the_end() {
    let blocks = lua_blocks(MARKDOWN);
    let text = blocks.into_iter().map(|(_, text)| text).find(|text| text.contains("on_session"));
    let server = Server::builder().script(&text.unwrap()).start();
    let mut client = server.tcp();
    client.exchange(b"one\ntwo\n", b"ONE\nTWO\n");
    client.half_close();
    client.expect_eof();
}

#[test]
fn state_changes_its_shape() {
    let old = "return { framing = \"line\", on_message = function(_, conn)\n\
               conn.state.count = (conn.state.count or 0) + 1\nreturn \"old\"\nend }";
    let server = Server::builder().script(old).start();
    let mut client = server.tcp();
    client.exchange(b"a\nb\n", b"old\nold\n");
    server.save("handler.lua", &recipe("count.lua"));
    server.wait_log("generation 2 is live");
    client.exchange(b"abc\n", b"3 messages, 3 bytes\n");
    server.tcp().exchange(b"ab\n", b"1 messages, 2 bytes\n");
}

#[test]
fn methods_in_a_state_are_those_of_the_last_save() {
    let (server, mut client) = started("account.lua");
    client.exchange(b"5\n", b"balance 5\n");
    server.save("handler.lua", &recipe("account.lua").replace("`balance ", "`you have "));
    server.wait_log("generation 2 is live");
    client.exchange(b"2\n", b"you have 7\n");
}

#[test]
fn timers_survive_a_save_and_run_the_new_code() {
    let (server, mut client) = started("tea.lua");
    client.exchange(b"now\n", b"how many seconds?\n");
    client.exchange(b"3\n", b"I will tell you in 3 seconds\n");
    server.save("handler.lua", &recipe("tea.lua").replace("your tea is ready", "drink"));
    server.wait_log("generation 2 is live");
    client.expect(b"drink\n");
}

#[test]
fn three_wrong_attempts_lock_out() {
    let (server, mut client) = started("login.lua");
    client.expect(b"password?\n");
    client.exchange(b"a\nb\n", b"wrong, try again\nwrong, try again\n");
    client.exchange(b"c\n", b"locked out\n");
    client.expect_eof();
    let mut second = server.tcp();
    second.expect(b"try again later\n");
    second.expect_eof();

    let (_server, mut client) = started("login.lua");
    client.expect(b"password?\n");
    client.exchange(b"xyzzy\nhello\n", b"welcome\nyou said hello\n");
}

#[test]
fn the_framing_switches() {
    let (_server, mut client) = started("switch.lua");
    client.exchange(b"hello\n", b"line: hello\n");
    client.exchange(b"binary\n\0\x03abc", b"ok, lengths from now on\n\0\x03cba");
}

#[test]
fn the_proxy_passes_bytes_and_ends_on() {
    let (server, _target) = started_before_another("proxy.lua");
    let mut client = server.tcp();
    client.exchange(b"hello", b"HELLO");
    server.save("handler.lua", "return function() return \"new\" end");
    server.wait_log("generation 2 is live");
    client.exchange(b"still", b"STILL");
    client.half_close();
    client.expect_eof();
}

#[test]
fn users_write_to_each_other_across_workers() {
    let server = Server::builder().script(&recipe("talk.lua")).args(["--workers", "2"]).start();
    let (mut alice, mut bob) = (server.tcp(), server.tcp());
    for (client, name) in [(&mut alice, "alice"), (&mut bob, "bob")] {
        client.expect(b"your name?\n");
        client.exchange(b"a b\n", b"letters and digits only\n");
        client.exchange(format!("{name}\n").as_bytes(), format!("hello {name}\n").as_bytes());
    }
    alice.exchange(b"bob: hi\n", b"sent\n");
    bob.expect(b"alice: hi\n");
    alice.exchange(b"carol: hi\n", b"write NAME: TEXT to somebody who is here\n");
    let mut other = server.tcp();
    other.expect(b"your name?\n");
    other.exchange(b"bob\n", b"taken; another name?\n");
}

#[test]
fn counted_blocks_hold_line_ends() {
    let (_server, mut client) = started("store.lua");
    client.exchange(b"get k\r\n", b"END\r\n");
    client.exchange(b"set k 7 0 6\r\na\r\nb\r\n\r\n", b"STORED\r\n");
    client.exchange(b"get k\r\n", b"VALUE k 7 6\r\na\r\nb\r\n\r\nEND\r\n");
    client.exchange(b"set e 0 0 0\r\n\r\nget e\r\n", b"STORED\r\nVALUE e 0 0\r\n\r\nEND\r\n");
    client.exchange(b"nonsense\r\n", b"ERROR\r\n");
    client.exchange(b"set k 0 0 1\r\ntoo long\r\n", b"CLIENT_ERROR bad data chunk\r\n");
    client.expect_eof();
}

#[test]
fn one_handler_answers_over_tcp_and_udp() {
    let (server, mut client) = started("who.lua");
    client.exchange(b"who\n", format!("tcp {}\n", client.local_addr()).as_bytes());
    let peer = server.udp();
    let expected = format!("udp {}\n", peer.local_addr());
    peer.exchange(b"who", expected.as_bytes());
    peer.exchange(b"who\n", expected.as_bytes());
    peer.exchange(b"why", b"commands: time, who\n");
}

#[test]
fn another_server_is_asked() {
    let (server, mut target) = started_before_another("ask.lua");
    let mut client = server.tcp();
    client.exchange(b"hello\n", b"HELLO\n");
    target.signal(crate::support::SIGTERM);
    target.wait_exit();
    client.exchange(b"hello\n", b"ERR ECONNREFUSED\n");
}

#[test]
fn the_clock_ticks_once_after_a_save() {
    let (server, mut client) = started("clock.lua");
    let tick = client.read_once();
    assert_eq!((tick.len(), tick[2], tick[8]), (9, b':', b'\n'), "{tick:?}");
    server.save("handler.lua", &recipe("clock.lua").replace("!%H:%M:%S", "new"));
    server.wait_log("generation 2 is live");
    let mut later = server.tcp();
    later.expect(b"new\nnew\n");
}
