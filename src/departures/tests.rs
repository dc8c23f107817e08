//! Replies that wait for each other, at gates that only note who has passed.

use std::task::Context;

use super::*;
use crate::conn::{Framings, Identity, Outbox, Spares, StreamQueue, Version};
use crate::frame::Framing;
use crate::net::{Endpoint, Transport};

/// Notes whose queue was written.
#[derive(Default)]
struct Noted(RefCell<Vec<u64>>);

impl Gate for Noted {
    fn write_queue_of(&self, conn: &Conn, _: Option<&dyn Tap>) {
        assert!(!conn.is_departing(), "a reply that is queued from here on would never leave");
        self.0.borrow_mut().push(conn.id);
    }
}

fn conn(id: u64) -> Rc<Conn> {
    let raw = Rc::new(Framing::raw());
    let identity = Identity {
        id,
        transport: Transport::Unix,
        ends: (Endpoint::Unix(None), Endpoint::Unix(None)),
        listener: None,
        framings: Framings { read: Rc::clone(&raw), reply: raw },
        version: Version { number: 1, hash: "".into() },
    };
    Conn::new(identity, Outbox::Stream(StreamQueue::new(Rc::new(Spares::new(1024)))))
}

/// Lets the task run once, which has it begin, or see off whoever waits.
fn run(task: &mut std::pin::Pin<Box<impl Future<Output = Infallible>>>) {
    assert!(task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[test]
fn without_a_task_a_reply_leaves_at_once() {
    let (departures, gate) = (Departures::default(), Rc::new(Noted::default()));
    departures.add(&conn(1), Rc::clone(&gate) as _);
    assert_eq!(gate.0.take(), [1]);
}

#[test]
fn replies_wait_for_the_task_and_leave_in_order() {
    let (departures, gate) = (Departures::default(), Rc::new(Noted::default()));
    let mut task = Box::pin(departures.serve());
    run(&mut task);
    for id in [1, 2] {
        departures.add(&conn(id), Rc::clone(&gate) as _);
    }
    assert!(gate.0.borrow().is_empty());
    run(&mut task);
    assert_eq!(gate.0.take(), [1, 2]);
}

#[test]
fn no_more_than_so_many_wait_for_each_other() {
    let (departures, gate) = (Departures::default(), Rc::new(Noted::default()));
    let mut task = Box::pin(departures.serve());
    run(&mut task);
    let most = u64::try_from(MOST).unwrap();
    (1..=most).for_each(|id| departures.add(&conn(id), Rc::clone(&gate) as _));
    assert_eq!(gate.0.take(), (1..=most).collect::<Vec<_>>());
}

#[test]
fn a_slow_call_has_those_leave_that_wait() {
    let (departures, gate) = (Departures::default(), Rc::new(Noted::default()));
    let mut task = Box::pin(departures.serve());
    run(&mut task);
    departures.add(&conn(1), Rc::clone(&gate) as _);
    let begin = Turn::begin();
    while !begin.is_over() {}
    departures.see_off_late();
    assert_eq!(gate.0.take(), [1]);
}
