//! The server: loads the script on every worker, opens the sockets, keeps the script current,
//! and drains. Its phases are `load`, `open`, `serve` and `drain`, in this order.

use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::accept::{Slots, accept_unix};
use crate::gate::Gate;
use crate::hub::Hub;
use crate::net::Listener;
use crate::net::bind::{Bound, Socket, SocketFile};
use crate::recorder::{Recorded, Recorder};
use crate::reload::{Reloader, Stations, tell_live};
use crate::script::{Bundle, Source};
use crate::settings::Settings;
use crate::shadow::Shadow;
use crate::tap::Audience;
use crate::vm::{self, Config, FramingRules, Place, Watchdog};
use crate::watch::Watcher;
use crate::worker::{self, Order, Setup, Shared, Worker};

/// How long draining may take.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Steers a running server.
#[derive(Debug, Clone, Default)]
pub struct Control {
    /// Stop in order: finish what runs, ten seconds at most.
    pub drain: CancellationToken,
    /// Stop at once.
    pub kill: CancellationToken,
    /// Look at the script now.
    pub reload: Arc<Notify>,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything that ran has finished.
    InOrder,
    /// Something was cut off: by the drain's deadline, or because it had to stop at once.
    CutOff,
}

/// Runs a server on bound sockets until `control` or the script stops it. `ready` is called once
/// every socket accepts. What is said goes to `recorder`, too. Needs a current-thread runtime.
///
/// # Errors
/// The script cannot be loaded, or the system refuses something; nothing was served then.
pub async fn run(
    settings: Settings,
    sockets: Vec<Bound>,
    source: Source,
    recorder: Option<Recorder>,
    control: Control,
    ready: impl FnOnce(&[Arc<Listener>]) -> io::Result<()>,
) -> anyhow::Result<Ended> {
    let settings = Arc::new(settings);
    let watchdog = Watchdog::start(settings.budget).context("no thread for the watchdog")?;
    let stop = control.drain.clone();
    let config = Config {
        memory: settings.memory,
        place: Place { worker: 1, workers: settings.workers.get() },
        watchdog: watchdog.handle(),
        stop: Arc::new(move || stop.cancel()),
        framing: FramingRules {
            forced: settings.framing.clone(),
            max_message: settings.max_message,
        },
    };
    let listeners: Vec<_> = sockets.iter().map(|bound| Arc::clone(&bound.listener)).collect();
    let plan = Plan::of(sockets, settings.workers.get());
    let shadow = Shadow::of(&settings);
    let mut shared = shared(&settings, &control);
    shared.audiences.extend(recorder.map(audience));
    shared.audiences.extend(shadow.iter().map(Shadow::audience));
    let shared = Arc::new(shared);

    let bundle = Arc::new(source.read()?);
    let gate = Gate::of(&settings);
    let started = async {
        if let Some(gate) = &gate {
            vm::try_out(&bundle, 1, &config).map_err(|fault| anyhow!("{fault}"))?;
            gate.admit(&bundle).await.map_err(|why| anyhow!("the gate is closed: {why}"))?;
        }
        let workers = load(&settings, &config, plan.sources, &bundle, &shared).await?;
        open(&workers).await?;
        anyhow::Ok(workers)
    };
    let workers = tokio::select! {
        workers = started => workers?,
        () = control.drain.cancelled() => bail!("stopped while the script was being loaded"),
    };
    let mut acceptors = accept_on_unix(plan.unix, &workers, &shared)?;
    tell_live(1, &bundle);
    if let Some(file) = source.awaited() {
        info!("{} does not exist; it goes live when it appears", file.display());
    }
    let watcher = Watcher::new(settings.watch);
    let stations = Stations { gate, shadow };
    let mut reloader = Reloader::new(&source, watcher, &workers, config, stations, &bundle);
    // Last of all: who reads it may count on everything.
    ready(&listeners).context("the ready lines could not be written")?;

    tokio::select! {
        () = reloader.run(&control.reload) => {}
        () = any_ended(&workers) => bail!("a worker ended; the log above says why"),
        () = control.drain.cancelled() => {}
    }
    acceptors.abort_all();
    let ended = drain(workers, &control).await;
    drop(plan.files);
    ended
}

/// Who is told of what connections say, and says so where it cannot be recorded any more.
fn audience(recorder: Recorder) -> Arc<dyn Audience> {
    let failing = recorder.clone();
    tokio::spawn(async move {
        let failure = failing.failure().await;
        error!("the recording ended: {failure}; what was recorded before is in it");
    });
    Arc::new(Recorded::new(recorder))
}

fn shared(settings: &Settings, control: &Control) -> Shared {
    Shared {
        ids: Arc::new(AtomicU64::new(1)),
        known_peers: Arc::new(AtomicUsize::new(0)),
        slots: Slots::new(settings.max_conns),
        stop: control.drain.clone(),
        hub: Hub::new(settings.workers.get(), settings.memory),
        audiences: Vec::new(),
    }
}

