//! A simulated server as the stage of a dialogue: connects its clients and upstreams, replaces its
//! handler.

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::door::{self, Door, Place};
use super::idle::Idle;
pub(super) use super::seen::Seen;
use super::upstreams::Upstreams;
use crate::net::memory::{Arrival, Far};
use crate::net::{Endpoint, Listener, Transport};
use crate::play::{Stage, Task, Wire};
use crate::script::Source;
use crate::settings::{DEFAULT_PORT, Script};
use crate::transcript::{Directives, FileName, Name, Sight, Step};
use crate::worker::Floor;

/// Ports of clients, counted up from here.
const FIRST_PORT: u16 = 40_000;

/// So many are there before the first is taken again.
const PORTS: u16 = 10_000;

/// What a stage is made of beside the server.
pub(super) struct Props<'d> {
    pub(super) directives: &'d Directives,
    /// Where names of files begin.
    pub(super) folder: PathBuf,
    /// The handler has the server stop.
    pub(super) stop: CancellationToken,
}

/// See the module.
pub(super) struct SimulatedStage<'d> {
    props: Props<'d>,
    floor: Rc<Floor>,
    upstreams: Upstreams,
    seen: Rc<Seen>,
    idle: Arc<Idle>,
    door: Door,
    listener: Arc<Listener>,
    local: Endpoint,
    clients: Cell<u16>,
    generation: Rc<Cell<u64>>,
}

impl<'d> SimulatedStage<'d> {
    pub(super) fn new(
        props: Props<'d>,
        floor: Floor,
        upstreams: Upstreams,
        seen: Rc<Seen>,
        idle: Arc<Idle>,
    ) -> Self {
        let transport = props.directives.transport();
        let local = match transport {
            Transport::Tcp | Transport::Udp => inet(DEFAULT_PORT),
            Transport::Unix | Transport::Unixgram => Endpoint::Unix(Some("scriptsock.sock".into())),
        };
        let name = props.directives.listener.as_ref().map(ToString::to_string);
        let listener =
            Arc::new(Listener { name, url: format!("{transport}://{local}"), loopback: true });
        let floor = Rc::new(floor);
        let door = Door::new(Rc::clone(&floor));
        Self {
            props,
            floor,
            upstreams,
            seen,
            idle,
            door,
            listener,
            local,
            clients: Cell::new(0),
            generation: Rc::new(Cell::new(1)),
        }
    }

    fn connect(&self, who: Option<&Name>) -> Result<Far, String> {
        if self.props.stop.is_cancelled() {
            return Err("connection refused: the handler has stopped the server".to_owned());
        }
        self.clients.set(self.clients.get().wrapping_add(1));
        let transport = self.props.directives.transport();
        let place = Place {
            transport,
            peer: self.address(who, transport),
            local: self.local.clone(),
            listener: Arc::clone(&self.listener),
        };
        let full = || "all connections that --max-conns allows are open".to_owned();
        self.door.open(&place).ok_or_else(full)
    }

    /// The address that a client is seen to have.
    fn address(&self, who: Option<&Name>, transport: Transport) -> Endpoint {
        let count = self.clients.get();
        match transport {
            Transport::Unix => Endpoint::Unix(None),
            Transport::Unixgram => Endpoint::Unix(Some(format!("client-{count}.sock").into())),
            Transport::Tcp | Transport::Udp => {
                let given = who.and_then(|name| self.props.directives.peers.get(name));
                given.map_or_else(|| inet(FIRST_PORT + count % PORTS), |address| (*address).into())
            }
        }
    }
}

fn inet(port: u16) -> Endpoint {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()
}

impl Stage for SimulatedStage<'_> {
    type Wire = Far;

    fn refuses(&self, _: &Step) -> Option<String> {
        None
    }

    fn open(&self, who: Option<&Name>) -> Task<Result<Far, String>> {
        match who {
            Some(name) if self.upstreams.has(name) => {
                let (upstreams, name) = (self.upstreams.clone(), name.clone());
                Box::pin(async move { upstreams.accept(&name).await })
            }
            _ => {
                let connected = self.connect(who);
                Box::pin(async move { connected })
            }
        }
    }

    fn load(&self) -> Task<Result<(), String>> {
        let loading = door::load(Rc::clone(&self.floor), self.props.stop.clone());
        Box::pin(async move { loading.await.map_err(|fault| fault.to_string()) })
    }

    fn reload(&self, file: &FileName) -> Task<Result<(), String>> {
        let (floor, generation) = (Rc::clone(&self.floor), Rc::clone(&self.generation));
        let (folder, file) = (self.props.folder.clone(), file.to_string());
        Box::pin(async move { reload(&floor, &generation, &folder, &file).await })
    }

    fn settle(&self) -> Task<()> {
        let idle = Arc::clone(&self.idle);
        Box::pin(async move { idle.rest().await })
    }

    fn last_wait(&self) -> Duration {
        Duration::ZERO
    }

    fn poll_sight(&self, sight: &Sight, context: &mut Context<'_>) -> Poll<()> {
        self.seen.poll(sight, context)
    }

    fn unclaimed(&self) -> Vec<String> {
        let mut left = self.upstreams.untaken();
        left.extend(self.seen.unclaimed());
        left
    }
}

async fn reload(
    floor: &Floor,
    generation: &Cell<u64>,
    folder: &Path,
    file: &str,
) -> Result<(), String> {
    let cwd = std::env::current_dir().map_err(|error| error.to_string())?;
    let source = Source::locate(&Script::Named(file.into()), &cwd.join(folder));
    let source = source.map_err(|error| error.to_string())?;
    let bundle = source.read().map_err(|error| error.to_string())?;
    let number = generation.get() + 1;
    let (answer, answered) = oneshot::channel();
    floor.prepare(Arc::new(bundle), number, answer);
    match answered.await {
        Ok(Ok(())) => {}
        Ok(Err(fault)) => return Err(fault.to_string()),
        Err(_) => return Err("the handler could not be replaced".to_owned()),
    }
    floor.commit();
    generation.set(number);
    Ok(())
}

impl Wire for Far {
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Arrival> {
        self.poll_receive(context)
    }

    fn poll_send(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(context, bytes).map_ok(|()| bytes.len())
    }

    fn is_closed(&self) -> bool {
        self.is_closed() || self.has_ended()
    }

    fn end(&mut self) -> io::Result<()> {
        self.end();
        Ok(())
    }

    fn reset(self) {
        self.reset();
    }
}
