//! Accepting connections: within `--max-conns`, and through every error, because a server that
//! stops accepting has stopped.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tracing::{debug, warn};

/// How long accepting rests when the system has no descriptor or no memory left; connections
/// wait in the backlog meanwhile.
const REST: Duration = Duration::from_millis(100);

/// Rests between two warnings about that.
const RESTS_PER_WARNING: u32 = 100;

/// The stream connections that may be open in the whole process.
pub struct Slots {
    free: Arc<Semaphore>,
    warned: AtomicBool,
}

impl Slots {
    /// As many as `--max-conns` says.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let free = Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { free, warned: AtomicBool::new(false) }
    }

    /// A free one, if there is one.
    pub fn try_take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// Waits for a free one; the connection that waits is the only one to have left the backlog.
    /// `None` never happens while the server runs.
    async fn take(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(slot) = Arc::clone(&self.free).try_acquire_owned() {
            return Some(slot);
        }
        if !self.warned.swap(true, Ordering::Relaxed) {
            warn!(
                "all connections that --max-conns allows are open: new ones wait until one closes"
            );
        }
        Arc::clone(&self.free).acquire_owned().await.ok()
    }
}

/// A connection, and its place among those that may be open.
pub struct Accepted<S> {
    /// The connection.
    pub stream: S,
    /// Given back when dropped.
    pub slot: OwnedSemaphorePermit,
}

/// Accepts TCP connections for ever.
pub async fn accept_tcp(
    listener: &TcpListener,
    slots: &Slots,
    mut serve: impl FnMut(Accepted<TcpStream>, SocketAddr),
) {
    let mut troubles = Troubles::default();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                troubles.over();
                let Some(slot) = slots.take().await else { return };
                serve(Accepted { stream, slot }, peer);
            }
            Err(error) => troubles.rest(&error).await,
        }
    }
}

/// Accepts the next Unix connection; `None` once there are no places any more.
pub async fn accept_unix(
    listener: &UnixListener,
    slots: &Slots,
) -> Option<Accepted<std::os::unix::net::UnixStream>> {
    let mut troubles = Troubles::default();
    loop {
        match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => return Some(Accepted { stream, slot: slots.take().await? }),
            Err(error) => troubles.rest(&error).await,
        }
    }
}

/// Errors of accepting in a row.
#[derive(Default)]
struct Troubles {
    rests: u32,
}

impl Troubles {
    fn over(&mut self) {
        self.rests = 0;
    }

    /// Tells what failed, and waits as long as it takes to be worth another try.
    async fn rest(&mut self, error: &io::Error) {
        if concerns_one_peer(error) {
            return debug!(%error, "a peer left before it was accepted");
        }
        if self.rests.is_multiple_of(RESTS_PER_WARNING) {
            warn!(
                %error,
                "no connection can be accepted: they wait in the backlog; where descriptors are \
                 short, raise the limit (ulimit -n)"
            );
        }
        self.rests += 1;
        sleep(REST).await;
    }
}

/// Errors of one connection that ended before it was accepted; see accept(2).
fn concerns_one_peer(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(
            Errno::ECONNABORTED
                | Errno::ECONNRESET
                | Errno::EINTR
                | Errno::EPROTO
                | Errno::ENETDOWN
                | Errno::ENETUNREACH
                | Errno::EHOSTDOWN
                | Errno::EHOSTUNREACH
                | Errno::EPERM
        )
    )
}
