//! A limit in real time for what has a clock of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Runs out after its time, unless it is dropped before.
pub(super) struct Hourglass {
    over: Arc<Notify>,
    dropped: Arc<AtomicBool>,
    /// None where the system refused a thread: then there is no limit.
    thread: Option<JoinHandle<()>>,
}

impl Hourglass {
    /// Begins to run.
    pub(super) fn turn(limit: Duration) -> Self {
        let over = Arc::new(Notify::new());
        let dropped = Arc::new(AtomicBool::new(false));
        let (telling, stopped) = (Arc::clone(&over), Arc::clone(&dropped));
        let end = Instant::now() + limit;
        let wait = move || {
            while !stopped.load(Ordering::Acquire) {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return telling.notify_one();
                }
                thread::park_timeout(left);
            }
        };
        let thread = thread::Builder::new().name("hourglass".to_owned()).spawn(wait).ok();
        Self { over, dropped, thread }
    }

    /// Resolves when it has run out.
    pub(super) async fn run_out(&self) {
        self.over.notified().await;
    }
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
