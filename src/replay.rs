//! Plays one side of a dialogue over real sockets and in real time: the clients' against a server,
//! or the server's for clients that connect. How a dialogue is played is for `play`, what is a
//! side's part for `transcript`; here are the connections.

mod hall;
mod wire;

use std::cell::Cell;
use std::fmt::Display;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::net::Listener;
use crate::net::bind::Bound;
use crate::net::server::Server;
use crate::play::{Cuts, Failure, Play, Stage, TIMEOUT, Task};
use crate::transcript::record::PAUSE;
use crate::transcript::{Action, Dialogue, FileName, Name, Sight, Step};
use hall::Hall;
use wire::SocketWire;

/// How long it is looked for what no step expects when the last step is over.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// Pauses between two steps of one sender are no shorter than this: they have to be pauses for a
/// recorder too, however late it is.
const LEAST_PAUSE: Duration = PAUSE.saturating_mul(2);

/// Characters that are shown of a step.
const SHOWN: usize = 120;

/// How pauses are played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many times as fast.
    Times(f64),
    /// Not at all.
    Max,
}

/// Plays the part of the clients against a server.
///
/// # Errors
/// The first step that went otherwise.
pub async fn play_clients(
    dialogue: &Dialogue,
    part: &Dialogue,
    server: Server,
) -> Result<(), Failure> {
    let stage = NetworkStage {
        door: Rc::new(Door::Server(server)),
        limit: part.directives.timeout.unwrap_or(TIMEOUT),
        early: Rc::default(),
    };
    play(dialogue, part, &stage).await
}

/// Plays the part of the server: `ready` is called once clients can connect. Waits for the first
/// of them as long as it takes.
///
/// # Errors
/// The first step that went otherwise; and those of the system, before it has begun.
pub async fn play_server(
    dialogue: &Dialogue,
    part: &Dialogue,
    bound: Bound,
    ready: impl FnOnce(&Listener) -> io::Result<()>,
) -> io::Result<Result<(), Failure>> {
    let listener = bound.listener.clone();
    let hall = Rc::new(Hall::new(bound)?);
    ready(&listener)?;
    let first = hall.accept().await;
    let stage = NetworkStage {
        door: Rc::new(Door::Hall(hall)),
        limit: part.directives.timeout.unwrap_or(TIMEOUT),
        early: Rc::new(Cell::new(Some(first))),
    };
    Ok(play(dialogue, part, &stage).await)
}

async fn play(dialogue: &Dialogue, part: &Dialogue, stage: &NetworkStage) -> Result<(), Failure> {
    let at = Cell::new(0);
    let (outcome, _) = Play::new(part, stage, part.directives.eol(), Cuts::Steps, &at).run().await;
    outcome.map_err(|failure| {
        // As it stands in the file, and not as it is played.
        let placed = dialogue.steps.iter().find(|placed| placed.line == failure.line);
        match placed {
            Some(placed) if !failure.is_of_end() => {
                Failure { step: shortened(&placed.step.to_string()), ..failure }
            }
            _ => failure,
        }
    })
}

fn shortened(step: &str) -> String {
    match step.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &step[..end]),
        None => step.to_owned(),
    }
}

/// Changes the pauses of a part.
#[must_use]
pub fn at_speed(mut part: Dialogue, speed: Speed) -> Dialogue {
    let Speed::Times(times) = speed else {
        part.steps.retain(|placed| !matches!(placed.step.action, Action::Pass(_)));
        return part;
    };
    for index in 0..part.steps.len() {
        let is_within = is_within_one_sender(&part, index);
        if let Action::Pass(time) = &mut part.steps[index].step.action {
            let scaled = Duration::try_from_secs_f64(time.as_secs_f64() / times).unwrap_or(*time);
            *time = if is_within && *time >= PAUSE { scaled.max(LEAST_PAUSE) } else { scaled };
        }
    }
    part
}

/// Whether the steps around this one are sent by the same side.
fn is_within_one_sender(part: &Dialogue, index: usize) -> bool {
    let sender = |step: &Step| matches!(step.action, Action::Send(_)).then(|| step.who.clone());
    let before = index.checked_sub(1).and_then(|before| sender(&part.steps[before].step));
    let behind = part.steps.get(index + 1).and_then(|placed| sender(&placed.step));
    before.is_some() && before == behind
}

/// A connection of one client.
async fn connect(server: &Server, limit: Duration) -> Result<SocketWire, String> {
    let unreachable =
        |error: &dyn Display| format!("{} cannot be reached: {error}", server.address());
    if server.is_datagram() {
        return server.open().map(SocketWire::of_datagrams).map_err(|error| unreachable(&error));
    }
    let connected = server.connect(limit).await;
    connected.map(SocketWire::of_stream).map_err(|error| unreachable(&error))
}

/// Where connections come from.
enum Door {
    Server(Server),
    Hall(Rc<Hall>),
}

/// The network as the stage of a dialogue.
struct NetworkStage {
    door: Rc<Door>,
    /// How long connecting may take.
    limit: Duration,
    /// A client that is there already.
    early: Rc<Cell<Option<SocketWire>>>,
}

impl Stage for NetworkStage {
    type Wire = SocketWire;

    fn refuses(&self, _: &Step) -> Option<String> {
        None
    }

    fn open(&self, _: Option<&Name>) -> Task<Result<SocketWire, String>> {
        let (door, early, limit) = (Rc::clone(&self.door), Rc::clone(&self.early), self.limit);
        Box::pin(async move {
            match (early.take(), &*door) {
                (Some(wire), _) => Ok(wire),
                (None, Door::Server(server)) => connect(server, limit).await,
                (None, Door::Hall(hall)) => Ok(hall.accept().await),
            }
        })
    }

    fn load(&self) -> Task<Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn reload(&self, _: &FileName) -> Task<Result<(), String>> {
        // Such a step is refused before.
        Box::pin(async { Err("there is no handler to reload".to_owned()) })
    }

    fn settle(&self) -> Task<()> {
        Box::pin(async {})
    }

    fn last_wait(&self) -> Duration {
        LAST_LOOK
    }

    fn poll_sight(&self, _: &Sight, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn unclaimed(&self) -> Vec<String> {
        Vec::new()
    }
}
