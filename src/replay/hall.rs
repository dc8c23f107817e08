//! Where the clients of a dialogue arrive whose server is played: accepts them one by one, in the
//! order in which they come.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::time::sleep;
use tracing::debug;

use super::wire::SocketWire;
use crate::net::Endpoint;
use crate::net::bind::{Bound, Socket, SocketFile};
use crate::net::datagram::{Datagram, DatagramSocket};

/// How long accepting rests after an error.
const REST: Duration = Duration::from_millis(20);

/// A client's address, and the one of ours that it speaks to.
pub(super) type Key = (Endpoint, Endpoint);

/// Bytes that wait for steps, of all clients; more are left to the system, which drops them.
const MOST_WAITING: usize = 16 << 20;

/// See the module.
pub(super) struct Hall {
    doors: Vec<Door>,
    /// Removed at the end.
    _files: Vec<SocketFile>,
}

enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
    Datagrams(Rc<Mailroom>),
}

impl Hall {
    pub(super) fn new(bound: Bound) -> io::Result<Self> {
        let (mut doors, mut files) = (Vec::new(), Vec::new());
        for socket in bound.sockets {
            doors.push(match socket {
                Socket::Tcp { socket, .. } => Door::Tcp(TcpListener::from_std(socket)?),
                Socket::Unix { socket, file } => {
                    files.push(file);
                    Door::Unix(UnixListener::from_std(socket)?)
                }
                Socket::Udp { socket, wildcard, .. } => {
                    Door::Datagrams(Mailroom::new(DatagramSocket::udp(socket, wildcard)?)?)
                }
                Socket::Unixgram { socket, file } => {
                    files.push(file);
                    Door::Datagrams(Mailroom::new(DatagramSocket::unix(socket)?)?)
                }
            });
        }
        Ok(Self { doors, _files: files })
    }

    /// The next client.
    pub(super) async fn accept(&self) -> SocketWire {
        loop {
            match poll_fn(|context| self.poll_accept(context)).await {
                Ok(wire) => return wire,
                Err(error) => {
                    debug!(%error, "a client could not be accepted");
                    sleep(REST).await;
                }
            }
        }
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<SocketWire>> {
        for door in &self.doors {
            match door {
                Door::Tcp(listener) => {
                    if let Poll::Ready(accepted) = listener.poll_accept(context) {
                        return Poll::Ready(accepted.map(|(stream, _)| {
                            // An answer must not wait for the next one.
                            let _ = stream.set_nodelay(true);
                            SocketWire::of_stream(Box::new(stream))
                        }));
                    }
                }
                Door::Unix(listener) => {
                    if let Poll::Ready(accepted) = listener.poll_accept(context) {
                        return Poll::Ready(
                            accepted.map(|(stream, _)| SocketWire::of_stream(Box::new(stream))),
                        );
                    }
                }
                Door::Datagrams(mailroom) => {
                    if let Poll::Ready(key) = mailroom.poll_newcomer(context) {
                        return Poll::Ready(Ok(SocketWire::of_peer(Rc::clone(mailroom), key)));
                    }
                }
            }
        }
        Poll::Pending
    }
}

/// Sorts the datagrams of a socket by client. All who wait for it are of one task.
pub(super) struct Mailroom {
    socket: RefCell<DatagramSocket>,
    local: Endpoint,
    boxes: RefCell<HashMap<Key, VecDeque<Vec<u8>>>>,
    /// Bytes in them, and one a datagram.
    waiting: Cell<usize>,
    /// Clients that nobody has met yet.
    newcomers: RefCell<VecDeque<Key>>,
}

impl Mailroom {
    fn new(socket: DatagramSocket) -> io::Result<Rc<Self>> {
        let local = socket.local()?;
        Ok(Rc::new(Self {
            socket: RefCell::new(socket),
            local,
            boxes: RefCell::default(),
            waiting: Cell::new(0),
            newcomers: RefCell::default(),
        }))
    }

    fn poll_newcomer(&self, context: &mut Context<'_>) -> Poll<Key> {
        self.sort(context);
        self.newcomers.borrow_mut().pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    pub(super) fn poll_receive(&self, context: &mut Context<'_>, key: &Key) -> Poll<Vec<u8>> {
        self.sort(context);
        let mut boxes = self.boxes.borrow_mut();
        let received = boxes.get_mut(key).and_then(VecDeque::pop_front);
        if let Some(data) = &received {
            self.waiting.set(self.waiting.get() - data.len() - 1);
        }
        received.map_or(Poll::Pending, Poll::Ready)
    }

    pub(super) fn poll_send(
        &self,
        context: &mut Context<'_>,
        key: &Key,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let datagram = |_| Datagram { to: &key.0, from: &key.1, data };
        let sent = self.socket.borrow_mut().poll_send(context, 1, datagram);
        sent.map(|sent| sent.map(|_| data.len()))
    }

    /// Takes in what is there.
    fn sort(&self, context: &mut Context<'_>) {
        let mut boxes = self.boxes.borrow_mut();
        let mut newcomers = self.newcomers.borrow_mut();
        while self.waiting.get() < MOST_WAITING {
            let received = self.socket.borrow_mut().poll_receive(context, |from, ip, data| {
                let key = (from, self.local.at(ip));
                let letters = boxes.entry(key.clone()).or_insert_with(|| {
                    newcomers.push_back(key);
                    VecDeque::new()
                });
                letters.push_back(data.to_vec());
                self.waiting.set(self.waiting.get() + data.len() + 1);
                ControlFlow::Continue(())
            });
            match received {
                Poll::Pending => return,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => debug!(%error, "a datagram could not be received"),
            }
        }
    }
}
