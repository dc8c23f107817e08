//! A datagram socket and its peers, each a connection to the handler: answers their datagrams in
//! order, remembers them for the peer timeout, and sends in batches. How a batch is received and
//! sent is for `net`; knows no Lua.

mod clock;
mod peers;

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, ready};

use tokio::task::{spawn_local, yield_now};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::conn::Outgoing;
use crate::handler::Handler;
use crate::net::datagram::{Datagram, DatagramSocket};
use crate::net::{Listener, Transport};
use crate::service::Service;
use crate::tap::Tap;
use crate::turn::Pace;
use clock::Clock;
use peers::Table;

/// Batches that one wake-up handles before others get their turn.
const BATCHES_PER_TURN: usize = 2;

/// Which socket it is, and what it shares with others.
pub struct Site {
    /// Where the socket was asked for.
    pub listener: Arc<Listener>,
    /// UDP or Unix datagrams.
    pub transport: Transport,
    /// Peers known to the whole process, which `--max-peers` bounds.
    pub known: Arc<AtomicUsize>,
    /// Follows the callbacks that wait.
    pub tasks: TaskTracker,
}

/// Serves a socket until the server drains and its peers are gone.
pub async fn serve<H: Handler + 'static>(
    mut socket: DatagramSocket,
    site: Site,
    service: Rc<Service<H>>,
) {
    let local = match socket.local() {
        Ok(local) => local,
        Err(error) => return warn!(%error, "a datagram socket has no address"),
    };
    let outgoing = Rc::new(Outgoing::new(socket.options()));
    service.enter_socket(&outgoing);
    let table = Table::new(service, site, Rc::clone(&outgoing), local);
    let mut clock = Clock::default();
    loop {
        let turn = poll_fn(|context| {
            outgoing.register(context.waker());
            outgoing.set_at_work(true);
            let turn = poll_turn(&table, &mut socket, &mut clock, context);
            outgoing.set_at_work(false);
            if turn.is_pending() && outgoing.take_missed() {
                context.waker().wake_by_ref();
            }
            turn
        });
        match turn.await {
            Turn::Done => return,
            // Only a task of its own waits until the runtime has looked for new input: this one
            // may be woken before by what the calls of its peers send.
            Turn::Long => drop(spawn_local(yield_now()).await),
        }
    }
}

/// How a turn ended that is not to be waited behind.
enum Turn {
    /// The server drains, and all peers are gone.
    Done,
    /// It took so long that others must have theirs.
    Long,
}

/// Does everything that is due.
fn poll_turn<H: Handler + 'static>(
    table: &Rc<Table<H>>,
    socket: &mut DatagramSocket,
    clock: &mut Clock,
    context: &mut Context<'_>,
) -> Poll<Turn> {
    clock.advance();
    let look = &table.service.last_look;
    // Slow calls for many peers hold others up by a few of them and not by a batch.
    let mut pace = Pace::begin(look);
    for _ in 0..BATCHES_PER_TURN {
        // What is noted from here on was not looked at yet.
        table.outgoing.take_missed();
        for conn in table.outgoing.take_noted() {
            table.look_at(&conn);
        }
        table.announce_generation();
        ready!(flush(table, socket, context));
        if table.service.is_draining() {
            table.drain();
            if !table.peers.borrow().is_empty() {
                return Poll::Pending;
            }
            return flush(table, socket, context).map(|()| Turn::Done);
        }
        clock.end_silent(table, context);
        let mut is_long = false;
        let received = socket.poll_receive(context, |peer, local, data| {
            table.receive(clock, peer, local, data);
            is_long = pace.is_over(look);
            if is_long { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match received {
            Poll::Ready(Ok(())) => {}
            // Such as a peer whose port is closed: it concerns nobody else.
            Poll::Ready(Err(error)) => debug!(%error, "a datagram could not be received"),
            Poll::Pending => return Poll::Pending,
        }
        table.service.departures.see_off_late();
        if is_long {
            // What the calls have sent does not wait for the others.
            let _ = flush(table, socket, context);
            return Poll::Ready(Turn::Long);
        }
    }
    // Who waits for a flush must see the queue empty now and then, however busy the socket is. A
    // socket that takes no more wakes this task.
    let _ = flush(table, socket, context);
    context.waker().wake_by_ref();
    Poll::Pending
}

/// As [`poll_flush`]; peers whose last words have left are gone for the tap, too.
fn flush<H: Handler + 'static>(
    table: &Table<H>,
    socket: &mut DatagramSocket,
    context: &mut Context<'_>,
) -> Poll<()> {
    ready!(poll_flush(&table.outgoing, table.service.tap.as_deref(), socket, context));
    table.tell_ends();
    Poll::Ready(())
}

/// Sends what is queued, and tells `tap`; pending while the socket does not take it.
fn poll_flush(
    outgoing: &Outgoing,
    tap: Option<&dyn Tap>,
    socket: &mut DatagramSocket,
    context: &mut Context<'_>,
) -> Poll<()> {
    let mut queue = outgoing.queue().borrow_mut();
    let mut sent = 0;
    while sent < queue.len() {
        let done = socket.poll_send(context, queue.len() - sent, |index| {
            let (conn, data) = queue.datagram(sent + index);
            Datagram { to: &conn.peer, from: &conn.local, data }
        });
        match done {
            Poll::Ready(Ok(count)) => {
                if let Some(tap) = tap {
                    let gone = (sent..sent + count).map(|index| queue.datagram(index));
                    gone.for_each(|(conn, data)| tap.sent(conn, data));
                }
                sent += count;
            }
            Poll::Ready(Err(error)) => {
                warn!(%error, "the socket cannot send");
                sent = queue.len();
            }
            Poll::Pending => break,
        }
    }
    if sent == 0 {
        return if queue.is_empty() { Poll::Ready(()) } else { Poll::Pending };
    }
    queue.drop_first(sent);
    let left = queue.len();
    drop(queue);
    outgoing.progressed();
    if left == 0 { Poll::Ready(()) } else { Poll::Pending }
}
