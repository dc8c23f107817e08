//! Where the peers of a simulated server come in, whoever plays them.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::spawn_local;
use tokio_util::sync::CancellationToken;

use crate::accept::Accepted;
use crate::net::datagram::DatagramSocket;
use crate::net::memory::{Far, MemoryDatagrams, stream};
use crate::net::{Endpoint, Listener, Transport};
use crate::vm::Fault;
use crate::worker::Floor;

/// Who a peer is, and where it comes to.
#[derive(Debug)]
pub struct Place {
    /// How it connects.
    pub transport: Transport,
    /// Its address.
    pub peer: Endpoint,
    /// Ours.
    pub local: Endpoint,
    /// The listener that it comes to.
    pub listener: Arc<Listener>,
}

/// See the module.
pub(super) struct Door {
    floor: Rc<Floor>,
    /// Sockets for datagrams, each opened with its first peer.
    sockets: RefCell<Vec<(Arc<Listener>, Endpoint, MemoryDatagrams)>>,
}

impl Door {
    /// That of a server; the first peer may come once it is loaded.
    pub(super) fn new(floor: Rc<Floor>) -> Self {
        Self { floor, sockets: RefCell::default() }
    }

    /// A peer connects, or its first datagram is about to come. None where `--max-conns` are open.
    pub(super) fn open(&self, place: &Place) -> Option<Far> {
        let Place { transport, peer, local, listener } = place;
        if transport.is_datagram() {
            return Some(self.socket(place).peer(addressed(peer)));
        }
        let slot = self.floor.free_slot()?;
        let (near, far) = stream(*transport == Transport::Unix);
        let ends = (peer.clone(), local.clone());
        let accepted = Accepted { stream: near, slot };
        self.floor.host().serve(listener, *transport, ends, accepted);
        Some(far)
    }

    fn socket(&self, place: &Place) -> MemoryDatagrams {
        let Place { transport, local, listener, .. } = place;
        let mut sockets = self.sockets.borrow_mut();
        let known = sockets.iter().find(|(of, at, _)| of == listener && at == local);
        if let Some((.., socket)) = known {
            return socket.clone();
        }
        let socket = MemoryDatagrams::new(local.clone());
        let served = DatagramSocket::Memory(socket.clone());
        self.floor.open_datagram(Arc::clone(listener), *transport, served);
        sockets.push((Arc::clone(listener), local.clone(), socket.clone()));
        socket
    }
}

/// An address that an answer can be sent to: peers of Unix sockets may have none.
fn addressed(peer: &Endpoint) -> Endpoint {
    match peer {
        Endpoint::Unix(None) => Endpoint::Unix(Some("unnamed".into())),
        Endpoint::Inet(_) | Endpoint::Unix(Some(_)) => peer.clone(),
    }
}

/// Runs the handler's `on_load`. From then on the server does what a worker does beside its orders.
pub(super) async fn load(floor: Rc<Floor>, stop: CancellationToken) -> Result<(), Box<Fault>> {
    floor.run_load().await?;
    spawn_local(run(floor, stop));
    Ok(())
}

/// What a worker does beside its orders: replaces a VM that is full, and stops when it is told.
async fn run(floor: Rc<Floor>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return floor.drain().await,
            () = floor.exhausted() => floor.rebuild(),
        }
    }
}
