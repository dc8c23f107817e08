//! The servers that a handler connects to: played by the dialogue, never dialled.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::{pending, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use super::stage::Seen;
use crate::conn::Conn;
use crate::handler::Dialling;
use crate::net::address::Address;
use crate::net::dial::DialError;
use crate::net::memory::{Arrival, Far, link, stream};
use crate::net::{Endpoint, Transport};
use crate::outgoing::Maker;
use crate::text::Printable;
use crate::transcript::Name;
use crate::vm::{Dial, Dialler};

/// Ports of our ends, counted up from here.
const FIRST_PORT: u16 = 50_000;

/// Bytes that are shown of what nobody expected.
const SHOWN: usize = 256;

/// Connections of the handler that a run holds at a time: far more than a dialogue speaks on. Each
/// can hold more than a mebibyte of what was sent, in its queue and on its way.
const MOST_CONNECTIONS: usize = 256;

/// Connections that a handler makes in a run: far more than a dialogue speaks on, too. A script that
/// keeps those that are closed would have memory of ours, and not of its VM's.
const MOST_MADE: usize = 10_000;

/// See the module.
#[derive(Clone)]
pub(super) struct Upstreams(Rc<Lobby>);

struct Lobby {
    servers: BTreeMap<Name, Server>,
    /// The connections that the handler has made and not closed; some may have ended since.
    open: RefCell<Vec<Weak<Conn>>>,
    /// Told when the handler makes more than are held.
    flood: Notify,
    seen: Rc<Seen>,
    port: RefCell<u16>,
}

/// One of them.
struct Server {
    address: Address,
    state: RefCell<State>,
}

/// Connections that the handler has made and the dialogue has not spoken on.
#[derive(Default)]
struct State {
    arrived: VecDeque<Far>,
    made: usize,
    waker: Option<Waker>,
}

impl Upstreams {
    pub(super) fn new(declared: &BTreeMap<Name, Address>, seen: Rc<Seen>) -> Self {
        let server =
            |address: &Address| Server { address: address.clone(), state: RefCell::default() };
        let servers = declared.iter().map(|(name, address)| (name.clone(), server(address)));
        Self(Rc::new(Lobby {
            servers: servers.collect(),
            open: RefCell::default(),
            flood: Notify::new(),
            seen,
            port: RefCell::new(FIRST_PORT),
        }))
    }

    /// Resolves when the handler makes more connections than a run can hold; says so.
    pub(super) async fn flooded(&self) -> String {
        self.0.flood.notified().await;
        let has = if self.0.made() < MOST_MADE {
            format!(
                "has {MOST_CONNECTIONS} outgoing connections that are open or that no step has \
                 heard out"
            )
        } else {
            format!("has made {MOST_MADE} outgoing connections")
        };
        format!("the handler {has}, and makes another: does it connect again and again?")
    }

    /// What opens the handler's connections.
    pub(super) fn dialler(&self) -> impl FnOnce(Maker) -> Dialler + use<> {
        let lobby = Rc::clone(&self.0);
        move |maker| Rc::new(move |wanted| dial(&lobby, &maker, wanted))
    }

    /// Whether a name is one of them.
    pub(super) fn has(&self, name: &Name) -> bool {
        self.0.servers.contains_key(name)
    }

    /// What they have received over connections that no step has taken.
    pub(super) fn untaken(&self) -> Vec<String> {
        let mut context = Context::from_waker(Waker::noop());
        let mut left = Vec::new();
        for (name, server) in &self.0.servers {
            for far in &mut server.state.borrow_mut().arrived {
                let mut bytes = Vec::new();
                let mut pieces = 0;
                while let Poll::Ready(Arrival::Piece(piece)) = far.poll_receive(&mut context) {
                    bytes.extend(piece);
                    pieces += 1;
                }
                if pieces > 0 {
                    let shown = format!("{:.SHOWN$}", Printable(&bytes));
                    left.push(format!("{name} got, and no step expects it: \"{shown}\""));
                }
            }
        }
        left
    }

