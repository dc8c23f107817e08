//! Tests of the roster, with connections that nobody serves.

use std::time::{Duration, Instant};

use super::*;
use crate::conn::{Framings, Identity, Outbox, Spares, StreamQueue, Version};
use crate::frame::Framing;
use crate::hub::{Limit, Mailbox, Publication, Target};
use crate::net::{Endpoint, Listener, Transport};

/// Far more than any test takes that is not quadratic.
const GENEROUS: Duration = Duration::from_secs(20);

fn roster() -> Roster {
    Roster::new(Hub::new(1, 0), 0)
}

fn conn(id: u64) -> Rc<Conn> {
    let listener = Listener { name: None, url: "unix://x".to_owned(), loopback: true };
    let outbox = Outbox::Stream(StreamQueue::new(Rc::new(Spares::new(1 << 20))));
    let ends = (Endpoint::Unix(None), Endpoint::Unix(None));
    let framing = Rc::new(Framing::raw());
    let identity = Identity {
        id,
        transport: Transport::Unix,
        ends,
        listener: Some(Arc::new(listener)),
        framings: Framings { read: Rc::clone(&framing), reply: framing },
        version: Version { number: 1, hash: "".into() },
    };
    Conn::new(identity, outbox)
}

fn entered(roster: &Roster, ids: impl IntoIterator<Item = u64>) -> Vec<Rc<Conn>> {
    ids.into_iter().map(conn).inspect(|conn| roster.enter(conn)).collect()
}

fn subscribe_all(roster: &Roster, conns: &[Rc<Conn>], topic: &[u8]) {
    for conn in conns {
        roster.subscribe(conn, topic).unwrap();
    }
}

fn subscribers(roster: &Roster, topic: &str) -> Vec<u64> {
    let mut ids = Vec::new();
    roster.subscribers(topic.as_bytes(), |conn| ids.push(conn.id));
    roster.topics.borrow().check();
    ids
}

#[test]
fn connections_are_listed_by_id() {
    let roster = roster();
    let conns = entered(&roster, [3, 1, 2]);
    let ids = |roster: &Roster| roster.conns().iter().map(|conn| conn.id).collect::<Vec<_>>();
    assert_eq!(ids(&roster), [1, 2, 3]);
    assert!(roster.conns().iter().any(|conn| Rc::ptr_eq(conn, &conns[0])));
    assert!(Rc::ptr_eq(&roster.leave(1).unwrap(), &conns[1]));
    assert!(roster.leave(1).is_none());
    assert_eq!(ids(&roster), [2, 3]);
    assert_eq!(roster.conns().len(), 2);
}

#[test]
fn subscribers_come_in_the_order_of_subscription() {
    let roster = roster();
    let conns = entered(&roster, 1..=4);
    for index in [2, 0, 3, 1] {
        roster.subscribe(&conns[index], b"t").unwrap();
    }
    assert_eq!(subscribers(&roster, "t"), [3, 1, 4, 2]);
    roster.subscribe(&conns[2], b"t").unwrap();
    assert_eq!(subscribers(&roster, "t"), [3, 1, 4, 2], "once is as good as twice");
    roster.unsubscribe(&conns[2], b"t");
    roster.unsubscribe(&conns[2], b"t");
    roster.unsubscribe(&conns[2], b"never");
    assert_eq!(subscribers(&roster, "t"), [1, 4, 2]);
    roster.subscribe(&conns[2], b"t").unwrap();
    assert_eq!(subscribers(&roster, "t"), [1, 4, 2, 3]);
    assert!(subscribers(&roster, "other").is_empty());
}

#[test]
fn who_leaves_is_subscribed_to_nothing() {
    let roster = roster();
    let conns = entered(&roster, 1..=2);
    for topic in ["a", "b", "c"] {
        roster.subscribe(&conns[0], topic.as_bytes()).unwrap();
    }
    roster.subscribe(&conns[1], b"b").unwrap();
    roster.leave(1);
    assert_eq!(subscribers(&roster, "b"), [2]);
    assert!(subscribers(&roster, "a").is_empty());
    assert_eq!(roster.topics.borrow().count(), 1);
    assert_eq!(roster.subscribe(&conns[0], b"a"), Err(Refusal::Closed));
    assert_eq!(Rc::strong_count(&conns[0]), 1);
}

#[test]
fn a_visit_may_do_what_it_likes() {
    let roster = roster();
    let conns = entered(&roster, 1..=3);
    subscribe_all(&roster, &conns, b"t");
    let newcomer = conn(9);
    let mut seen = Vec::new();
    roster.subscribers(b"t", |conn| {
        seen.push(conn.id);
        conn.break_off(crate::conn::Reason::Slow);
        roster.leave(conn.id);
        roster.enter(&newcomer);
        roster.subscribe(&newcomer, b"t").unwrap();
        roster.for_each(|other| seen.push(100 + other.id));
    });
    assert_eq!(seen, [1, 102, 103, 109, 2, 103, 109, 3, 109]);
    assert_eq!(subscribers(&roster, "t"), [9]);
}

#[test]
fn a_publication_costs_no_allocation_once_there_was_one() {
    let roster = roster();
    for conn in entered(&roster, 1..=100) {
        roster.subscribe(&conn, b"t").unwrap();
    }
    assert_eq!(subscribers(&roster, "t").len(), 100);
    let buffer = || {
        let scratch = roster.scratch.take();
        let place = (scratch.as_ptr(), scratch.capacity());
        assert!(scratch.is_empty());
        roster.scratch.set(scratch);
        place
    };
    let before = buffer();
    assert_eq!(subscribers(&roster, "t").len(), 100);
    assert_eq!(buffer(), before);
}

