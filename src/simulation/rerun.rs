//! Has a script answer what was once sent to a server, from fresh state and at the same distances
//! in time. What was answered then is not known here.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use super::door::Place;
use super::door::{Door, load};
use super::hourglass::Hourglass;
use super::idle::Idle;
use super::stage::Seen;
use super::upstreams::Upstreams;
use super::{LONGEST_RUN, SEED, in_a_runtime, setup};
use crate::net::memory::{Arrival, Far};
use crate::script::Bundle;
use crate::settings::Settings;
use crate::vm::WatchdogHandle;
use crate::worker::Floor;
use crate::world::World;

/// Bytes that a run may answer: a script that floods its peers has no end of them.
const MOST_ANSWERED: usize = 64 << 20;

/// Something that a peer did.
#[derive(Debug, Clone)]
pub struct Cue {
    /// Its connection, by a number that no other has.
    pub conn: u64,
    /// When, since the first one.
    pub at: Duration,
    /// What.
    pub deed: Deed,
    /// A message is whole with it: what is heard from here on is an answer to that.
    pub ends_message: bool,
}

/// What a peer can do.
#[derive(Debug, Clone)]
pub enum Deed {
    /// It connects, or its first datagram is about to come.
    Open(Arc<Place>),
    /// It sends a piece of a stream, or a datagram.
    Send(Arc<[u8]>),
    /// It ends its sending side.
    End,
    /// It is gone.
    Leave,
}

/// What was answered to a cue, until the next one of its connection with which a message is whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The bytes; of datagrams, one behind the other.
    pub bytes: Vec<u8>,
    /// The server has ended the connection behind them, and the peer had not.
    pub ended: bool,
}

/// A run.
pub struct Rerun<'a> {
    /// What is answered, in order.
    pub cues: &'a [Cue],
    /// The wall clock at the first cue, since 1970.
    pub epoch: Duration,
    /// The script that answers.
    pub bundle: &'a Arc<Bundle>,
    /// The server's settings.
    pub settings: &'a Arc<Settings>,
    /// Ends calls that are over their budget.
    pub watchdog: &'a WatchdogHandle,
}

impl Rerun<'_> {
    /// The replies to all cues, by their index; blocks this thread.
    ///
    /// # Errors
    /// The script cannot be loaded from fresh state, answers too much, or does not come to rest.
    pub fn go(&self) -> Result<Vec<Reply>, String> {
        let limited = async |idle: Arc<Idle>| {
            let hourglass = Hourglass::turn(LONGEST_RUN);
            tokio::select! {
                replies = self.play(&idle) => replies,
                () = hourglass.run_out() => {
                    Err("it did not come to rest and was stopped".to_owned())
                }
            }
        };
        in_a_runtime(limited).unwrap_or_else(|error| Err(format!("no runtime: {error}")))
    }

    async fn play(&self, idle: &Idle) -> Result<Vec<Reply>, String> {
        let world = Rc::new(World::new(self.epoch, SEED, |_| {}));
        let upstreams = Upstreams::new(&BTreeMap::new(), Rc::new(Seen::default()));
        let stop = CancellationToken::new();
        let setup = setup(self.settings, None, self.bundle, self.watchdog, &stop);
        let floor = Floor::build(setup, Some(Rc::clone(&world)), upstreams.dialler());
        let floor = Rc::new(floor.map_err(|fault| fault.summary())?);
        load(Rc::clone(&floor), stop).await.map_err(|fault| fault.summary())?;
        let replies = vec![Reply::default(); self.cues.len()];
        let door = Door::new(floor);
        let mut crowd = Crowd { door, idle, peers: HashMap::new(), replies, answered: 0 };
        for (index, cue) in self.cues.iter().enumerate() {
            let wait = cue.at.saturating_sub(world.elapsed());
            if !wait.is_zero() {
                sleep(wait).await;
                crowd.listen().await?;
            }
            crowd.act(index, cue);
            crowd.listen().await?;
        }
        Ok(crowd.replies)
    }
}

/// The peers and their server.
struct Crowd<'a> {
    door: Door,
    idle: &'a Idle,
    peers: HashMap<u64, Peer>,
    replies: Vec<Reply>,
    /// Bytes in `replies`.
    answered: usize,
}

/// A peer, and the cue that what it receives is an answer to.
struct Peer {
    far: Far,
    cue: usize,
    /// What the server has no room for yet.
    unsent: VecDeque<Arc<[u8]>>,
    /// It has ended its sending side, so that an end of the server's is no news.
    has_ended: bool,
    is_over: bool,
}

impl Peer {
    fn new(far: Far, cue: usize) -> Self {
        Self { far, cue, unsent: VecDeque::new(), has_ended: false, is_over: false }
    }

    /// Sends what there is room for; says whether there was any.
    fn send(&mut self) -> bool {
        let mut has_sent = false;
        while let Some(piece) = self.unsent.front() {
            let mut context = Context::from_waker(Waker::noop());
            if self.far.poll_send(&mut context, piece).is_pending() {
                return has_sent;
            }
            // It was taken once; where it is not any more, there is no reply.
            self.unsent.pop_front();
            has_sent = true;
        }
        if self.has_ended && has_sent {
            self.far.end();
        }
        has_sent
    }
}

impl Crowd<'_> {
    fn act(&mut self, index: usize, cue: &Cue) {
        if let Deed::Open(place) = &cue.deed {
            if let Some(far) = self.door.open(place) {
                self.peers.insert(cue.conn, Peer::new(far, index));
            }
            return;
        }
        let Some(peer) = self.peers.get_mut(&cue.conn) else { return };
        if cue.ends_message {
            peer.cue = index;
        }
        match &cue.deed {
            Deed::Send(bytes) => {
                peer.unsent.push_back(Arc::clone(bytes));
                peer.send();
            }
            Deed::End => {
                peer.has_ended = true;
                if peer.unsent.is_empty() {
                    peer.far.end();
                }
            }
            Deed::Leave => drop(self.peers.remove(&cue.conn)),
            Deed::Open(_) => {}
        }
    }

    /// Lets everything come to rest, and takes in what the peers receive.
    async fn listen(&mut self) -> Result<(), String> {
        loop {
            self.idle.rest().await;
            let mut context = Context::from_waker(Waker::noop());
            let mut has_heard = false;
            for peer in self.peers.values_mut().filter(|peer| !peer.is_over) {
                has_heard |= peer.send();
                let reply = &mut self.replies[peer.cue];
                while let Poll::Ready(arrival) = peer.far.poll_receive(&mut context) {
                    match arrival {
                        Arrival::Piece(piece) => {
                            has_heard = true;
                            self.answered += piece.len();
                            reply.bytes.extend(piece);
                            if self.answered > MOST_ANSWERED {
                                let limit = MOST_ANSWERED >> 20;
                                return Err(format!("the answers are over {limit} MiB"));
                            }
                        }
                        Arrival::Eof | Arrival::Reset => {
                            reply.ended = !peer.has_ended;
                            peer.is_over = true;
                            break;
                        }
                    }
                }
            }
            // Whoever waited for room goes on.
            if !has_heard {
                return Ok(());
            }
        }
    }
}
