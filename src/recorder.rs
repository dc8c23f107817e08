//! A recording on its way into a file: what happens between clients and a server is noted, a thread
//! has `transcript` make a dialogue of it and writes that. What is written is whole steps, so that
//! the file can be read at any time, also after a crash; where it cannot be written to any more, what
//! is there stays, and whoever notes is told. Who notes what, and what then becomes of the program,
//! is for others.

mod output;
mod tap;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::net::Transport;
use crate::transcript::record::{Happening, Recording};

pub use output::{Output, Place};
pub use tap::Recorded;

/// Bytes that may wait to be written. A proxy waits where there are more; a server does not.
const MOST_WAITING: u32 = 16 << 20;

/// What a note takes beside its bytes.
const NOTE_SIZE: u32 = 64;

/// Notes that may wait: as many as there is room for.
const MOST_NOTES: usize = (MOST_WAITING / NOTE_SIZE) as usize;

/// How long the last notes may take to be written.
const FINISH_LIMIT: Duration = Duration::from_secs(10);

/// Text that is written at once.
const PIECE: usize = 256 * 1024;

/// Something to be recorded.
#[derive(Debug)]
pub enum What {
    /// A client has connected.
    Connected(Transport),
    /// A client has sent this.
    Sent(Arc<[u8]>),
    /// It was sent this.
    Answered(Arc<[u8]>),
    /// A client has ended its sending side.
    Eof,
    /// A client has closed.
    Closed,
    /// A client has broken off.
    Reset,
    /// The server has ended its sending side.
    ServerEof,
    /// The server has broken off.
    ServerReset,
    /// Nothing more is said of a client.
    Gone,
}

/// Why a recording ended before its time.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

/// What has become of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Steps that are in the file.
    pub steps: u64,
}

/// Takes notes; clones write to the same file.
#[derive(Clone)]
pub struct Recorder {
    notes: mpsc::Sender<Note>,
    shared: Arc<Shared>,
}

struct Shared {
    /// Bytes that may still be noted.
    room: Semaphore,
    /// The thread is to write what is noted, and to end.
    finishing: CancellationToken,
    /// Nothing is written any more.
    failed: CancellationToken,
    failure: OnceLock<Failure>,
    steps: AtomicU64,
}

struct Note {
    client: u64,
    at: Instant,
    what: What,
}

/// The thread that writes.
pub struct Writer {
    shared: Arc<Shared>,
    ended: oneshot::Receiver<()>,
}

/// Starts the thread that writes to a file.
///
/// # Errors
/// The system refused a thread.
pub fn start(output: Output) -> io::Result<(Recorder, Writer)> {
    let (notes, received) = mpsc::channel(MOST_NOTES);
    let (ending, ended) = oneshot::channel();
    let shared = Arc::new(Shared {
        room: Semaphore::new(MOST_WAITING as usize),
        finishing: CancellationToken::new(),
        failed: CancellationToken::new(),
        failure: OnceLock::new(),
        steps: AtomicU64::new(0),
    });
    let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
    let scribe =
        Scribe { shared: Arc::clone(&shared), output, recording: None, began: Instant::now() };
    thread::Builder::new().name("recorder".to_owned()).spawn(move || {
        runtime.block_on(scribe.run(received));
        // Who waits for it may have been stopped.
        let _ = ending.send(());
    })?;
    Ok((Recorder { notes, shared: Arc::clone(&shared) }, Writer { shared, ended }))
}

impl Recorder {
    /// Notes something; waits where much is not written yet. Where nothing is written any more, it
    /// is dropped.
    pub async fn note(&self, client: u64, what: What) {
        let size = what.size();
        tokio::select! {
            room = self.shared.room.acquire_many(size) => {
                if let Ok(room) = room {
                    room.forget();
                    let note = Note { client, at: Instant::now(), what };
                    // Without a thread there is a failure already.
                    let _ = self.notes.send(note).await;
                }
            }
            () = self.shared.failed.cancelled() => {}
        }
    }

    /// Notes something at once. Where too much is not written yet, the recording ends: its file is
    /// too slow for somebody who cannot wait.
    pub fn note_at_once(&self, client: u64, what: What) {
        if self.shared.failed.is_cancelled() {
            return;
        }
        let size = what.size();
        let note = Note { client, at: Instant::now(), what };
        if let Ok(room) = self.shared.room.try_acquire_many(size) {
            room.forget();
            // Where it has finished, there is nothing to tell of.
            if !matches!(self.notes.try_send(note), Err(TrySendError::Full(_))) {
                return;
            }
        }
        let why = format!("the file is too slow, {} MiB wait to be written", MOST_WAITING >> 20);
        self.shared.fail(why);
    }

