//! Innocent connections that exchange messages while something else goes wrong, each in a thread
//! of its own, and the worst answer that any of them got.

use crate::support::{Client, Server};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// An answer later than this means a worker that hung; a timing below it decides no test.
const HUNG: Duration = Duration::from_secs(8);

/// Twenty connections that exchange messages until the crowd is dismissed.
pub struct Crowd {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Duration>>,
}

impl Crowd {
    /// Connects them and waits until each has had an answer. The handler has to answer a message
    /// with itself.
    pub fn gather(server: &Server) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let answers = Arc::<AtomicUsize>::default();
        let threads = (0..20).map(|number| {
            let mut client = server.tcp();
            client.exchange(b"hello", b"hello");
            let (stop, answers) = (Arc::clone(&stop), Arc::clone(&answers));
            std::thread::spawn(move || exchange(client, number, &stop, &answers))
        });
        let threads = threads.collect();
        Self { stop, answers, threads }
    }

    /// How many answers came so far.
    pub fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    /// Ends the exchange; prints the worst answer, and fails only where a connection hung or lost
    /// an answer.
    pub fn dismiss(mut self, name: &str) {
        self.stop.store(true, Ordering::Relaxed);
        let worst = self.threads.drain(..).map(|thread| thread.join().unwrap()).max().unwrap();
        eprintln!("{name}: worst answer of 20 others {worst:.1?}, {} answers", self.answers());
        assert!(worst < HUNG, "others waited {worst:?}");
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn exchange(
    mut client: Client,
    number: usize,
    stop: &AtomicBool,
    answers: &AtomicUsize,
) -> Duration {
    let mut worst = Duration::ZERO;
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let message = format!("{number} says {count}");
        let start = Instant::now();
        client.exchange(message.as_bytes(), message.as_bytes());
        worst = worst.max(start.elapsed());
        count += 1;
        answers.fetch_add(1, Ordering::Relaxed);
        // The others would take all of a small machine.
        std::thread::sleep(Duration::from_millis(2));
    }
    worst
}