#[test]
fn subscriptions_of_a_worker_are_bounded() {
    const CONNS: u64 = 1000;
    const TOPICS: u32 = 250;
    let roster = roster();
    let conns = entered(&roster, 1..=CONNS);
    for topic in 0..TOPICS {
        subscribe_all(&roster, &conns, &topic.to_le_bytes());
    }
    assert_eq!(roster.subscribe(&conns[0], b"more"), Err(Limit.into()));
    assert_eq!(roster.subscribe(&conns[0], &0u32.to_le_bytes()), Ok(()), "it already is");
    roster.topics.borrow().check();
    roster.leave(7);
    assert_eq!(roster.subscribe(&conns[0], b"more"), Ok(()));
    assert_eq!(subscribers(&roster, "more"), [1]);
}

#[test]
fn the_bytes_of_topics_are_bounded() {
    const LONG: usize = 1 << 20;
    let roster = roster();
    let conns = entered(&roster, 1..=2);
    let topic = |n: u8| vec![n; LONG];
    let taken = (0..=255).take_while(|&n| roster.subscribe(&conns[0], &topic(n)).is_ok()).count();
    assert_eq!(taken, 64);
    assert_eq!(roster.subscribe(&conns[1], &topic(0)), Ok(()), "it is there already");
    assert_eq!(roster.subscribe(&conns[1], &topic(64)), Err(Limit.into()));
    roster.topics.borrow().check();
    roster.leave(1);
    assert_eq!(roster.subscribe(&conns[1], &topic(64)), Ok(()));
}

#[test]
fn subscribers_of_one_topic_leave_one_by_one_in_no_time() {
    const COUNT: u64 = 100_000;
    let roster = roster();
    let began = Instant::now();
    for order in 0..3 {
        for conn in entered(&roster, 0..COUNT) {
            roster.subscribe(&conn, b"t").unwrap();
        }
        for n in 0..COUNT {
            // First come first, last come first, and to and fro.
            let id = match order {
                0 => n,
                1 => COUNT - 1 - n,
                _ => n * 7919 % COUNT,
            };
            assert!(roster.leave(id).is_some());
            if n % 10_000 == 0 {
                assert_eq!(subscribers(&roster, "t").len() as u64, COUNT - 1 - n);
            }
        }
        assert_eq!(roster.topics.borrow().count(), 0);
    }
    assert!(began.elapsed() < GENEROUS, "{:?}", began.elapsed());
}

#[test]
fn one_connection_with_many_topics_leaves_in_no_time() {
    const COUNT: u32 = 100_000;
    let roster = roster();
    let conns = entered(&roster, [1, 2]);
    let began = Instant::now();
    for topic in 0..COUNT {
        subscribe_all(&roster, &conns, &topic.to_le_bytes());
    }
    roster.leave(1);
    for topic in 0..COUNT {
        roster.unsubscribe(&conns[1], &topic.to_le_bytes());
    }
    assert_eq!(roster.topics.borrow().count(), 0);
    assert!(began.elapsed() < GENEROUS, "{:?}", began.elapsed());
}

#[test]
fn any_order_of_coming_and_going_keeps_the_order_of_subscription() {
    const TOPICS: u64 = 3;
    let roster = roster();
    let mut model: Vec<Vec<u64>> = vec![Vec::new(); 3];
    // A linear congruential generator (Knuth's constants): the same numbers at every run.
    let mut state = 1u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % below
    };
    let conns = entered(&roster, 0..200);
    for _ in 0..20_000 {
        let (id, topic) = (random(200), random(TOPICS));
        let conn = &conns[usize::try_from(id).unwrap()];
        let list = &mut model[usize::try_from(topic).unwrap()];
        match random(10) {
            0..6 => {
                roster.subscribe(conn, &topic.to_le_bytes()).unwrap();
                if !list.contains(&id) {
                    list.push(id);
                }
            }
            6..9 => {
                roster.unsubscribe(conn, &topic.to_le_bytes());
                list.retain(|&other| other != id);
            }
            _ => {
                roster.leave(id);
                roster.enter(conn);
                for list in &mut model {
                    list.retain(|&other| other != id);
                }
            }
        }
    }
    for (topic, list) in (0..TOPICS).zip(&model) {
        let mut ids = Vec::new();
        roster.subscribers(&topic.to_le_bytes(), |conn| ids.push(conn.id));
        assert_eq!(&ids, list);
    }
    roster.topics.borrow().check();
}

#[test]
fn the_hub_knows_which_topics_have_subscribers() {
    let hub = Hub::new(2, 0);
    let roster = Roster::new(Arc::clone(&hub), 1);
    let mut mailbox: Mailbox = hub.mailbox(1);
    let mut arrives = || {
        let to = Target::Topic(b"t"[..].into());
        let publication = Publication { to, data: Box::default(), except: None };
        hub.post(0, &Arc::new(publication)).unwrap();
        mailbox.take().is_some()
    };
    let conns = entered(&roster, 1..=2);
    assert!(!arrives());
    subscribe_all(&roster, &conns, b"t");
    assert!(arrives());
    roster.unsubscribe(&conns[0], b"t");
    assert!(arrives());
    roster.leave(2);
    assert!(!arrives());
}
