//! The seam between net and Lua: the events a connection has, and what a handler makes of them.
//! Sessions and datagram sockets call a [`Handler`]; `vm` implements it; tests use one in Rust.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::conn::{Conn, Framings, ReadEnd, Reading, Reason, Received, Version};
use crate::net::dial::DialError;
use crate::turn::Turn;

/// Something that happened to a connection.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// It opened; for a datagram peer, its first datagram arrived.
    Connect,
    /// A message arrived.
    Message(&'a [u8]),
    /// A conversation is to begin, which reads its messages itself.
    Session,
    /// The peer ended its sending side.
    Eof,
    /// It was silent for the idle timeout.
    Idle,
    /// A new generation went live.
    Reload,
    /// A callback failed with this text.
    Error(&'a str),
    /// It is gone.
    Close(Reason),
}

/// The events without their content, to ask whether a handler wants them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// See [`Event::Connect`].
    Connect,
    /// See [`Event::Message`].
    Message,
    /// See [`Event::Session`].
    Session,
    /// See [`Event::Eof`].
    Eof,
    /// See [`Event::Idle`].
    Idle,
    /// See [`Event::Reload`].
    Reload,
    /// See [`Event::Error`].
    Error,
    /// See [`Event::Close`].
    Close,
}

impl Event<'_> {
    /// Which event it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Connect => Kind::Connect,
            Self::Message(_) => Kind::Message,
            Self::Session => Kind::Session,
            Self::Eof => Kind::Eof,
            Self::Idle => Kind::Idle,
            Self::Reload => Kind::Reload,
            Self::Error(_) => Kind::Error,
            Self::Close(_) => Kind::Close,
        }
    }
}

/// How a callback ended. Replies are in the connection's outbox by then, faults in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It returned; `keep` where it returned `true`.
    Done {
        /// `on_eof` and `on_idle` ask for the connection to stay.
        keep: bool,
    },
    /// It rejected the message, or in `on_connect` the connection.
    Rejected,
    /// It failed with this text.
    Failed(String),
}

impl Outcome {
    /// The callback is not there, or returned nothing.
    pub const NOTHING: Self = Self::Done { keep: false };
}

/// An outgoing connection that is being made.
pub type Dialling = Pin<Box<dyn Future<Output = Result<Rc<Conn>, DialError>>>>;

/// What a callback waits for.
pub enum Wait {
    /// Time to pass.
    Sleep(Duration),
    /// Everything sent to this connection to have left.
    Flushed(Rc<Conn>),
    /// Room in the queue of this connection.
    Room(Rc<Conn>),
    /// A message, for so long at most.
    Read(Reading, Option<Duration>),
    /// An outgoing connection.
    Dial(Dialling),
}

/// What ended a wait.
pub enum Woken {
    /// What was waited for is there.
    Ready,
    /// The connection that was waited on is closed.
    Closed,
    /// The message that was waited for, or why there is none.
    Received(Received),
    /// The outgoing connection.
    Dialled(Result<Rc<Conn>, DialError>),
}

/// One step of a callback.
pub enum Step<C> {
    /// It has ended.
    Done(Outcome),
    /// It waits; `resume` goes on with it.
    Wait(C, Wait),
}

/// Values of the live generation that sessions go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Close a silent stream connection after this; none: never.
    pub idle_timeout: Option<Duration>,
    /// Forget a silent datagram peer after this.
    pub peer_timeout: Duration,
}

/// What answers the events of connections.
pub trait Handler {
    /// A callback that waits.
    type Call;

