//! A store like memcached in one file, over TCP and over UDP: lines that a counted block follows,
//! read inside `on_message`.

use crate::framed::{Peer, exchange_at_every_split};
use crate::support::{Client, Server, wait_until};
use crate::talk::{ask, read_line, reload};
use std::time::{SystemTime, UNIX_EPOCH};

const STORE: &str = include_str!("protocols/memcached.lua");

const LARGEST: usize = 1024 * 1024;

fn start() -> Server {
    Server::builder().script(STORE).start()
}

/// A `set` of `value`, as it is sent.
fn set(key: &str, value: &[u8]) -> Vec<u8> {
    [format!("set {key} 0 0 {}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat()
}

/// What `get` answers for `value`.
fn got(key: &str, value: &[u8]) -> Vec<u8> {
    [format!("VALUE {key} 0 {}\r\n", value.len()).as_bytes(), value, b"\r\nEND\r\n"].concat()
}

/// The number that `cas` asks for.
fn unique(client: &mut Client, key: &str) -> String {
    let first = ask(client, &format!("gets {key}\r\n"));
    assert!(first.ends_with("END\r"), "{first}");
    first.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn each_command_is_answered_at_every_split() {
    exchange_at_every_split(
        &mut start().tcp(),
        b"flush_all\r\nget k\r\nset k 7 0 5\r\nhello\r\nget k x k\r\nadd k 0 0 1\r\nx\r\n\
          add n 1 0 2\r\n10\r\nreplace x 0 0 1\r\ny\r\nreplace k 8 0 6\r\n\r\nget \r\n\
          append k 0 0 1\r\n!\r\nprepend k 0 0 1\r\n?\r\nappend x 0 0 1\r\n!\r\nget k n\r\n\
          incr n 5\r\ndecr n 7\r\ndelete k\r\ndelete k\r\ntouch n 0\r\ntouch k 0\r\nversion\r\n",
        b"OK\r\nEND\r\nSTORED\r\nVALUE k 7 5\r\nhello\r\nVALUE k 7 5\r\nhello\r\nEND\r\nNOT_STORED\r\n\
          STORED\r\nNOT_STORED\r\nSTORED\r\nSTORED\r\nSTORED\r\nNOT_STORED\r\n\
          VALUE k 8 8\r\n?\r\nget !\r\nVALUE n 1 2\r\n10\r\nEND\r\n\
          15\r\n8\r\nDELETED\r\nNOT_FOUND\r\nTOUCHED\r\nNOT_FOUND\r\nVERSION 1.0.0\r\n",
    );
}

#[test]
fn cas_stores_only_what_nobody_has_changed() {
    let server = start();
    let (mut client, mut other) = (server.tcp(), server.tcp());
    client.exchange(&set("k", b"one"), b"STORED\r\n");
    let seen = unique(&mut client, "k");
    let swap = format!("cas k 0 0 3 {seen}\r\ntwo\r\n");
    client.exchange(swap.as_bytes(), b"STORED\r\n");
    other.exchange(swap.as_bytes(), b"EXISTS\r\n");
    assert_ne!(unique(&mut other, "k"), seen);
    client.exchange(
        b"cas x 0 0 1 1\r\n?\r\nget k\r\n",
        b"NOT_FOUND\r\nVALUE k 0 3\r\ntwo\r\nEND\r\n",
    );
}

#[test]
fn counters_have_64_bits_without_a_sign() {
    let server = start();
    let mut client = server.tcp();
    client.exchange(&set("n", b"18446744073709551615"), b"STORED\r\n");
    client.exchange(b"incr n 2\r\nincr n 9007199254740993\r\n", b"1\r\n9007199254740994\r\n");
    client.exchange(b"incr n 18446744073709551614\r\n", b"9007199254740992\r\n");
    client.exchange(b"decr n 9007199254740993\r\ndecr n 1\r\n", b"0\r\n0\r\n");
    client.exchange(&set("t", b"text"), b"STORED\r\n");
    client.exchange(
        b"incr t 1\r\n",
        b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
    );
    client.exchange(b"incr n x\r\n", b"CLIENT_ERROR invalid numeric delta argument\r\n");
    client.exchange(b"decr x 1\r\nincr n\r\n", b"NOT_FOUND\r\nERROR\r\n");
}

#[test]
fn clients_that_count_at_the_same_time_miss_nothing() {
    const EACH: usize = 500;
    let server = start();
    server.tcp().exchange(&set("n", b"0"), b"STORED\r\n");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut client = server.tcp();
            scope.spawn(move || {
                client.send(b"incr n 1\r\n".repeat(EACH).as_slice());
                client.send(b"quit\r\n");
                let answers = String::from_utf8(client.read_to_end()).unwrap();
                assert_eq!(answers.lines().count(), EACH);
            });
        }
    });
    server.tcp().exchange(b"get n\r\n", b"VALUE n 0 4\r\n2000\r\nEND\r\n");
}

