//! Sessions over a stream in memory that holds eight bytes, with a handler in Rust, so that every
//! partial read and write is walked; timeouts under a paused clock.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::Instant;

use super::*;
use crate::conn::{Framings, Identity, Outbox, StreamQueue};
use crate::frame::Framing;
use crate::handler::{Rules, Step, Wait, Woken};
use crate::hub::Hub;
use crate::net::{Endpoint, Listener, Transport};
use crate::roster::Roster;
use crate::settings::Settings;
use crate::tap::{self, End, Tap};

/// Answers in upper case; `wait` after a second, `close` with a last word, `fail` with a failure.
struct Upper {
    seen: RefCell<Vec<String>>,
    keep_after_eof: bool,
    idle_timeout: Option<Duration>,
    framing: Rc<Framing>,
}

impl Default for Upper {
    fn default() -> Self {
        let framing = Rc::new(Framing::raw());
        Self { seen: RefCell::default(), keep_after_eof: false, idle_timeout: None, framing }
    }
}

impl Handler for Upper {
    type Call = Rc<Conn>;

    fn start(&self, conn: &Rc<Conn>, event: Event<'_>) -> Step<Rc<Conn>> {
        let name = match event {
            Event::Message(message) => String::from_utf8_lossy(message).into_owned(),
            other => format!("{other:?}"),
        };
        self.seen.borrow_mut().push(name);
        let Event::Message(message) = event else {
            return Step::Done(Outcome::Done { keep: self.keep_after_eof });
        };
        match message {
            b"wait" => {
                return Step::Wait(Rc::clone(conn), Wait::Sleep(Duration::from_secs(1)));
            }
            b"close" => {
                conn.send(b"bye").unwrap();
                conn.close();
            }
            b"fail" => return Step::Done(Outcome::Failed("failed".into())),
            message => {
                conn.reply(&message.to_ascii_uppercase(), &conn.reply_framing()).unwrap();
            }
        }
        Step::Done(Outcome::NOTHING)
    }

    fn resume(&self, conn: Rc<Conn>, _: &Woken) -> Step<Rc<Conn>> {
        conn.send(b"waited").unwrap();
        Step::Done(Outcome::NOTHING)
    }

    fn wants(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Eof | Kind::Idle | Kind::Close)
    }

    fn generation(&self) -> u64 {
        1
    }

    fn rules(&self) -> Rules {
        Rules { idle_timeout: self.idle_timeout, peer_timeout: Duration::from_secs(60) }
    }

    fn framings(&self) -> Framings {
        let framing = self.framing.clone();
        Framings { read: Rc::clone(&framing), reply: framing }
    }

    fn calls(&self) -> u64 {
        0
    }

    fn hash(&self) -> Arc<str> {
        "".into()
    }

    fn given_up(&self, _: &Rc<Conn>) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(std::future::pending())
    }

    fn has_tasks(&self, _: &Conn) -> bool {
        false
    }

    fn release(&self, _: &Conn) {}

    fn forget(&self, _: &Conn) {}
}

fn service(handler: Upper) -> Rc<Service<Upper>> {
    tapped_service(handler, None)
}

fn tapped_service(handler: Upper, tap: Option<Rc<dyn Tap>>) -> Rc<Service<Upper>> {
    let roster = Rc::new(Roster::new(Hub::new(1, 1024), 0));
    let ids = Arc::new(AtomicU64::new(1));
    Rc::new(Service::new(handler, &Settings::default(), ids, roster, tap))
}

fn conn(service: &Service<Upper>) -> Rc<Conn> {
    let listener = Listener { name: None, url: "memory".into(), loopback: true };
    let identity = Identity {
        id: 1,
        transport: Transport::Unix,
        ends: (Endpoint::Unix(None), Endpoint::Unix(None)),
        listener: Some(listener.into()),
        framings: service.handler.framings(),
        version: service.handler.version(),
    };
    let queue = StreamQueue::new(Rc::clone(&service.spares));
    Conn::new(identity, Outbox::Stream(queue))
}

