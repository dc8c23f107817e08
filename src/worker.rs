//! A worker: one thread with a current-thread runtime and a VM of its own, so that a message
//! never crosses a thread and a handler needs no lock. Accepts connections, starts what serves
//! them, builds and swaps generations when it is told to, and drains.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::thread;

use tokio::runtime::{self, LocalOptions};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::{spawn_local, yield_now};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{debug, error, warn};

use crate::accept::{Accepted, Slots, accept_tcp};
use crate::conn::{Conn, Identity, Outbox, StreamQueue, Transport};
use crate::datagram::{self, Site};
use crate::handler::Handler;
use crate::hub::{Hub, Mailbox};
use crate::net::datagram::DatagramSocket;
use crate::net::{Endpoint, Listener, Stream};
use crate::outgoing::dialler;
use crate::roster::Roster;
use crate::script::Bundle;
use crate::service::{Entry, Service};
use crate::session;
use crate::settings::Settings;
use crate::vm::{self, Config, Fault, Prepared, Vm};

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
            () = floor.service.handler.exhausted() => {
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
            Order::Abort => drop(floor.prepared.take()),
            Order::Serve(listener, accepted) => floor.serve_unix(&listener, accepted),
            Order::Drain => return floor.drain().await,
        }
    }
}

/// Publications that are handed out before others get their turn.
const PUBLICATIONS_PER_TURN: usize = 64;

/// Hands what other workers publish to those of this one that it is for.
async fn hand_out(mut mailbox: Mailbox, site: vm::Site) {
    loop {
        let publication = mailbox.next().await;
        vm::deliver(&site, &publication);
        for _ in 1..PUBLICATIONS_PER_TURN {
            let Some(publication) = mailbox.take() else { break };
            vm::deliver(&site, &publication);
        }
        yield_now().await;
    }
}

/// What the worker works with once its script is loaded.
struct Floor {
    service: Rc<Service<Vm>>,
    shared: Arc<Shared>,
    once: bool,
    sources: Vec<(Arc<Listener>, Source)>,
    /// Everything that must end before the worker does.
    tasks: TaskTracker,
    /// Outgoing connections, which end with what made them.
    outgoing: TaskTracker,
    /// Ends accepting.
    closing: CancellationToken,
    prepared: Rc<RefCell<Option<Prepared>>>,
}

impl Floor {
    /// Builds the first generation, with everything that its `on_load` may use, and runs that.
    async fn load(setup: Setup) -> Result<Self, Box<Fault>> {
        let Setup { config, settings, sources, bundle, shared } = setup;
        let index = config.place.worker - 1;
        let roster = Rc::new(Roster::new(Arc::clone(&shared.hub), index));
        let site = vm::Site { roster: Rc::clone(&roster), dialler: Rc::default() };
        let vm = Vm::new(config, &bundle, site.clone())?;
        let service = Rc::new(Service::new(vm, &settings, Arc::clone(&shared.ids), roster));
        let outgoing = TaskTracker::new();
        site.dialler.replace(Some(dialler(&service, &outgoing)));
        spawn_local(vm::run_tasks(Rc::clone(&service)));
        let departing = Rc::clone(&service);
        spawn_local(async move { departing.departures.serve().await });
        spawn_local(hand_out(shared.hub.mailbox(index), site));
        let first = service.handler.live();
        service.handler.load(&first, None).await?;
        Ok(Self {
            service,
            shared,
            once: settings.once,
            sources,
            tasks: TaskTracker::new(),
            outgoing,
            closing: CancellationToken::new(),
            prepared: Rc::default(),
        })
    }

    /// Starts accepting.
    fn open(&mut self) -> io::Result<()> {
        for (listener, source) in std::mem::take(&mut self.sources) {
            match source {
                Source::Tcp(socket) => self.open_tcp(listener, socket)?,
                Source::Udp(socket, wildcard) => {
                    let socket = DatagramSocket::udp(socket, wildcard)?;
                    self.open_datagram(listener, Transport::Udp, socket);
                }
                Source::Unixgram(socket) => {
                    let socket = DatagramSocket::unix(socket)?;
                    self.open_datagram(listener, Transport::Unixgram, socket);
                }
            }
        }
        Ok(())
    }