/// Asks for `k` until it is gone.
fn wait_gone(client: &mut Client) {
    wait_until("the item should expire", || {
        let first = ask(client, "get k\r\n");
        if first == "END\r" {
            return Some(());
        }
        while !first.ends_with("END\r") && read_line(client) != "END\r" {}
        None
    });
}

#[test]
fn items_expire() {
    let server = start();
    let mut client = server.tcp();
    client.exchange(b"set k 0 2 1\r\nx\r\nget k\r\n", b"STORED\r\nVALUE k 0 1\r\nx\r\nEND\r\n");
    wait_gone(&mut client);
    client.exchange(b"add k 0 0 1\r\ny\r\ntouch k 1\r\n", b"STORED\r\nTOUCHED\r\n");
    wait_gone(&mut client);
    client.exchange(b"set k 0 -1 1\r\nz\r\nget k\r\n", b"STORED\r\nEND\r\n");
    // What is over 30 days is a time since 1970.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (time, answer) in [(now - 5, "END\r\n"), (now + 500, "VALUE k 0 1\r\nz\r\nEND\r\n")] {
        let set = format!("set k 0 {time} 1\r\nz\r\nget k\r\n");
        client.exchange(set.as_bytes(), format!("STORED\r\n{answer}").as_bytes());
    }
}

#[test]
fn a_flush_may_be_told_for_later() {
    let server = start();
    let mut client = server.tcp();
    client.exchange(&set("k", b"old"), b"STORED\r\n");
    client.exchange(b"flush_all 1\r\nget k\r\n", b"OK\r\nVALUE k 0 3\r\nold\r\nEND\r\n");
    wait_gone(&mut client);
    client.exchange(&set("k", b"new"), b"STORED\r\n");
    client.exchange(b"get k\r\n", &got("k", b"new"));
    client.exchange(b"flush_all\r\nget k\r\nflush_all soon\r\n", b"OK\r\nEND\r\nCLIENT_ERROR bad ");
}

#[test]
fn noreply_is_not_answered() {
    let server = start();
    let mut client = server.tcp();
    client.exchange(
        b"set k 0 0 1 noreply\r\n5\r\nincr k 3 noreply\r\nappend k 0 0 1 noreply\r\n0\r\n\
          add k 0 0 1 noreply\r\nx\r\nget k\r\ntouch k 9 noreply\r\ndelete k noreply\r\n\
          get k\r\nset k 0 0 1\r\nx\r\nflush_all noreply\r\nget k\r\n",
        b"VALUE k 0 2\r\n80\r\nEND\r\nEND\r\nSTORED\r\nEND\r\n",
    );
}

#[test]
fn a_value_may_hold_any_byte() {
    let server = start();
    let value: Vec<u8> = (0..=255).cycle().take(5000).chain(*b"\r\nEND\r\n").collect();
    let mut peers: [Box<dyn Peer>; 2] = [Box::new(server.tcp()), Box::new(server.udp())];
    for peer in &mut peers {
        peer.say(&set("k", &value));
        peer.hear(b"STORED\r\n");
    }
    for peer in &mut peers {
        peer.say(b"get k\r\n");
        peer.hear(&got("k", &value));
    }
}

