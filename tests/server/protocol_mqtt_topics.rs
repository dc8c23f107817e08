//! The topics of the broker of `protocol_mqtt`: wildcards, many subscribers, many publishers.

use crate::protocol_mqtt::{PING, PONG, client, each, publish, subscribe, subscriber};

#[test]
fn filters_with_wildcards_match_as_they_should() {
    const TOPICS: [&str; 7] = ["a", "a/b", "a/b/c", "/a", "a/", "$SYS/a", "b"];
    const CASES: [(&str, &[&str]); 11] = [
        ("#", &["a", "a/b", "a/b/c", "/a", "a/", "b"]),
        ("a/#", &["a", "a/b", "a/b/c", "a/"]),
        ("a/b/#", &["a/b", "a/b/c"]),
        ("+", &["a", "b"]),
        ("+/+", &["a/b", "/a", "a/"]),
        ("a/+", &["a/b", "a/"]),
        ("a/+/c", &["a/b/c"]),
        ("+/b/#", &["a/b", "a/b/c"]),
        ("$SYS/#", &["$SYS/a"]),
        ("/+", &["/a"]),
        ("a", &["a"]),
    ];
    each(|server| {
        let mut clients: Vec<_> = CASES.iter().map(|(f, _)| subscriber(server, f, f, 0)).collect();
        for client in &mut clients {
            client.exchange(&subscribe("the end", 0), b"\x90\x03\0\x07\0");
        }
        let mut publisher = client(server, "publisher");
        for topic in TOPICS {
            publisher.send(&publish(topic, b"x"));
        }
        publisher.send(&publish("the end", b""));
        for (client, (filter, topics)) in clients.iter_mut().zip(CASES) {
            eprintln!("filter {filter}");
            for topic in topics {
                client.expect(&publish(topic, b"x"));
            }
            // `#` matches this one too, and nothing says that it comes once.
            client.expect(&publish("the end", b""));
        }
    });
}

#[test]
fn a_filter_that_is_none_is_refused_and_the_others_hold() {
    each(|server| {
        let mut client = client(server, "me");
        for filter in ["", "a#", "#/a", "a/+b", "a/#/b", "++", "a\0"] {
            client.exchange(&subscribe(filter, 0), b"\x90\x03\0\x07\x80");
        }
        client.exchange(
            b"\x82\x0f\0\x09\0\x01a\x02\0\x01#\x01\0\x02a#\0",
            b"\x90\x05\0\x09\x01\x01\x80",
        );
    });
}

#[test]
fn a_filter_that_is_subscribed_again_takes_the_new_quality() {
    each(|server| {
        let mut twice = subscriber(server, "twice", "t/+", 1);
        twice.exchange(&subscribe("t/+", 0), b"\x90\x03\0\x07\0");
        client(server, "publisher").exchange(b"\x32\x08\0\x03t/1\0\x09x", b"\x40\x02\0\x09");
        twice.expect(&publish("t/1", b"x"));
        twice.exchange(PING, PONG);
    });
}

#[test]
fn everything_reaches_everybody_in_order() {
    const PUBLISHERS: usize = 4;
    const SUBSCRIBERS: usize = 24;
    const MESSAGES: usize = 100;
    each(|server| {
        let mut subscribers: Vec<_> = (0..SUBSCRIBERS)
            .map(|n| subscriber(server, &format!("s{n}"), ["news/+", "news/#"][n % 2], 0))
            .collect();
        let mut publishers: Vec<_> =
            (0..PUBLISHERS).map(|n| client(server, &format!("p{n}"))).collect();
        let message =
            |n: usize, m: usize| publish(&format!("news/{n}"), &[u8::try_from(m).unwrap()]);
        for (n, publisher) in publishers.iter_mut().enumerate() {
            let all: Vec<_> = (0..MESSAGES).map(|m| message(n, m)).collect();
            publisher.send(&all.concat());
        }
        let size = message(0, 0).len();
        for subscriber in &mut subscribers {
            let mut all = Vec::new();
            while all.len() < PUBLISHERS * MESSAGES * size {
                let some = subscriber.read_once();
                assert!(!some.is_empty(), "the end after {} bytes", all.len());
                all.extend(some);
            }
            for n in 0..PUBLISHERS {
                let topic = format!("news/{n}");
                let from: Vec<_> = all
                    .chunks(size)
                    .filter(|chunk| chunk[4..size - 1] == *topic.as_bytes())
                    .map(|chunk| usize::from(chunk[size - 1]))
                    .collect();
                assert_eq!(from, (0..MESSAGES).collect::<Vec<_>>(), "of publisher {n}");
            }
            subscriber.exchange(PING, PONG);
        }
    });
}