    fn open_tcp(&self, listener: Arc<Listener>, socket: std::net::TcpListener) -> io::Result<()> {
        let local = socket.local_addr()?;
        let socket = tokio::net::TcpListener::from_std(socket)?;
        let host = self.host();
        let closing = self.closing.clone();
        spawn_local(async move {
            let serve = |accepted: Accepted<tokio::net::TcpStream>, peer| {
                // Bound to every address, it tells only of the connection which one it is.
                let local = if local.ip().is_unspecified() {
                    accepted.stream.local_addr().unwrap_or(local)
                } else {
                    local
                };
                let ends = (Endpoint::from(peer), Endpoint::from(local));
                host.serve(&listener, Transport::Tcp, ends, accepted);
            };
            tokio::select! {
                () = closing.cancelled() => {}
                () = accept_tcp(&socket, &host.shared.slots, serve) => {}
            }
        });
        Ok(())
    }

    fn open_datagram(&self, listener: Arc<Listener>, transport: Transport, socket: DatagramSocket) {
        let site = Site {
            listener,
            transport,
            known: Arc::clone(&self.shared.known_peers),
            tasks: self.tasks.clone(),
        };
        let served = datagram::serve(socket, site, Rc::clone(&self.service));
        self.tasks.spawn_local(served);
    }

    fn host(&self) -> Host {
        Host {
            service: Rc::clone(&self.service),
            shared: Arc::clone(&self.shared),
            tasks: self.tasks.clone(),
            once: self.once,
        }
    }

    fn serve_unix(
        &self,
        listener: &Arc<Listener>,
        accepted: Accepted<std::os::unix::net::UnixStream>,
    ) {
        let Accepted { stream, slot } = accepted;
        let stream = match tokio::net::UnixStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => return warn!(%error, "a connection could not be served"),
        };
        let name = |address: io::Result<tokio::net::unix::SocketAddr>| {
            address.map_or(Endpoint::Unix(None), |address| Endpoint::from(&address))
        };
        let ends = (name(stream.peer_addr()), name(stream.local_addr()));
        self.host().serve(listener, Transport::Unix, ends, Accepted { stream, slot });
    }

    /// Builds a generation in a task of its own, because its `on_load` may wait.
    fn prepare(
        &self,
        bundle: Arc<Bundle>,
        number: u64,
        answer: oneshot::Sender<Result<(), Box<Fault>>>,
    ) {
        let service = Rc::clone(&self.service);
        let prepared = Rc::clone(&self.prepared);
        spawn_local(async move {
            let built = service.handler.prepare(&bundle, number).await;
            let outcome = built.map(|built| drop(prepared.replace(Some(built))));
            // Without a server nobody swaps.
            let _ = answer.send(outcome);
        });
    }

    /// Makes the prepared generation live, then unloads the one before.
    fn commit(&self) {
        let Some(prepared) = self.prepared.take() else { return };
        let retired = self.service.handler.commit(prepared);
        self.service.wake_all();
        let service = Rc::clone(&self.service);
        self.tasks.spawn_local(async move { service.handler.unload(&retired).await });
    }

    /// Replaces a VM that is over its memory limit, in a task because `on_load` may wait.
    fn rebuild(&self) {
        let service = Rc::clone(&self.service);
        spawn_local(async move { service.handler.rebuild().await });
    }

    async fn drain(self) {
        self.closing.cancel();
        self.service.drain();
        self.tasks.close();
        self.tasks.wait().await;
        let last = self.service.handler.live();
        self.service.handler.unload(&last).await;
        self.outgoing.close();
        self.outgoing.wait().await;
        self.service.handler.tell_repeats();
        debug!("worker drained");
    }
}

/// Starts what serves a stream connection.
struct Host {
    service: Rc<Service<Vm>>,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    once: bool,
}

impl Host {
    fn serve<S: Stream + 'static>(
        &self,
        listener: &Arc<Listener>,
        transport: Transport,
        ends: (Endpoint, Endpoint),
        accepted: Accepted<S>,
    ) {
        let Accepted { stream, slot } = accepted;
        let service = Rc::clone(&self.service);
        let queue = StreamQueue::new(Rc::clone(&service.spares));
        let identity = Identity {
            id: service.next_id(),
            transport,
            ends,
            listener: Some(Arc::clone(listener)),
            framings: service.handler.framings(),
            version: service.handler.version(),
        };
        let conn = Conn::new(identity, Outbox::Stream(queue));
        debug!(%conn, "connection opened");
        let place = Place {
            _entry: service.enter(&conn),
            _slot: slot,
            _tracked: self.tasks.token(),
            stop: self.once.then(|| self.shared.stop.clone()),
        };
        spawn_local(session::serve(stream, conn, service, place));
    }
}

/// What an accepted connection takes up until it is gone.
struct Place {
    _entry: Entry<Vm>,
    _slot: OwnedSemaphorePermit,
    _tracked: TaskTrackerToken,
    /// Told when it is gone.
    stop: Option<CancellationToken>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(stop) = &self.stop {
            stop.cancel();
        }
    }
}