#[test]
fn what_is_too_large_is_refused_and_the_next_command_is_found() {
    let server = start();
    let mut client = server.tcp();
    let most = vec![b'x'; LARGEST];
    client.exchange(&set("k", &most), b"STORED\r\n");
    client.exchange(b"get k\r\n", &got("k", &most));
    let more = vec![b'\n'; LARGEST + 1];
    let refused = b"SERVER_ERROR object too large for cache\r\n";
    client.exchange(b"append k 0 0 1\r\ny\r\n", refused);
    client.exchange(&set("k", &more), refused);
    client.exchange(b"get k\r\n", b"END\r\n");
    let key = "k".repeat(251);
    client.exchange(&set(&key, b"1234"), b"CLIENT_ERROR bad command line format\r\n");
    client.exchange(&set(&key[1..], b"1234"), b"STORED\r\n");
    client.exchange(b"set m 0 0 99999999999\r\n", b"");
    client.half_close();
    assert!(client.read_to_end().is_empty());
}

#[test]
fn what_is_malformed_is_told() {
    let server = start();
    let mut client = server.tcp();
    client.exchange(b"\r\n  \r\nnonsense\r\nget\r\n", b"ERROR\r\nERROR\r\nERROR\r\nERROR\r\n");
    client
        .exchange(b"set k 0 0 -1\r\nset k 0 0\r\nset k x 0 1\r\n", b"ERROR\r\nERROR\r\nERROR\r\n");
    client.exchange(b"set k 0 0 3\r\nabcdeget k\r\n", b"CLIENT_ERROR bad data chunk\r\nEND\r\n");
    let mut client = server.tcp();
    client.send(b"set k 0 0 5\r\nhel");
    client.half_close();
    assert_eq!(client.read_to_end(), b"CLIENT_ERROR bad data chunk\r\n");
    let mut client = server.tcp();
    client.send(b"version\r\nquit\r\nversion\r\n");
    assert_eq!(client.read_to_end(), b"VERSION 1.0.0\r\n");
    server.assert_no_log("handler fault");
}

#[test]
fn over_udp_an_answer_is_one_datagram() {
    let server = start();
    let (peer, other) = (server.udp(), server.udp());
    peer.exchange(b"set a 1 0 3\r\none\r\n", b"STORED\r\n");
    other.exchange(b"set b 2 0 0\r\n\r\n", b"STORED\r\n");
    peer.exchange(b"get a b c\r\n", b"VALUE a 1 3\r\none\r\nVALUE b 2 0\r\n\r\nEND\r\n");
    peer.exchange(b"get c", b"END\r\n");
    peer.send(b"get c\r\nversion\r\n");
    peer.expect(b"END\r\n");
    peer.expect(b"VERSION 1.0.0\r\n");
    peer.send(b"set a 4 0 2\r\nhi\r\nget a\r\n");
    peer.expect(b"STORED\r\n");
    peer.expect(b"VALUE a 4 2\r\nhi\r\nEND\r\n");
    peer.exchange(b"set a 0 0 9\r\ntoo short\n", b"CLIENT_ERROR bad data chunk\r\n");
    peer.exchange(b"set a 0 0 9999999\r\nx\r\n", b"SERVER_ERROR object too large for cache\r\n");
    peer.exchange(b"get a\r\n", b"END\r\n");
    server.assert_no_log("handler fault");
}

#[test]
fn a_save_keeps_the_items_and_a_block_that_is_half_there() {
    let server = start();
    let mut client = server.tcp();
    client.exchange(b"set k 0 0 1\r\nx\r\nset n 0 0 7\r\nhal", b"STORED\r\n");
    reload(&server, &STORE.replace("VERSION 1.0.0", "VERSION 2.0.0"), 2);
    client.exchange(b"f is\r\nversion\r\n", b"STORED\r\nVERSION 2.0.0\r\n");
    client.exchange(b"get n\r\n", &got("n", b"half is"));
    client.exchange(b"get k\r\n", &got("k", b"x"));
}