    /// Runs the callback for `event` to its end or its first wait. A handler without that
    /// callback returns `Outcome::NOTHING`.
    fn start(&self, conn: &Rc<Conn>, event: Event<'_>) -> Step<Self::Call>;

    /// Goes on with a callback whose wait has ended.
    fn resume(&self, call: Self::Call, woken: &Woken) -> Step<Self::Call>;

    /// Whether the live generation has a callback for such events.
    fn wants(&self, kind: Kind) -> bool;

    /// The number of the live generation.
    fn generation(&self) -> u64;

    /// The rules of the live generation.
    fn rules(&self) -> Rules;

    /// The framings of the live generation.
    fn framings(&self) -> Framings;

    /// The hash of the live generation's content, for the log.
    fn hash(&self) -> Arc<str>;

    /// The live generation, as log lines name it.
    fn version(&self) -> Version {
        Version { number: self.generation(), hash: self.hash() }
    }

    /// Resolves when `call` can no longer go on, whatever it waits for. Made once for a call, at
    /// its first wait.
    fn given_up(&self, call: &Self::Call) -> Pin<Box<dyn Future<Output = ()>>>;

    /// Whether tasks that callbacks of `conn` have spawned are at work; it is woken when the last
    /// of them ends.
    fn has_tasks(&self, conn: &Conn) -> bool;

    /// Ends what the callbacks of `conn` have made: timers, tasks, outgoing connections.
    fn release(&self, conn: &Conn);

    /// `conn` and everything about it is over.
    fn forget(&self, conn: &Conn);

    /// Counts callbacks, so that one can see whether others ran meanwhile.
    fn calls(&self) -> u64;
}

/// Runs the callback for `event` to its end, waits included; a failure is also given to the
/// handler's error callback.
pub async fn run<H: Handler>(handler: &H, conn: &Rc<Conn>, event: Event<'_>) -> Outcome {
    let step = handler.start(conn, event);
    finish(handler, conn, step).await
}

/// As [`run`], from the first step on.
pub async fn finish<H: Handler>(handler: &H, conn: &Rc<Conn>, step: Step<H::Call>) -> Outcome {
    let outcome = follow(handler, step).await;
    if let Outcome::Failed(text) = &outcome
        && handler.wants(Kind::Error)
    {
        let step = handler.start(conn, Event::Error(text));
        // A failure in here was logged, and that is the end of it.
        follow(handler, step).await;
    }
    outcome
}

/// Goes on with a callback to its end, waits included.
pub async fn follow<H: Handler>(handler: &H, mut step: Step<H::Call>) -> Outcome {
    let mut turn = Turn::begin();
    let mut given_up = None;
    loop {
        match step {
            Step::Done(outcome) => return outcome,
            Step::Wait(call, wait) => {
                // Datagrams that wait already are read at once, each with a budget of its own.
                if let Wait::Read(reading, _) = &wait
                    && !reading.conn().is_stream()
                    && turn.is_over()
                {
                    yield_now().await;
                    turn = Turn::begin();
                }
                let given_up = given_up.get_or_insert_with(|| handler.given_up(&call));
                let mut waiting = pin!(wait_for(wait));
                let (woken, read) = poll_fn(|context| match waiting.as_mut().poll(context) {
                    Poll::Pending => {
                        given_up.as_mut().poll(context).map(|()| (Woken::Closed, None))
                    }
                    woken @ Poll::Ready(_) => woken,
                })
                .await;
                step = handler.resume(call, &woken);
                if let (Woken::Received(Received::Message(buffer)), Some(conn)) = (woken, read) {
                    conn.recycle(buffer);
                }
            }
        }
    }
}

/// Waits for what a callback waits for; where that was a message, also tells its connection.
pub async fn wait_for(wait: Wait) -> (Woken, Option<Rc<Conn>>) {
    match wait {
        Wait::Sleep(Duration::ZERO) => {
            // The timer would be over at once, without a turn for the others.
            yield_now().await;
            (Woken::Ready, None)
        }
        Wait::Sleep(duration) => {
            sleep(duration).await;
            (Woken::Ready, None)
        }
        Wait::Flushed(conn) => (until(&conn, Conn::is_flushed).await, None),
        Wait::Room(conn) => (until(&conn, Conn::has_room).await, None),
        Wait::Read(reading, limit) => {
            let received = poll_fn(|context| reading.poll(context));
            let received = match limit {
                None => received.await,
                Some(limit) => match timeout(limit, received).await {
                    Ok(received) => received,
                    Err(_) => Received::Ended(ReadEnd::Timeout),
                },
            };
            (Woken::Received(received), Some(Rc::clone(reading.conn())))
        }
        Wait::Dial(dialling) => {
            // Many are made, or refused, at once, and each begins a new budget.
            yield_now().await;
            (Woken::Dialled(dialling.await), None)
        }
    }
}

/// Resolves when `condition` holds for `conn`, or nothing more can be sent to it.
async fn until(conn: &Rc<Conn>, condition: impl Fn(&Conn) -> bool) -> Woken {
    if condition(conn) {
        // A wait that is over at once begins a new budget, so others must get their turn.
        yield_now().await;
    }
    poll_fn(|context| {
        if !conn.is_sending() {
            Poll::Ready(Woken::Closed)
        } else if condition(conn) {
            Poll::Ready(Woken::Ready)
        } else {
            conn.await_progress(context.waker());
            Poll::Pending
        }
    })
    .await
}

/// Lets others go first after a call of `conn` ran over its budget: as long again, but only
/// while others are waiting.
///
/// `failed_at` is what [`Handler::calls`] was when the call had failed, where that is not now: who
/// had a turn since then was waiting, and only the error callback was not.
pub async fn serve_penalty<H: Handler>(handler: &H, conn: &Conn, failed_at: Option<u64>) {
    let Some(pause) = conn.take_penalty() else { return };
    let own = u64::from(handler.wants(Kind::Error));
    let calls = failed_at.map_or_else(|| handler.calls(), |calls| calls + own);
    let until = Instant::now() + pause;
    // Everybody who is waiting has had a turn when this task is polled again.
    yield_now().await;
    if handler.calls() != calls {
        sleep_until(until).await;
    }
}
