//! A broker for MQTT in one file: a framing function, topics, retained messages, last wills,
//! keep-alive; with one worker and with four. Wildcards are in `protocol_mqtt_topics`.

use crate::support::{Client, Server, wait_until};
use crate::talk::reload;
use std::time::Duration;

pub const BROKER: &str = include_str!("protocols/mqtt.lua");

pub const PING: &[u8] = b"\xc0\0";
pub const PONG: &[u8] = b"\xd0\0";
const DISCONNECT: &[u8] = b"\xe0\0";
const ACCEPTED: &[u8] = b"\x20\x02\0\0";

/// Runs a test with one worker and with four.
pub fn each(test: impl Fn(&Server)) {
    for workers in ["1", "4"] {
        let server = Server::builder().script(BROKER).args(["--workers", workers]).start();
        test(&server);
        server.assert_no_log("handler fault");
    }
}

fn counted(text: &[u8]) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes(), text].concat()
}

/// A packet of 127 bytes at most behind its length.
fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    assert!(body.len() < 128);
    [&[first, u8::try_from(body.len()).unwrap()], &body[..]].concat()
}

/// CONNECT, with a keep-alive time in seconds and the rest of its payload.
fn connect(id: &str, flags: u8, keep_alive: u8, rest: &[u8]) -> Vec<u8> {
    packet(0x10, &[b"\0\x04MQTT\x04", &[flags, 0, keep_alive], &counted(id.as_bytes()), rest])
}

pub fn subscribe(filter: &str, qos: u8) -> Vec<u8> {
    packet(0x82, &[b"\0\x07", &counted(filter.as_bytes()), &[qos]])
}

pub fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    packet(0x30, &[&counted(topic.as_bytes()), payload])
}

fn publish_retained(topic: &str, payload: &[u8]) -> Vec<u8> {
    packet(0x31, &[&counted(topic.as_bytes()), payload])
}

/// A client that the broker has accepted.
pub fn client(server: &Server, id: &str) -> Client {
    let mut client = server.tcp();
    client.exchange(&connect(id, 2, 0, b""), ACCEPTED);
    client
}

/// A client that has subscribed to this.
pub fn subscriber(server: &Server, id: &str, filter: &str, qos: u8) -> Client {
    let mut client = client(server, id);
    client.exchange(&subscribe(filter, qos), &[0x90, 3, 0, 7, qos]);
    client
}

/// A client whose last will is `gone` on the topic `will`.
fn mortal(server: &Server, id: &str, keep_alive: u8) -> Client {
    let mut client = server.tcp();
    client.exchange(&connect(id, 6, keep_alive, b"\0\x04will\0\x04gone"), ACCEPTED);
    client
}

#[test]
fn packets_are_told_apart_at_every_split() {
    let server = Server::builder().script(BROKER).start();
    let long = "x".repeat(300);
    let body = [&counted(b"t")[..], long.as_bytes()].concat();
    // 303 bytes take a length of two bytes.
    let large = [&[0x30, 0xaf, 0x02], &body[..]].concat();
    let wire = [
        &connect("me", 2, 0, b"")[..],
        &subscribe("t", 0),
        &publish("t", b""),
        PING,
        &large,
        b"\x32\x07\0\x01t\0\x09hi",
        DISCONNECT,
        b"junk",
    ]
    .concat();
    let answers = [
        ACCEPTED,
        b"\x90\x03\0\x07\0",
        &publish("t", b""),
        PONG,
        &large,
        b"\x30\x05\0\x01thi",
        b"\x40\x02\0\x09",
    ]
    .concat();
    for cut in (0..80).chain(300..wire.len()) {
        let mut client = server.tcp();
        client.send(&wire[..cut]);
        std::thread::sleep(Duration::from_millis(1));
        client.send(&wire[cut..]);
        assert_eq!(
            client.read_to_end().escape_ascii().to_string(),
            answers.escape_ascii().to_string()
        );
    }
    server.assert_no_log("handler fault");
}

#[test]
fn a_message_is_given_with_the_lower_quality_of_both_sides() {
    each(|server| {
        let mut careless = subscriber(server, "careless", "t", 0);
        let mut careful = subscriber(server, "careful", "t", 1);
        let mut publisher = client(server, "publisher");
        publisher.exchange(b"\x32\x06\0\x01t\0\x09a", b"\x40\x02\0\x09");
        publisher.send(&publish("t", b"b"));
        careless.expect(b"\x30\x04\0\x01ta\x30\x04\0\x01tb");
        careful.expect(b"\x32\x06\0\x01t\0\x02a\x30\x04\0\x01tb");
        careful.exchange(b"\x40\x02\0\x02\xc0\0", PONG);
    });
}

#[test]
fn retained_messages_greet_later_subscribers() {
    each(|server| {
        let mut publisher = client(server, "publisher");
        for (topic, payload) in [("a/x", &b"old"[..]), ("a/x", b"new"), ("a/y", b"y"), ("b", b"b")]
        {
            publisher.send(&publish_retained(topic, payload));
        }
        publisher.exchange(PING, PONG);
        let mut late = subscriber(server, "late", "a/+", 1);
        late.expect(&[publish_retained("a/x", b"new"), publish_retained("a/y", b"y")].concat());
        // To who is there already it is a message like others; an empty one ends it.
        publisher.send(&publish_retained("a/x", b"newest"));
        publisher.send(&publish_retained("a/y", b""));
        late.expect(&[publish("a/x", b"newest"), publish("a/y", b"")].concat());
        let mut later = subscriber(server, "later", "#", 0);
        later.expect(&[publish_retained("a/x", b"newest"), publish_retained("b", b"b")].concat());
        later.exchange(PING, PONG);
    });
}