struct Scene {
    client: DuplexStream,
    session: JoinHandle<()>,
    conn: Rc<Conn>,
    service: Rc<Service<Upper>>,
}

impl Scene {
    fn new(handler: Upper) -> Self {
        Self::on(service(handler))
    }

    fn on(service: Rc<Service<Upper>>) -> Self {
        let (client, server) = duplex(8);
        let conn = conn(&service);
        let session = spawn_local(serve(server, Rc::clone(&conn), Rc::clone(&service), ()));
        Self { client, session, conn, service }
    }

    /// Lets others run until the handler has seen `count` events.
    async fn seen(&self, count: usize) {
        while self.service.handler.seen.borrow().len() < count {
            yield_now().await;
        }
    }

    /// Everything the server sends until it ends.
    async fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.client.read_to_string(&mut rest).await.unwrap();
        rest
    }

    async fn ended(self) -> Vec<String> {
        let Self { client, session, service, .. } = self;
        drop(client);
        session.await.unwrap();
        service.handler.seen.take()
    }
}

/// Runs `test` on a current-thread runtime whose clock jumps to the next timer when all is idle.
fn with_clock<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    LocalSet::new().block_on(&runtime.unwrap(), test());
}

#[test]
fn everything_comes_back_through_eight_bytes() {
    with_clock(|| async {
        let mut scene = Scene::new(Upper::default());
        let (mut answers, mut client) =
            tokio::io::split(std::mem::replace(&mut scene.client, duplex(1).0));
        let writer = spawn_local(async move {
            client.write_all("abcdefghijklm ".repeat(100).as_bytes()).await.unwrap();
            client.shutdown().await.unwrap();
            client
        });
        let mut all = String::new();
        answers.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "ABCDEFGHIJKLM ".repeat(100));
        drop((answers, writer.await.unwrap()));
        assert_eq!(scene.ended().await.last().unwrap(), "Close(Eof)");
    });
}

#[test]
fn a_half_closed_peer_gets_the_answer_to_its_last_message() {
    with_clock(|| async {
        let mut scene = Scene::new(Upper::default());
        scene.client.write_all(b"wait").await.unwrap();
        scene.client.shutdown().await.unwrap();
        assert_eq!(scene.rest().await, "waited");
        assert_eq!(scene.ended().await, ["wait", "Eof", "Close(Eof)"]);
    });
}

#[test]
fn a_kept_connection_still_sends_after_the_peers_end() {
    with_clock(|| async {
        let mut scene = Scene::new(Upper { keep_after_eof: true, ..Upper::default() });
        scene.client.shutdown().await.unwrap();
        scene.seen(1).await;
        scene.conn.send(b"news").unwrap();
        scene.conn.close();
        assert_eq!(scene.rest().await, "news");
        assert_eq!(scene.ended().await, ["Eof", "Close(Closed)"]);
    });
}

#[test]
fn a_close_sends_the_last_word_and_drops_what_follows() {
    with_clock(|| async {
        let mut scene = Scene::new(Upper::default());
        scene.client.write_all(b"close").await.unwrap();
        scene.seen(1).await;
        scene.client.write_all(b"more").await.unwrap();
        assert_eq!(scene.rest().await, "bye");
        assert_eq!(scene.ended().await, ["close", "Close(Closed)"]);
    });
}

#[test]
fn a_peer_that_takes_nothing_is_slow_after_the_send_timeout() {
    with_clock(|| async {
        let mut scene = Scene::new(Upper::default());
        let begin = Instant::now();
        scene.client.write_all(b"12345678").await.unwrap();
        scene.client.write_all(b"12345678").await.unwrap();
        (&mut scene.session).await.unwrap();
        assert_eq!(begin.elapsed().as_secs(), 30);
        assert_eq!(scene.service.handler.seen.take().last().unwrap(), "Close(Slow)");
    });
}