    /// Resolves once nothing is written any more, with why.
    pub async fn failure(&self) -> Failure {
        self.shared.failed.cancelled().await;
        self.shared.failure.get().cloned().unwrap_or_else(|| Failure("it has ended".to_owned()))
    }
}

impl Writer {
    /// Has what is noted by now be written, and gives what is in the file.
    ///
    /// # Errors
    /// Not all of it is.
    pub async fn finish(self) -> Result<Summary, Failure> {
        self.shared.finishing.cancel();
        let ended = timeout(FINISH_LIMIT, self.ended).await;
        match self.shared.failure.get() {
            Some(failure) => Err(failure.clone()),
            None if !matches!(ended, Ok(Ok(()))) => {
                let seconds = FINISH_LIMIT.as_secs();
                Err(Failure(format!("the file is too slow, not all is written after {seconds} s")))
            }
            None => Ok(Summary { steps: self.shared.steps.load(Ordering::Acquire) }),
        }
    }
}

impl Shared {
    /// Nothing more is noted; the first reason counts.
    fn fail(&self, why: String) {
        let _ = self.failure.set(Failure(why));
        self.failed.cancel();
    }
}

impl What {
    /// The room that it takes, in bytes.
    fn size(&self) -> u32 {
        let bytes = match self {
            Self::Sent(bytes) | Self::Answered(bytes) => bytes.len(),
            _ => 0,
        };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        bytes.saturating_add(NOTE_SIZE).min(MOST_WAITING)
    }

    fn happening(&self) -> Option<Happening<'_>> {
        Some(match self {
            Self::Connected(_) => Happening::Connected,
            Self::Sent(bytes) => Happening::Sent(bytes),
            Self::Answered(bytes) => Happening::Answered(bytes),
            Self::Eof => Happening::Eof,
            Self::Closed => Happening::Closed,
            Self::Reset => Happening::Reset,
            Self::ServerEof => Happening::ServerEof,
            Self::ServerReset => Happening::ServerReset,
            Self::Gone => return None,
        })
    }
}

/// What the thread works with.
struct Scribe {
    shared: Arc<Shared>,
    output: Output,
    /// None before the first client, which says how clients connect.
    recording: Option<Recording>,
    began: Instant,
}

impl Scribe {
    async fn run(mut self, mut notes: mpsc::Receiver<Note>) {
        let shared = Arc::clone(&self.shared);
        let written = loop {
            let due = self.recording.as_ref().and_then(Recording::due);
            tokio::select! {
                biased;
                () = shared.finishing.cancelled() => break self.finish(&mut notes),
                // It was too slow for somebody.
                () = shared.failed.cancelled() => break self.finish(&mut notes),
                note = notes.recv() => match note {
                    Some(note) => self.take_all(&note, &mut notes),
                    None => break self.finish(&mut notes),
                },
                () = at(due.map(|due| self.began + due)) => self.pass(),
            }
            if let Err(error) = self.write() {
                break Err(error);
            }
        };
        if let Err(error) = written {
            self.shared.fail(error.to_string());
        }
    }

    /// Takes a note, and those behind it, until there is much to write.
    fn take_all(&mut self, first: &Note, notes: &mut mpsc::Receiver<Note>) {
        let mut bytes = self.take(first);
        while bytes < PIECE {
            let Ok(note) = notes.try_recv() else { break };
            bytes += self.take(&note);
        }
    }

    fn take(&mut self, note: &Note) -> usize {
        let size = note.what.size() as usize;
        self.shared.room.add_permits(size);
        if let What::Connected(transport) = note.what {
            self.recording.get_or_insert_with(|| Recording::new(transport));
        }
        let Some(recording) = &mut self.recording else { return size };
        match note.what.happening() {
            Some(what) => recording.note(note.client, note.at - self.began, what),
            None => recording.forget(note.client),
        }
        size
    }

    fn pass(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.pass(self.began.elapsed());
        }
    }

    /// Writes everything that is noted by now.
    fn finish(&mut self, notes: &mut mpsc::Receiver<Note>) -> io::Result<()> {
        notes.close();
        while let Ok(note) = notes.try_recv() {
            self.take_all(&note, notes);
            self.write()?;
        }
        if let Some(recording) = &mut self.recording {
            recording.finish();
        }
        self.write()?;
        self.output.finish()
    }

    fn write(&mut self) -> io::Result<()> {
        let Some(recording) = &mut self.recording else { return Ok(()) };
        let (text, steps) = recording.take();
        if !text.is_empty() {
            self.output.write(&text)?;
            self.shared.steps.store(steps, Ordering::Release);
        }
        Ok(())
    }
}

/// Resolves at this time; never, where there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
