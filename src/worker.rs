//! A worker: one thread with a current-thread runtime and a VM of its own, so that a message
//! never crosses a thread and a handler needs no lock. Accepts connections, starts what serves
//! them, builds and swaps generations when it is told to, and drains.

mod floor;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::thread;

use tokio::runtime::{self, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::error;

pub use floor::Floor;

use crate::accept::{Accepted, Slots};
use crate::hub::Hub;
use crate::net::Listener;
use crate::script::Bundle;
use crate::settings::Settings;
use crate::tap;
use crate::vm::{Config, Fault};

/// What all workers share.
pub struct Shared {
    /// Ids of connections.
    pub ids: Arc<AtomicU64>,
    /// Datagram peers that are known.
    pub known_peers: Arc<AtomicUsize>,
    /// Stream connections that may still be opened.
    pub slots: Slots,
    /// Makes the server stop in order.
    pub stop: CancellationToken,
    /// What scripts of different workers share and tell each other.
    pub hub: Arc<Hub>,
    /// Who wants to know of all bytes that come and go.
    pub audiences: Vec<Arc<dyn tap::Audience>>,
}

/// A socket that a worker accepts from.
pub enum Source {
    /// TCP connections.
    Tcp(std::net::TcpListener),
    /// UDP peers; whether the socket is bound to every address.
    Udp(std::net::UdpSocket, bool),
    /// Unix datagram peers.
    Unixgram(std::os::unix::net::UnixDatagram),
}

/// What a worker starts with.
pub struct Setup {
    /// What the VM needs; its number is the worker's.
    pub config: Config,
    /// The server's settings.
    pub settings: Arc<Settings>,
    /// The sockets of this worker.
    pub sources: Vec<(Arc<Listener>, Source)>,
    /// The first generation.
    pub bundle: Arc<Bundle>,
    /// What all workers share.
    pub shared: Arc<Shared>,
}

/// What the server tells a worker.
pub enum Order {
    /// Accept from the sockets; answered once it does.
    Open(oneshot::Sender<io::Result<()>>),
    /// Build a generation beside the live one and run its `on_load`.
    Prepare {
        /// Its files.
        bundle: Arc<Bundle>,
        /// Its number.
        number: u64,
        /// Told how it went.
        answer: oneshot::Sender<Result<(), Box<Fault>>>,
    },
    /// Make the prepared generation live.
    Commit(oneshot::Sender<()>),
    /// Drop the prepared generation.
    Abort,
    /// Serve a Unix connection that was accepted elsewhere.
    Serve(Arc<Listener>, Accepted<std::os::unix::net::UnixStream>),
    /// Accept no more, finish what runs, and end.
    Drain,
}

/// Orders that wait for a worker; the acceptor of Unix sockets waits when there are more.
const MOST_ORDERS: usize = 256;

/// A worker's thread, seen from the server.
pub struct Worker {
    /// Takes orders.
    pub orders: mpsc::Sender<Order>,
    /// Whether the first generation could be loaded.
    pub loaded: oneshot::Receiver<Result<(), Box<Fault>>>,
    /// Cancelled when the thread is done, in order or not.
    pub ended: CancellationToken,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system refused a thread.
    pub fn start(setup: Setup) -> io::Result<Self> {
        let (orders, received) = mpsc::channel(MOST_ORDERS);
        let (loading, loaded) = oneshot::channel();
        let ended = CancellationToken::new();
        // Also where the thread panics.
        let ending = ended.clone().drop_guard();
        let name = format!("worker-{}", setup.config.place.worker);
        thread::Builder::new().name(name).spawn(move || {
            let _ending = ending;
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => {
                    runtime.block_on(run(setup, loading, received));
                    // A host name that is still being looked up is not waited for.
                    runtime.shutdown_background();
                }
                Err(error) => error!(%error, "a worker got no runtime from the system"),
            }
        })?;
        Ok(Self { orders, loaded, ended })
    }
}

/// The worker's life.
async fn run(
    setup: Setup,
    loading: oneshot::Sender<Result<(), Box<Fault>>>,
    mut orders: mpsc::Receiver<Order>,
) {
    let mut floor = match Floor::load(setup).await {
        Ok(floor) => floor,
        // The server ends when it learns of this, or has ended.
        Err(fault) => return drop(loading.send(Err(fault))),
    };
    if loading.send(Ok(())).is_err() {
        return;
    }
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            () = floor.exhausted() => {
                floor.rebuild();
                continue;
            }
        };
        let Some(order) = order else { return };
        match order {
            // Who asked may have been stopped meanwhile; that is no loss.
            Order::Open(answer) => drop(answer.send(floor.open())),
            Order::Prepare { bundle, number, answer } => floor.prepare(bundle, number, answer),
            Order::Commit(answer) => {
                floor.commit();
                let _ = answer.send(());
            }
            Order::Abort => floor.abort(),
            Order::Serve(listener, accepted) => floor.serve_unix(&listener, accepted),
            Order::Drain => return floor.drain().await,
        }
    }
}