#[test]
fn silence_is_told_once_the_idle_timeout_has_passed() {
    with_clock(|| async {
        let limit = Some(Duration::from_secs(10));
        let mut scene = Scene::new(Upper { idle_timeout: limit, ..Upper::default() });
        let begin = Instant::now();
        tokio::time::sleep(Duration::from_secs(7)).await;
        scene.client.write_all(b"a").await.unwrap();
        assert_eq!(scene.rest().await, "A");
        assert_eq!(begin.elapsed().as_secs(), 17);
        assert_eq!(scene.ended().await, ["a", "Idle", "Close(Idle)"]);
    });
}

#[test]
fn a_drain_lets_the_running_call_finish() {
    with_clock(|| async {
        let mut scene = Scene::new(Upper::default());
        scene.client.write_all(b"wait").await.unwrap();
        scene.seen(1).await;
        scene.service.drain();
        assert_eq!(scene.rest().await, "waited");
        assert_eq!(scene.ended().await, ["wait", "Close(Shutdown)"]);
    });
}

/// Writes down what it is told, bytes joined.
#[derive(Default)]
struct Notes(RefCell<Vec<(&'static str, Vec<u8>)>>);

impl Notes {
    fn add(&self, what: &'static str, bytes: &[u8]) {
        let mut notes = self.0.borrow_mut();
        match notes.last_mut() {
            Some((last, known)) if *last == what => known.extend_from_slice(bytes),
            _ => notes.push((what, bytes.to_vec())),
        }
    }

    fn told(&self) -> String {
        let shown = |(what, bytes): &(_, Vec<u8>)| format!("{what} {}", bytes.escape_ascii());
        self.0.borrow().iter().map(shown).collect::<Vec<_>>().join(", ")
    }
}

impl Tap for Notes {
    fn opened(&self, _: &Conn) {
        self.add("opened", b"");
    }

    fn received(&self, _: &Conn, bytes: &[u8]) {
        self.add("received", bytes);
    }

    fn sent(&self, _: &Conn, bytes: &[u8]) {
        self.add("sent", bytes);
    }

    fn ended(&self, _: &Conn, end: End) {
        let text = match end {
            End::Peer => "peer".to_owned(),
            End::Own => "own".to_owned(),
            End::PeerReset => "peer reset".to_owned(),
            End::Gone { reason, reset } => format!("gone {reason} {reset}"),
        };
        self.add("ended", text.as_bytes());
    }
}

async fn told(input: &[&[u8]]) -> String {
    let (first, second) = (Rc::new(Notes::default()), Rc::new(Notes::default()));
    let tap = tap::all(vec![Rc::clone(&first) as _, Rc::clone(&second) as _]);
    let mut scene = Scene::on(tapped_service(Upper::default(), tap));
    for (count, bytes) in input.iter().enumerate() {
        scene.client.write_all(bytes).await.unwrap();
        scene.seen(count + 1).await;
    }
    scene.client.shutdown().await.unwrap();
    scene.rest().await;
    scene.ended().await;
    assert_eq!(first.told(), second.told());
    first.told()
}

#[test]
fn a_tap_is_told_of_all_bytes_and_of_each_end() {
    with_clock(|| async {
        let all = "opened , received ab, sent AB, ended peerowngone eof false";
        assert_eq!(told(&[b"ab"]).await, all);
        // What comes behind a close is nobody's.
        let closed = "opened , received close, sent bye, ended owngone closed false";
        assert_eq!(told(&[b"close"]).await, closed);
    });
}

/// Of many idle connections each holds this all its life.
#[test]
fn the_task_of_a_connection_is_small() {
    with_clock(|| async {
        let service = service(Upper::default());
        let task = serve(duplex(8).1, conn(&service), service, ());
        assert!(size_of_val(&task) <= 256, "{} bytes", size_of_val(&task));
    });
}