    /// The next connection to the one of this name.
    pub(super) async fn accept(&self, name: &Name) -> Result<Far, String> {
        let Some(server) = self.0.servers.get(name) else {
            return Err(format!("there is no @upstream {name}"));
        };
        let arrived = poll_fn(|context| {
            let mut state = server.state.borrow_mut();
            let Some(far) = state.arrived.pop_front() else {
                state.waker = Some(context.waker().clone());
                return Poll::Pending;
            };
            Poll::Ready(far)
        });
        Ok(arrived.await)
    }
}

impl Lobby {
    /// Who answers at an address: of several, by the order of their names, the first that has had
    /// no connection yet, else the last.
    fn answering(&self, address: &Address) -> Option<&Server> {
        let at = || self.servers.values().filter(|server| server.address == *address);
        at().find(|server| server.state.borrow().made == 0).or_else(|| at().last())
    }

    /// Whether one more connection can be held. Those that wait for a step and were closed without
    /// a word make room: there is nothing in them to expect.
    fn has_room(&self) -> bool {
        if self.made() >= MOST_MADE {
            return false;
        }
        self.open.borrow_mut().retain(|conn| conn.upgrade().is_some_and(|conn| !conn.is_gone()));
        if self.held() < MOST_CONNECTIONS {
            return true;
        }
        for server in self.servers.values() {
            server.state.borrow_mut().arrived.retain(|far| !(far.is_closed() && far.is_empty()));
        }
        self.held() < MOST_CONNECTIONS
    }

    /// All connections so far.
    fn made(&self) -> usize {
        self.servers.values().map(|server| server.state.borrow().made).sum()
    }

    /// The connections that are open, and those that are closed and wait for a step.
    fn held(&self) -> usize {
        let closed = |server: &Server| {
            server.state.borrow().arrived.iter().filter(|far| far.is_closed()).count()
        };
        self.open.borrow().len() + self.servers.values().map(closed).sum::<usize>()
    }

    fn next_port(&self) -> u16 {
        let mut port = self.port.borrow_mut();
        *port = port.checked_add(1).unwrap_or(FIRST_PORT);
        *port
    }
}

fn dial(lobby: &Rc<Lobby>, maker: &Maker, wanted: Dial) -> Dialling {
    let (lobby, maker) = (Rc::clone(lobby), maker.clone());
    Box::pin(async move {
        let Dial { address, framings, .. } = wanted;
        let Some(server) = lobby.answering(&address) else {
            lobby.seen.note_line(format!("connect to {address}: no @upstream answers there"));
            return Err(DialError::from(&io::Error::from_raw_os_error(
                nix::errno::Errno::ECONNREFUSED as i32,
            )));
        };
        if !lobby.has_room() {
            // Whoever waits for this ends the run, and with it the handler's call.
            lobby.flood.notify_one();
            return pending().await;
        }
        let ends = (far_end(&address), near_end(&address, lobby.next_port()));
        let (conn, far) = match &address {
            Address::Udp { .. } => {
                let (near, far) = link();
                (maker.serve_udp(ends, framings, near), far)
            }
            Address::Tcp { .. } => {
                let (near, far) = stream(false);
                (maker.serve(Transport::Tcp, ends, framings, near), far)
            }
            Address::Unix(_) | Address::Unixgram(_) => {
                let (near, far) = stream(true);
                (maker.serve(Transport::Unix, ends, framings, near), far)
            }
        };
        lobby.open.borrow_mut().push(Rc::downgrade(&conn));
        let mut state = server.state.borrow_mut();
        state.made += 1;
        state.arrived.push_back(far);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        Ok(conn)
    })
}

/// The address that a host stands for: itself, or this machine's.
fn far_end(address: &Address) -> Endpoint {
    match address {
        Address::Tcp { host, port } | Address::Udp { host, port } => {
            let ip = host.parse::<IpAddr>().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
            SocketAddr::new(ip, *port).into()
        }
        Address::Unix(path) | Address::Unixgram(path) => Endpoint::Unix(Some(path.clone())),
    }
}

fn near_end(address: &Address, port: u16) -> Endpoint {
    match far_end(address) {
        Endpoint::Inet(SocketAddr::V6(_)) => {
            SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), port).into()
        }
        Endpoint::Inet(SocketAddr::V4(_)) => {
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port).into()
        }
        Endpoint::Unix(_) => Endpoint::Unix(None),
    }
}
