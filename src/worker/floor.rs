//! What a worker works with once its script is loaded: accepts connections, starts what serves
//! them, and swaps generations. Whether its peers are real is not known here.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::{spawn_local, yield_now};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{debug, warn};

use super::{Setup, Shared, Source};
use crate::accept::{Accepted, accept_tcp};
use crate::conn::{Conn, Framings, Identity, Outbox, StreamQueue};
use crate::datagram::{self, Site};
use crate::handler::Handler;
use crate::hub::Mailbox;
use crate::net::datagram::DatagramSocket;
use crate::net::{Endpoint, Listener, Stream, Transport};
use crate::outgoing::{Maker, dialler};
use crate::roster::Roster;
use crate::script::Bundle;
use crate::service::{Entry, Service};
use crate::session;
use crate::tap;
use crate::vm::{self, Fault, Prepared, Vm};
use crate::world::World;

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

/// See the module.
pub struct Floor {
    service: Rc<Service<Vm>>,
    site: vm::Site,
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
    /// The framings of the live generation.
    pub fn framings(&self) -> Framings {
        self.service.handler.framings()
    }

    /// Resolves when the script's data is over the memory limit.
    pub async fn exhausted(&self) {
        self.service.handler.exhausted().await;
    }

    /// A place among the connections that may be open, if there is one.
    pub fn free_slot(&self) -> Option<OwnedSemaphorePermit> {
        self.shared.slots.try_take()
    }

    /// Accepts no more, and has every connection end once its running call has.
    pub fn close(&self) {
        self.closing.cancel();
        self.service.drain();
    }

    /// Drops a prepared generation.
    pub fn abort(&self) {
        drop(self.prepared.take());
    }

    /// Builds the first generation, and runs its `on_load`.
    ///
    /// # Errors
    /// What is wrong with the script.
    pub async fn load(setup: Setup) -> Result<Self, Box<Fault>> {
        let floor = Self::build(setup, None, dialler)?;
        floor.run_load().await?;
        Ok(floor)
    }

    /// Builds the first generation, with everything that its `on_load` may use, which is yet to
    /// run. `world` stands in for the machine where it is simulated, and what `dialler` makes opens
    /// the outgoing connections.
    ///
    /// # Errors
    /// What is wrong with the script.
    pub fn build(
        setup: Setup,
        world: Option<Rc<World>>,
        dialler: impl FnOnce(Maker) -> vm::Dialler,
    ) -> Result<Self, Box<Fault>> {
        let Setup { config, settings, sources, bundle, shared } = setup;
        let index = config.place.worker - 1;
        let roster = Rc::new(Roster::new(Arc::clone(&shared.hub), index));
        let site = vm::Site { roster: Rc::clone(&roster), dialler: Rc::default(), world };
        let vm = Vm::new(config, &bundle, site.clone())?;
        let tap =
            tap::all(shared.audiences.iter().map(|audience| Arc::clone(audience).tap()).collect());
        let service = Rc::new(Service::new(vm, &settings, Arc::clone(&shared.ids), roster, tap));
        let outgoing = TaskTracker::new();
        let maker = Maker { service: Rc::clone(&service), tasks: outgoing.clone() };
        site.dialler.replace(Some(dialler(maker)));
        spawn_local(vm::run_tasks(Rc::clone(&service)));
        let departing = Rc::clone(&service);
        spawn_local(async move { departing.departures.serve().await });
        spawn_local(hand_out(shared.hub.mailbox(index), site.clone()));
        Ok(Self {
            service,
            site,
            shared,
            once: settings.once,
            sources,
            tasks: TaskTracker::new(),
            outgoing,
            closing: CancellationToken::new(),
            prepared: Rc::default(),
        })
    }

    /// Runs the `on_load` of the first generation, waits included.
    ///
    /// # Errors
    /// It failed.
    pub async fn run_load(&self) -> Result<(), Box<Fault>> {
        let first = self.service.handler.live();
        self.service.handler.load(&first, None).await
    }

    /// Starts accepting.
    ///
    /// # Errors
    /// The system's.
    pub fn open(&mut self) -> io::Result<()> {
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

    /// Serves a datagram socket.
    pub fn open_datagram(
        &self,
        listener: Arc<Listener>,
        transport: Transport,
        socket: DatagramSocket,
    ) {
        let site = Site {
            listener,
            transport,
            known: Arc::clone(&self.shared.known_peers),
            tasks: self.tasks.clone(),
        };
        let served = datagram::serve(socket, site, Rc::clone(&self.service));
        self.tasks.spawn_local(served);
    }

    /// Starts what serves stream connections.
    pub fn host(&self) -> Host {
        Host {
            service: Rc::clone(&self.service),
            shared: Arc::clone(&self.shared),
            tasks: self.tasks.clone(),
            once: self.once,
        }
    }

    /// Serves a Unix connection that was accepted elsewhere.
    pub fn serve_unix(
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
    pub fn prepare(
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
    pub fn commit(&self) {
        let Some(prepared) = self.prepared.take() else { return };
        let retired = self.service.handler.commit(prepared);
        self.service.wake_all();
        let service = Rc::clone(&self.service);
        self.tasks.spawn_local(async move { service.handler.unload(&retired).await });
    }

    /// Replaces a VM that is over its memory limit, in a task because `on_load` may wait.
    pub fn rebuild(&self) {
        let service = Rc::clone(&self.service);
        spawn_local(async move { service.handler.rebuild().await });
    }

    /// Accepts no more, and waits for what runs.
    pub async fn drain(&self) {
        self.close();
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

/// The VM holds what opens its connections, and that holds the VM.
impl Drop for Floor {
    fn drop(&mut self) {
        self.site.dialler.take();
    }
}

/// Starts what serves a stream connection.
pub struct Host {
    service: Rc<Service<Vm>>,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    once: bool,
}

impl Host {
    /// Serves a connection; `ends` are the peer's and ours.
    pub fn serve<S: Stream + 'static>(
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
