//! A limit for what has a clock of its own: in CPU time, so that nothing fails because a machine has
//! other things to do, and in real time for what uses none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;

/// How often is looked at what was used.
const LOOK: Duration = Duration::from_millis(500);

/// Real time that may pass for each second of the limit.
const SLOWEST: u32 = 12;

/// Runs out after its time, unless it is dropped before.
pub(super) struct Hourglass {
    limit: Duration,
    began: Instant,
    /// What this thread had used when it began.
    used: Duration,
    look: Arc<Notify>,
    dropped: Arc<AtomicBool>,
    /// None where the system refused a thread: then there is no limit.
    thread: Option<JoinHandle<()>>,
}

impl Hourglass {
    /// Begins to run, for this thread.
    pub(super) fn turn(limit: Duration) -> Self {
        let look = Arc::new(Notify::new());
        let dropped = Arc::new(AtomicBool::new(false));
        let (telling, stopped) = (Arc::clone(&look), Arc::clone(&dropped));
        let began = Instant::now();
        let wait = move || {
            // Before that it cannot have run out.
            let mut next = began + limit;
            while !stopped.load(Ordering::Acquire) {
                let left = next.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    telling.notify_one();
                    next += LOOK;
                } else {
                    thread::park_timeout(left);
                }
            }
        };
        let thread = thread::Builder::new().name("hourglass".to_owned()).spawn(wait).ok();
        Self { limit, began, used: cpu_time(), look, dropped, thread }
    }

    /// Resolves when it has run out.
    pub(super) async fn run_out(&self) {
        loop {
            self.look.notified().await;
            let used = cpu_time().saturating_sub(self.used);
            if used >= self.limit || self.began.elapsed() >= self.limit * SLOWEST {
                return;
            }
        }
    }
}

/// What this thread has used.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

impl Drop for Hourglass {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It does not panic, and there would be nothing left to do.
            let _ = thread.join();
        }
    }
}