type Sources = Vec<(Arc<Listener>, worker::Source)>;
type UnixListeners = Vec<(Arc<Listener>, std::os::unix::net::UnixListener)>;

/// Which worker accepts from which socket.
struct Plan {
    sources: Vec<Sources>,
    unix: UnixListeners,
    /// Removed when the server has ended.
    files: Vec<SocketFile>,
}

impl Plan {
    fn of(sockets: Vec<Bound>, workers: usize) -> Self {
        let mut sources: Vec<Sources> = (0..workers).map(|_| Vec::new()).collect();
        let mut unix = Vec::new();
        let mut files = Vec::new();
        for Bound { listener, sockets } in sockets {
            for socket in sockets {
                let listener = Arc::clone(&listener);
                match socket {
                    Socket::Tcp { worker, socket } => {
                        sources[worker].push((listener, worker::Source::Tcp(socket)));
                    }
                    Socket::Udp { worker, socket, wildcard } => {
                        sources[worker].push((listener, worker::Source::Udp(socket, wildcard)));
                    }
                    Socket::Unix { socket, file } => {
                        unix.push((listener, socket));
                        files.push(file);
                    }
                    Socket::Unixgram { socket, file } => {
                        sources[0].push((listener, worker::Source::Unixgram(socket)));
                        files.push(file);
                    }
                }
            }
        }
        Self { sources, unix, files }
    }
}

/// Starts the workers, and waits until each has loaded the script.
async fn load(
    settings: &Arc<Settings>,
    config: &Config,
    sources: Vec<Sources>,
    bundle: &Arc<Bundle>,
    shared: &Arc<Shared>,
) -> anyhow::Result<Vec<Worker>> {
    let mut workers = Vec::with_capacity(sources.len());
    for (index, sources) in sources.into_iter().enumerate() {
        let setup = Setup {
            config: Config { place: Place { worker: index + 1, ..config.place }, ..config.clone() },
            settings: Arc::clone(settings),
            sources,
            bundle: Arc::clone(bundle),
            shared: Arc::clone(shared),
        };
        workers.push(Worker::start(setup).context("a worker could not be started")?);
    }
    for worker in &mut workers {
        match (&mut worker.loaded).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => bail!("{fault}"),
            Err(_) => bail!("a worker ended while it loaded the script"),
        }
    }
    Ok(workers)
}

/// Has every worker accept.
async fn open(workers: &[Worker]) -> anyhow::Result<()> {
    for worker in workers {
        let (answer, answered) = oneshot::channel();
        let gone = || anyhow!("a worker ended before it accepted");
        worker.orders.send(Order::Open(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?.context("a socket could not be opened")?;
    }
    Ok(())
}

/// Accepts on Unix sockets, whose connections are dealt out to the workers in turn.
fn accept_on_unix(
    listeners: UnixListeners,
    workers: &[Worker],
    shared: &Arc<Shared>,
) -> anyhow::Result<JoinSet<()>> {
    let mut acceptors = JoinSet::new();
    for (listener, socket) in listeners {
        let socket = tokio::net::UnixListener::from_std(socket)
            .with_context(|| format!("{} could not be opened", listener.url))?;
        let shared = Arc::clone(shared);
        let orders: Vec<_> = workers.iter().map(|worker| worker.orders.clone()).collect();
        acceptors.spawn(async move {
            for orders in orders.iter().cycle() {
                let Some(accepted) = accept_unix(&socket, &shared.slots).await else { return };
                let order = Order::Serve(Arc::clone(&listener), accepted);
                if orders.send(order).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(acceptors)
}

/// Resolves when a worker has ended, which none does by itself.
async fn any_ended(workers: &[Worker]) {
    let mut ends: Vec<_> =
        workers.iter().map(|worker| Box::pin(worker.ended.cancelled())).collect();
    poll_fn(|context| {
        let ended = ends.iter_mut().any(|end| end.as_mut().poll(context).is_ready());
        if ended { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Has every worker finish what runs.
async fn drain(workers: Vec<Worker>, control: &Control) -> anyhow::Result<Ended> {
    info!("draining");
    let finished = async {
        for worker in &workers {
            // A worker that has ended already has nothing to finish.
            let _ = worker.orders.send(Order::Drain).await;
        }
        for worker in workers {
            worker.ended.cancelled().await;
        }
    };
    tokio::select! {
        finished = timeout(DRAIN_LIMIT, finished) => {
            if finished.is_ok() {
                info!("stopped in order");
                Ok(Ended::InOrder)
            } else {
                warn!("drain ended by its deadline of {} s", DRAIN_LIMIT.as_secs());
                Ok(Ended::CutOff)
            }
        }
        () = control.kill.cancelled() => {
            warn!("stopped at once");
            Ok(Ended::CutOff)
        }
    }
}