#[test]
fn who_has_unsubscribed_gets_nothing_more() {
    each(|server| {
        let mut leaver = subscriber(server, "leaver", "t/+", 0);
        leaver.exchange(&subscribe("u", 0), b"\x90\x03\0\x07\0");
        let mut publisher = client(server, "publisher");
        publisher.send(&publish("t/1", b"1"));
        leaver.expect(&publish("t/1", b"1"));
        leaver.exchange(b"\xa2\x0a\0\x08\0\x03t/+\0\x01x", b"\xb0\x02\0\x08");
        publisher.send(&[publish("t/1", b"2"), publish("u", b"3")].concat());
        leaver.expect(&publish("u", b"3"));
    });
}

#[test]
fn a_last_will_is_told_unless_its_client_said_goodbye() {
    each(|server| {
        let mut heir = subscriber(server, "heir", "will", 0);
        let mut polite = mortal(server, "polite", 0);
        polite.send(DISCONNECT);
        polite.expect_eof();
        for end in [drop as fn(Client), Client::reset] {
            end(mortal(server, "mortal", 0));
            heir.expect(&publish("will", b"gone"));
        }
        let mut rude = mortal(server, "rude", 0);
        rude.send(b"\x50\x02\0\x01");
        rude.expect_eof();
        heir.expect(&publish("will", b"gone"));
        heir.exchange(PING, PONG);
    });
}

#[test]
fn who_is_silent_for_the_keep_alive_time_is_given_up() {
    each(|server| {
        let mut heir = subscriber(server, "heir", "will", 0);
        let mut alive = mortal(server, "alive", 1);
        // What it gets does not make it speak.
        let mut silent = mortal(server, "silent", 1);
        silent.exchange(&subscribe("t", 0), b"\x90\x03\0\x07\0");
        std::thread::scope(|scope| {
            let will = scope.spawn(|| heir.expect(&publish("will", b"gone")));
            wait_until("the will of the silent one", || {
                alive.exchange(&[PING, &publish("t", b"x")].concat(), PONG);
                will.is_finished().then_some(())
            });
        });
        silent.read_to_end();
        alive.exchange(PING, PONG);
        server.wait_log("nothing within the keep-alive time");
    });
}

#[test]
fn a_second_client_of_the_same_name_ends_the_first() {
    each(|server| {
        let mut firsts: Vec<_> = (0..4).map(|n| client(server, &format!("name {n}"))).collect();
        let mut seconds: Vec<_> = (0..4).map(|n| client(server, &format!("name {n}"))).collect();
        for (first, second) in firsts.iter_mut().zip(&mut seconds) {
            first.expect_eof();
            second.exchange(PING, PONG);
        }
    });
}

#[test]
fn what_breaks_the_protocol_ends_the_connection() {
    let server = Server::builder().script(BROKER).start();
    let connect_me = connect("me", 2, 0, b"");
    let old = [b"\x10\x0e\0\x04MQTT\x03\x02\0\0\0\x02me", PING].concat();
    let cases: [(&[u8], &[u8]); 14] = [
        (PING, b""),
        (&old, b"\x20\x02\0\x01"),
        (&connect("", 0, 0, b""), b"\x20\x02\0\x02"),
        (&connect("me", 6, 0, b"\0\x04will"), b""),
        (&connect("me", 3, 0, b""), b""),
        (b"\x10\x03\0\x09M", b""),
        (b"\x10\x80\x80\x80\x80\x01", b""),
        (&[&connect_me[..], &connect_me].concat(), ACCEPTED),
        (&[&connect_me[..], &publish("a/+", b"x")].concat(), ACCEPTED),
        (&[&connect_me[..], &publish("", b"x")].concat(), ACCEPTED),
        (&[&connect_me[..], b"\x34\x05\0\x01t\0\x01"].concat(), ACCEPTED),
        (&[&connect_me[..], b"\x32\x03\0\x01t"].concat(), ACCEPTED),
        (&[&connect_me[..], b"\x82\x02\0\x01"].concat(), ACCEPTED),
        (&[&connect_me[..], b"\xf0\0"].concat(), ACCEPTED),
    ];
    for (said, answer) in cases {
        let mut client = server.tcp();
        client.send(said);
        let got = client.read_to_end();
        assert_eq!(got, answer, "{}", said.escape_ascii());
    }
    let mut client = server.tcp();
    client.send(b"\x30\xff\xff\xff\x7f");
    client.expect_eof();
    server.wait_log("message over the limit of 262144 bytes");
    server.wait_log("malformed message: a length of more than four bytes");
    server.assert_no_log("handler fault");
}

#[test]
fn a_save_keeps_subscriptions_and_retained_messages() {
    each(|server| {
        let mut listener = subscriber(server, "listener", "t/#", 0);
        let mut publisher = client(server, "publisher");
        publisher.exchange(&[&publish_retained("t", b"kept")[..], PING].concat(), PONG);
        listener.expect(&publish("t", b"kept"));
        for save in 1..=5 {
            reload(server, &format!("-- save {save}\n{BROKER}"), save + 1);
            let said = publish("t/1", save.to_string().as_bytes());
            publisher.send(&said);
            listener.expect(&said);
        }
        subscriber(server, "late", "t", 0).expect(&publish_retained("t", b"kept"));
    });
}
