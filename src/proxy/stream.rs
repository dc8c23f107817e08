//! One client of a stream and its connection to the server.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::Carrier;
use crate::net::Stream;
use crate::recorder::What;

/// A client that sends more than [`BULK`] at once is taken to send more until it was silent for so
/// long. The server's answers wait until then, so that they are not written between the pieces in
/// which all of that came.
const CALM: Duration = Duration::from_millis(10);

/// Bytes that a client sends in a few pieces.
const BULK: usize = 16 * 1024;

/// One who sends more than this has to let the server have its turn.
const MOST_AT_ONCE: usize = 4 << 20;

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// One direction; what was read waits here until it is written, and only then more is read.
#[derive(Default)]
struct Way {
    bytes: Option<Arc<[u8]>>,
    written: usize,
    /// Whoever speaks has ended.
    ended: bool,
    /// Whoever listens was told so.
    told: bool,
}

/// What has happened.
enum Event {
    Read(Side, Arc<[u8]>),
    End(Side),
    /// This side has broken off.
    Broken(Side),
    /// Both have ended.
    Done,
}

/// Carries between a client and the server until both have ended, or one has broken off. Who is
/// hung up has ended, and says nothing more.
pub(super) async fn carry(
    carrier: &Carrier,
    number: u64,
    (client, server): (Box<dyn Stream>, Box<dyn Stream>),
    hanging_up: &CancellationToken,
) {
    let mut pair = Pair::new(client, server);
    loop {
        let has_ended = pair.up.ended;
        let event = poll_fn(|context| pair.poll(context, &mut carrier.scratch.borrow_mut()));
        let event = tokio::select! {
            biased;
            event = event => event,
            () = hanging_up.cancelled(), if !has_ended => Event::End(Side::Client),
        };
        // What happens is noted before the other side sees it.
        match event {
            Event::Read(Side::Client, bytes) => {
                carrier.note(number, What::Sent(Arc::clone(&bytes))).await;
                pair.sent(bytes);
            }
            Event::Read(Side::Server, bytes) => {
                carrier.note(number, What::Answered(Arc::clone(&bytes))).await;
                pair.at_once = 0;
                pair.down.bytes = Some(bytes);
            }
            Event::End(Side::Client) => {
                carrier.note(number, What::Eof).await;
                pair.up.ended = true;
            }
            Event::End(Side::Server) => {
                carrier.note(number, What::ServerEof).await;
                pair.down.ended = true;
            }
            Event::Broken(Side::Client) => {
                // One that has ended before, and takes no more, has closed.
                let what = if pair.up.ended { What::Closed } else { What::Reset };
                carrier.note(number, what).await;
                return pair.server.reset_on_close();
            }
            Event::Broken(Side::Server) => {
                carrier.note(number, What::ServerReset).await;
                return pair.client.reset_on_close();
            }
            Event::Done => return,
        }
    }
}

/// A connection on each side.
struct Pair {
    client: Box<dyn Stream>,
    server: Box<dyn Stream>,
    /// From the client.
    up: Way,
    /// From the server.
    down: Way,
    /// Bytes that the client has sent since the server last spoke.
    at_once: usize,
    /// Runs out once the client has been silent for a while.
    calm: Pin<Box<Sleep>>,
}

impl Pair {
    fn new(client: Box<dyn Stream>, server: Box<dyn Stream>) -> Self {
        Self {
            client,
            server,
            up: Way::default(),
            down: Way::default(),
            at_once: 0,
            calm: Box::pin(sleep(Duration::ZERO)),
        }
    }

    /// The client has sent this.
    fn sent(&mut self, bytes: Arc<[u8]>) {
        self.at_once += bytes.len();
        self.up.bytes = Some(bytes);
        if self.at_once >= BULK {
            self.calm.as_mut().reset(Instant::now() + CALM);
        }
    }

    /// Whether the client seems to be about to send more.
    fn is_sending(&mut self, context: &mut Context<'_>) -> bool {
        let is_free = self.up.bytes.is_none() && !self.up.ended;
        is_free
            && (BULK..MOST_AT_ONCE).contains(&self.at_once)
            && self.calm.as_mut().poll(context).is_pending()
    }

    /// Carries what is there, up to the next thing that happens.
    ///
    /// The client comes first: what it has sent by now it has sent without having seen what the
    /// server says next, and so it is recorded.
    fn poll(&mut self, context: &mut Context<'_>, scratch: &mut [u8]) -> Poll<Event> {
        let is_first = self.at_once < MOST_AT_ONCE;
        if is_first && let Poll::Ready(event) = self.poll_up(context, scratch) {
            return Poll::Ready(event);
        }
        if self.is_sending(context) {
            return Poll::Pending;
        }
        if let Poll::Ready(event) = self.poll_down(context, scratch) {
            return Poll::Ready(event);
        }
        if self.up.told && self.down.told {
            return Poll::Ready(Event::Done);
        }
        if is_first { Poll::Pending } else { self.poll_up(context, scratch) }
    }

    /// What the server says.
    fn poll_down(&mut self, context: &mut Context<'_>, scratch: &mut [u8]) -> Poll<Event> {
        let Self { client, server, down, .. } = self;
        poll_way(context, Side::Server, (&mut **server, &mut **client), down, scratch)
    }

    /// What the client says.
    fn poll_up(&mut self, context: &mut Context<'_>, scratch: &mut [u8]) -> Poll<Event> {
        let Self { client, server, up, .. } = self;
        poll_way(context, Side::Client, (&mut **client, &mut **server), up, scratch)
    }
}

/// Writes what waits, then reads.
fn poll_way(
    context: &mut Context<'_>,
    side: Side,
    (from, to): (&mut dyn Stream, &mut dyn Stream),
    way: &mut Way,
    scratch: &mut [u8],
) -> Poll<Event> {
    let other = if side == Side::Client { Side::Server } else { Side::Client };
    while let Some(bytes) = &way.bytes {
        match ready!(Pin::new(&mut *to).poll_write(context, &bytes[way.written..])) {
            Ok(count) if count > 0 => way.written += count,
            _ => return Poll::Ready(Event::Broken(other)),
        }
        if way.written == bytes.len() {
            way.bytes = None;
            way.written = 0;
        }
    }
    if way.told {
        return Poll::Pending;
    }
    if way.ended {
        let told = ready!(Pin::new(&mut *to).poll_shutdown(context));
        way.told = true;
        return match told {
            // It is gone, which is known then, or soon found out.
            Err(error) if error.kind() != io::ErrorKind::NotConnected => {
                Poll::Ready(Event::Broken(other))
            }
            _ => Poll::Pending,
        };
    }
    let mut buffer = ReadBuf::new(scratch);
    Poll::Ready(match ready!(Pin::new(&mut *from).poll_read(context, &mut buffer)) {
        Ok(()) if buffer.filled().is_empty() => Event::End(side),
        Ok(()) => Event::Read(side, buffer.filled().into()),
        Err(_) => Event::Broken(side),
    })
}
