//! A transparent proxy: carries what clients say to a server and what that answers, both ways and
//! to the end of each, and has a recorder note it. It changes nothing: no byte, no half-close, no
//! reset, and no order within a connection. One thread; no connection waits for another, but all
//! wait for a recording that is behind. Where the recording goes is for `recorder`.

mod datagram;
mod stream;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::accept::{Accepted, Slots, accept_tcp, accept_unix};
use crate::net::bind::{Bound, Socket};
use crate::net::datagram::DatagramSocket;
use crate::net::server::Server;
use crate::net::{Listener, Stream, Transport};
use crate::recorder::{Recorder, What};
use crate::server::{Control, Ended};
use crate::transcript::record::PAUSE;

/// How long connecting to the server may take.
const DIAL_LIMIT: Duration = Duration::from_secs(10);

/// What one read takes at most.
const READ_SIZE: usize = 64 * 1024;

/// When the proxy is to stop, what is on its way still arrives: it goes on until nothing has come
/// for a pause, and so long at most.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Then whoever is still there is hung up, one after the other; so long the server may take to
/// end as well.
const LONGEST_FAREWELL: Duration = Duration::from_millis(200);

/// What passed through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Clients that came; some may have been turned away.
    pub clients: u64,
    /// Bytes from clients.
    pub sent: u64,
    /// Bytes from the server.
    pub answered: u64,
}

/// What all connections share.
struct Carrier {
    server: Server,
    /// How clients connect.
    transport: Transport,
    recorder: Recorder,
    /// What is read into.
    scratch: RefCell<Box<[u8]>>,
    clients: Cell<u64>,
    sent: Cell<u64>,
    answered: Cell<u64>,
    /// How often something has happened.
    events: Cell<u64>,
    /// Streams that are open: what hangs each up, and what says that it is gone.
    open: RefCell<BTreeMap<u64, (CancellationToken, CancellationToken)>>,
    /// Ends everything.
    ending: CancellationToken,
}

impl Carrier {
    /// The next client is there; its number.
    async fn opened(&self) -> u64 {
        let client = self.clients.get() + 1;
        self.clients.set(client);
        self.note(client, What::Connected(self.transport)).await;
        client
    }

    async fn note(&self, client: u64, what: What) {
        self.events.set(self.events.get() + 1);
        let add = |sum: &Cell<u64>, bytes: &[u8]| sum.set(sum.get() + bytes.len() as u64);
        match &what {
            What::Sent(bytes) => add(&self.sent, bytes),
            What::Answered(bytes) => add(&self.answered, bytes),
            _ => {}
        }
        self.recorder.note(client, what).await;
    }

    fn counts(&self) -> Counts {
        Counts { clients: self.clients.get(), sent: self.sent.get(), answered: self.answered.get() }
    }
}

/// Carries between the clients of a listener and a server, until it is told to stop or nothing can
/// be recorded any more. `ready` is called once clients are accepted. Needs a local runtime.
///
/// # Errors
/// The runtime does not take a socket, or `ready` fails.
pub async fn run(
    bound: Bound,
    transport: Transport,
    server: Server,
    recorder: Recorder,
    control: &Control,
    ready: impl FnOnce(&Listener) -> io::Result<()>,
) -> io::Result<(Ended, Counts)> {
    let carrier = Rc::new(Carrier {
        server,
        transport,
        recorder,
        scratch: RefCell::new(vec![0; READ_SIZE].into_boxed_slice()),
        clients: Cell::new(0),
        sent: Cell::new(0),
        answered: Cell::new(0),
        events: Cell::new(0),
        open: RefCell::default(),
        ending: CancellationToken::new(),
    });
    let tasks = TaskTracker::new();
    let closing = CancellationToken::new();
    let mut files = Vec::new();
    for socket in bound.sockets {
        match socket {
            Socket::Tcp { socket, .. } => {
                let socket = tokio::net::TcpListener::from_std(socket)?;
                let accepting = accept_tcp_clients(Rc::clone(&carrier), tasks.clone(), socket);
                spawn_until(&closing, accepting);
            }
            Socket::Unix { socket, file } => {
                files.push(file);
                let socket = tokio::net::UnixListener::from_std(socket)?;
                let accepting = accept_unix_clients(Rc::clone(&carrier), tasks.clone(), socket);
                spawn_until(&closing, accepting);
            }
            Socket::Udp { socket, wildcard, .. } => {
                let socket = DatagramSocket::udp(socket, wildcard)?;
                tasks.spawn_local(datagram::carry(Rc::clone(&carrier), socket));
            }
            Socket::Unixgram { socket, file } => {
                files.push(file);
                let socket = DatagramSocket::unix(socket)?;
                tasks.spawn_local(datagram::carry(Rc::clone(&carrier), socket));
            }
        }
    }
    ready(&bound.listener)?;
    let ended = tokio::select! {
        _ = carrier.recorder.failure() => Ended::CutOff,
        () = control.drain.cancelled() => {
            closing.cancel();
            hear_last_words(&carrier, control).await
        }
    };
    closing.cancel();
    carrier.ending.cancel();
    tasks.close();
    tasks.wait().await;
    drop(files);
    Ok((ended, carrier.counts()))
}

