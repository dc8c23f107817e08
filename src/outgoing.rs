//! Outgoing connections: makes one that a script asks for, and has it served. Streams go to
//! `session`, like those that were accepted; datagrams are read here, only where a script asks.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::task::spawn_local;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::conn::{
    Conn, Identity, Outbox, Outgoing, ReadEnd, Reason, Received, StreamQueue, Transport,
};
use crate::handler::{Dialling, Handler};
use crate::net::Stream;
use crate::net::dial::{Dialled, DialledSocket, dial};
use crate::service::Service;
use crate::session;
use crate::vm::{Dial, Dialler, Vm};

/// What makes the outgoing connections of a worker; `tasks` follows those that are open.
pub fn dialler(service: &Rc<Service<Vm>>, tasks: &TaskTracker) -> Dialler {
    let (service, tasks) = (Rc::clone(service), tasks.clone());
    Rc::new(move |wanted| make(Rc::clone(&service), tasks.clone(), wanted))
}

fn make(service: Rc<Service<Vm>>, tasks: TaskTracker, wanted: Dial) -> Dialling {
    Box::pin(async move {
        let Dialled { socket, peer, local } = dial(&wanted.address, wanted.limit).await?;
        let identity = |transport| Identity {
            id: service.next_id(),
            transport,
            ends: (peer, local),
            listener: None,
            framings: wanted.framings,
            version: service.handler.version(),
        };
        let conn = match socket {
            DialledSocket::Tcp(stream) => {
                serve_stream(&service, &tasks, stream, identity(Transport::Tcp))
            }
            DialledSocket::Unix(stream) => {
                serve_stream(&service, &tasks, stream, identity(Transport::Unix))
            }
            DialledSocket::Udp(socket) => {
                serve_udp(&service, &tasks, socket, identity(Transport::Udp))
            }
        };
        debug!(%conn, "connected");
        Ok(conn)
    })
}

fn serve_stream<S: Stream + 'static>(
    service: &Rc<Service<Vm>>,
    tasks: &TaskTracker,
    stream: S,
    identity: Identity,
) -> Rc<Conn> {
    let queue = StreamQueue::new(Rc::clone(&service.spares));
    let conn = Conn::new(identity, Outbox::Stream(queue));
    let held = (service.enter(&conn), tasks.token());
    spawn_local(session::serve_outgoing(stream, Rc::clone(&conn), Rc::clone(service), held));
    conn
}

fn serve_udp(
    service: &Rc<Service<Vm>>,
    tasks: &TaskTracker,
    socket: UdpSocket,
    identity: Identity,
) -> Rc<Conn> {
    let socket = Rc::new(RefCell::new(socket));
    let outgoing = Rc::new(Outgoing::new(Rc::clone(&socket) as _));
    let conn = Conn::new(identity, Outbox::Datagrams(Rc::clone(&outgoing)));
    let entry = service.enter(&conn);
    let (service, served) = (Rc::clone(service), Rc::clone(&conn));
    tasks.spawn_local(async move {
        let peer = Peer { socket, conn: Rc::clone(&served), outgoing, service };
        let reason = poll_fn(|context| peer.poll(context)).await;
        served.mark_gone();
        peer.outgoing.end();
        debug!(conn = %served, %reason, "connection closed");
        drop(entry);
    });
    conn
}

/// A UDP socket that is connected to its one peer.
struct Peer<H> {
    socket: Rc<RefCell<UdpSocket>>,
    conn: Rc<Conn>,
    outgoing: Rc<Outgoing>,
    service: Rc<Service<H>>,
}

impl<H: Handler> Peer<H> {
    /// Sends what is queued and reads what is asked for, until the connection is to end.
    fn poll(&self, context: &mut Context<'_>) -> Poll<Reason> {
        self.outgoing.register(context.waker());
        self.conn.register(context.waker());
        let flushed = self.poll_flush(context);
        // Nothing else is noted here than what the next lines look at.
        drop(self.outgoing.take_noted());
        if let Some(reason) = self.conn.due_end() {
            if flushed.is_ready() || !self.conn.is_sending() {
                return Poll::Ready(reason);
            }
            return Poll::Pending;
        }
        if self.service.is_draining() {
            self.conn.end_reads(ReadEnd::Shutdown);
        }
        while self.conn.is_being_read() && !self.conn.has_datagrams() {
            ready!(self.poll_receive(context));
        }
        Poll::Pending
    }

    fn poll_receive(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut scratch = self.service.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        match ready!(self.socket.borrow().poll_recv(context, &mut buffer)) {
            Ok(()) => {
                let data = buffer.filled();
                self.service.log_message(&self.conn, data);
                // It is asked for only where nothing waits.
                let _ = self.conn.queue_datagram(data);
            }
            // The peer's port is closed: whoever reads is told, and may go on.
            Err(error) => {
                debug!(conn = %self.conn, %error, "a datagram could not be received");
                self.conn.answer_read(Received::Ended(ReadEnd::Reset));
            }
        }
        Poll::Ready(())
    }

    fn poll_flush(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.outgoing.queue().borrow_mut();
        let socket = self.socket.borrow();
        let mut sent = 0;
        let mut pending = false;
        while sent < queue.len() {
            match socket.poll_send(context, queue.datagram(sent).1) {
                Poll::Ready(Ok(_)) => {}
                // A datagram that the system refuses is dropped, as a network may.
                Poll::Ready(Err(error)) => {
                    debug!(conn = %self.conn, %error, "a datagram could not be sent");
                }
                Poll::Pending => {
                    pending = true;
                    break;
                }
            }
            sent += 1;
        }
        queue.drop_first(sent);
        drop(queue);
        if sent > 0 {
            self.outgoing.progressed();
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    }
}