/// Waits until nothing has happened for a pause.
async fn hear_last_words(carrier: &Carrier, control: &Control) -> Ended {
    let quiet = async {
        loop {
            let events = carrier.events.get();
            sleep(PAUSE).await;
            if carrier.events.get() == events {
                return;
            }
        }
    };
    tokio::select! {
        // Whoever speaks on and on is cut off.
        () = async {
            let _ = timeout(LAST_WORDS, quiet).await;
            let _ = timeout(LAST_WORDS, hang_up(carrier)).await;
        } => Ended::InOrder,
        _ = carrier.recorder.failure() => Ended::CutOff,
        () = control.kill.cancelled() => Ended::CutOff,
    }
}

/// Ends the streams that are open as if their clients had, so that the recording has an end of each.
async fn hang_up(carrier: &Carrier) {
    loop {
        let first = carrier.open.borrow_mut().pop_first();
        let Some((_, (hanging_up, gone))) = first else { return };
        hanging_up.cancel();
        let _ = timeout(LONGEST_FAREWELL, gone.cancelled()).await;
    }
}

fn spawn_until(closing: &CancellationToken, task: impl Future<Output = ()> + 'static) {
    spawn_local(closing.clone().run_until_cancelled_owned(task));
}

async fn accept_tcp_clients(
    carrier: Rc<Carrier>,
    tasks: TaskTracker,
    socket: tokio::net::TcpListener,
) {
    let serve = |accepted: Accepted<tokio::net::TcpStream>, peer: SocketAddr| {
        // An answer must not wait for the next one.
        let _ = accepted.stream.set_nodelay(true);
        tasks.spawn_local(serve(Rc::clone(&carrier), Box::new(accepted.stream), peer.to_string()));
    };
    accept_tcp(&socket, &unlimited(), serve).await;
}

async fn accept_unix_clients(
    carrier: Rc<Carrier>,
    tasks: TaskTracker,
    socket: tokio::net::UnixListener,
) {
    let slots = unlimited();
    while let Some(Accepted { stream, .. }) = accept_unix(&socket, &slots).await {
        match tokio::net::UnixStream::from_std(stream) {
            Ok(stream) => {
                let peer = "a client".to_owned();
                tasks.spawn_local(serve(Rc::clone(&carrier), Box::new(stream), peer));
            }
            Err(error) => warn!(%error, "a connection could not be served"),
        }
    }
}

/// How many there are is for the system to say.
fn unlimited() -> Slots {
    Slots::new(usize::MAX)
}

/// Serves a client to its end: notes it, connects to the server, and carries between them.
async fn serve(carrier: Rc<Carrier>, client: Box<dyn Stream>, peer: String) {
    let served = async {
        // Before it is dialled: what the server then tells others comes of this.
        let number = carrier.opened().await;
        let server = match carrier.server.connect(DIAL_LIMIT).await {
            Ok(server) => server,
            Err(error) => {
                carrier.note(number, What::ServerEof).await;
                carrier.note(number, What::Gone).await;
                return warn!(
                    "{peer} is turned away: {} cannot be reached: {error}",
                    carrier.server.address()
                );
            }
        };
        let begin = Instant::now();
        debug!(%peer, client = number, "connected");
        let (hanging_up, gone) = (CancellationToken::new(), CancellationToken::new());
        carrier.open.borrow_mut().insert(number, (hanging_up.clone(), gone.clone()));
        stream::carry(&carrier, number, (client, server), &hanging_up).await;
        carrier.open.borrow_mut().remove(&number);
        gone.cancel();
        carrier.note(number, What::Gone).await;
        debug!(%peer, client = number, seconds = begin.elapsed().as_secs(), "gone");
    };
    carrier.ending.run_until_cancelled(served).await;
}
