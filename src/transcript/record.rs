//! The writer of dialogues: is told what happens between clients and a server, and when, and gives
//! the lines of a file. It has no clock and does no input or output.
//!
//! What it gives does not depend on how a stream was cut into pieces: consecutive bytes of one side
//! are one run, up to the next thing that happens or a pause of [`PAUSE`]. What several clients get
//! within one pause is sorted by client, because nobody can see its order. So a recording of a
//! recording that is played is the same but for `=`.

mod clock;
mod run;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::directive::{Directives, Eol};
use super::step::{Action, Deed, Sight, Step};
use super::words::Name;
use crate::net::Transport;
use clock::{Clock, Turn};
use run::{Run, Said, datagram};

pub use run::{BYTES_PER_STEP, LONGEST_LINE};

/// A silence that ends a run, and is written.
pub const PAUSE: Duration = Duration::from_millis(20);

/// Bytes that are kept before they are written, in all.
pub const MOST_KEPT: usize = 64 * 1024;

/// Steps without bytes that wait for the end of line to be known.
const MOST_HELD: usize = 1000;

/// Something that happened to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening<'a> {
    /// It connected, or its first datagram is about to be told of.
    Connected,
    /// It sent this; one datagram, where it sends datagrams.
    Sent(&'a [u8]),
    /// It ended its sending side.
    Eof,
    /// It closed.
    Closed,
    /// It broke off.
    Reset,
    /// The server sent it this.
    Answered(&'a [u8]),
    /// The server ended its sending side.
    ServerEof,
    /// The server broke off.
    ServerReset,
}

/// A dialogue that is being written. Clients are told apart by a number of the caller's.
#[derive(Debug)]
pub struct Recording {
    transport: Transport,
    clients: HashMap<u64, Client>,
    /// How many have connected so far.
    connected: usize,
    eol: Option<Eol>,
    /// Lines that stand below the directives, until these are known.
    held: Option<Vec<String>>,
    open: Open,
    clock: Clock,
    /// Lines that are ready, with what is held before.
    text: String,
    /// Steps in it and before.
    steps: u64,
}

#[derive(Debug, Clone, Copy)]
struct Client {
    /// From 1 on, in the order of connecting.
    number: usize,
    /// Both sides have ended, or it broke off: nothing more is told of it.
    over: bool,
    /// It has ended its side.
    said_all: bool,
    /// The server has ended its side.
    heard_all: bool,
}

/// What is not written yet.
#[derive(Debug, Default)]
enum Open {
    #[default]
    Nothing,
    /// A client has connected, and has said nothing yet.
    Connect { client: usize, at: Duration },
    /// A client is speaking.
    Client { client: usize, run: Run },
    /// The server speaks.
    Server(Answers),
}

/// What the server has said within one pause, to several clients perhaps.
#[derive(Debug, Default)]
struct Answers {
    to: BTreeMap<usize, Vec<Answer>>,
    last: Duration,
    bytes: usize,
}

/// What the server has said to one client.
#[derive(Debug)]
enum Answer {
    Bytes(Run),
    Datagram(Vec<u8>, Duration),
    Eof(Duration),
    Reset(Duration),
}

impl Recording {
    /// An empty one.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
        Self {
            transport,
            clients: HashMap::new(),
            connected: 0,
            eol: None,
            held: Some(Vec::new()),
            open: Open::Nothing,
            clock: Clock::default(),
            text: String::new(),
            steps: 0,
        }
    }

    /// Something happened `at` this time since some begin; times never go back by much.
    pub fn note(&mut self, client: u64, at: Duration, what: Happening<'_>) {
        self.pass(at);
        if what == Happening::Connected {
            return self.connect(client, at);
        }
        let Some(known) = self.clients.get_mut(&client).filter(|known| !known.over) else { return };
        match what {
            Happening::Eof if known.said_all => return,
            Happening::ServerEof if known.heard_all => return,
            Happening::Eof => known.said_all = true,
            Happening::ServerEof => known.heard_all = true,
            Happening::Closed | Happening::Reset | Happening::ServerReset => known.over = true,
            Happening::Connected | Happening::Sent(_) | Happening::Answered(_) => {}
        }
        known.over |= known.said_all && known.heard_all;
        let number = known.number;
        match what {
            Happening::Connected => {}
            Happening::Sent(bytes) => self.client_says(number, at, bytes),
            Happening::Eof => self.client_does(number, at, Deed::Eof),
            Happening::Closed => self.client_does(number, at, Deed::Close),
            Happening::Reset => self.client_does(number, at, Deed::Reset),
            Happening::Answered(bytes) => self.server_says(number, at, bytes),
            Happening::ServerEof => self.server_does(number, at, Answer::Eof(at)),
            Happening::ServerReset => self.server_does(number, at, Answer::Reset(at)),
        }
    }

    /// Nothing more is told of this client.
    pub fn forget(&mut self, client: u64) {
        self.clients.remove(&client);
    }

    /// It is so late now: a run that is followed by silence is written.
    pub fn pass(&mut self, now: Duration) {
        if self.due().is_some_and(|due| due <= now) {
            self.close();
        }
    }

    /// When [`Recording::pass`] has something to do, if nothing else happens before.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        match &self.open {
            Open::Nothing | Open::Connect { .. } => None,
            Open::Client { run, .. } => Some(run.last + PAUSE),
            Open::Server(said) => Some(said.last + PAUSE),
        }
    }

    /// It ends: everything is written.
    pub fn finish(&mut self) {
        self.close();
        self.begin();
    }

    /// The lines that are ready, whole ones, each to be asked for once; and how many steps they are
    /// the end of.
    pub fn take(&mut self) -> (String, u64) {
        (std::mem::take(&mut self.text), self.steps)
    }

    fn connect(&mut self, client: u64, at: Duration) {
        self.connected += 1;
        let number = self.connected;
        let known = Client { number, over: false, said_all: false, heard_all: false };
        self.clients.insert(client, known);
        if !self.transport.is_datagram() {
            self.close();
            self.open = Open::Connect { client: number, at };
        }
    }

    fn client_says(&mut self, number: usize, at: Duration, bytes: &[u8]) {
        if self.transport.is_datagram() {
            self.close();
            let said = datagram(bytes, &mut self.eol);
            return self.say((number, false), Some(at), at, said);
        }
        match &mut self.open {
            Open::Client { client, run } if *client == number => run.push(bytes, at),
            Open::Connect { client, .. } if *client == number => {
                self.open = Open::Client { client: number, run: Run::new(bytes, at) };
            }
            _ => {
                self.close();
                self.open = Open::Client { client: number, run: Run::new(bytes, at) };
            }
        }
        self.write_whole_steps();
    }

    fn client_does(&mut self, number: usize, at: Duration, deed: Deed) {
        self.close();
        self.write((number, false), Some(at), at, Action::Do(deed), false);
    }

    fn server_says(&mut self, number: usize, at: Duration, bytes: &[u8]) {
        if self.transport.is_datagram() {
            return self.server_does(number, at, Answer::Datagram(bytes.to_vec(), at));
        }
        self.answer(number, at, bytes.len(), |answers| match answers.last_mut() {
            Some(Answer::Bytes(run)) => run.push(bytes, at),
            _ => answers.push(Answer::Bytes(Run::new(bytes, at))),
        });
    }

    fn server_does(&mut self, number: usize, at: Duration, answer: Answer) {
        // Even what holds no byte takes room.
        let length = answer.len() + size_of::<Answer>();
        self.answer(number, at, length, |answers| answers.push(answer));
    }

    /// Adds to what the server says to a client.
    fn answer(
        &mut self,
        number: usize,
        at: Duration,
        length: usize,
        add: impl FnOnce(&mut Vec<Answer>),
    ) {
        let mut said = match std::mem::take(&mut self.open) {
            Open::Server(said) => said,
            open => {
                self.open = open;
                self.close();
                Answers::default()
            }
        };
        add(said.to.entry(number).or_default());
        said.last = at;
        said.bytes += length;
        self.open = Open::Server(said);
        self.write_whole_steps();
    }

    /// Writes what more bytes cannot change, so that little is lost if the program is killed.
    fn write_whole_steps(&mut self) {
        match std::mem::take(&mut self.open) {
            Open::Client { client, mut run } => {
                self.write_run((client, false), &mut run, false);
                self.open = Open::Client { client, run };
            }
            // What others get may belong before it.
            Open::Server(mut said) if self.connected == 1 || said.bytes > MOST_KEPT => {
                for (number, answers) in &mut said.to {
                    self.write_answers(*number, answers, false);
                }
                said.to.retain(|_, answers| !answers.is_empty());
                said.bytes = said.to.values().flatten().map(Answer::len).sum();
                self.open = Open::Server(said);
            }
            open => self.open = open,
        }
    }

    /// Writes what is open.
    fn close(&mut self) {
        match std::mem::take(&mut self.open) {
            Open::Nothing => {}
            Open::Connect { client, at } => {
                self.write((client, false), Some(at), at, Action::Do(Deed::Connect), false);
            }
            Open::Client { client, mut run } => self.write_run((client, false), &mut run, true),
            Open::Server(said) => {
                for (number, mut answers) in said.to {
                    self.write_answers(number, &mut answers, true);
                }
            }
        }
    }

    /// Writes what the server has said to one client; what it may go on with only if it has `ended`.
    fn write_answers(&mut self, number: usize, answers: &mut Vec<Answer>, ended: bool) {
        let turn = (number, true);
        let count = answers.len();
        let mut open = None;
        for (index, answer) in answers.drain(..).enumerate() {
            match answer {
                Answer::Bytes(mut run) => {
                    let ended = ended || index + 1 < count;
                    self.write_run(turn, &mut run, ended);
                    open = (!ended).then_some(Answer::Bytes(run));
                }
                Answer::Datagram(data, at) => {
                    let said = datagram(&data, &mut self.eol);
                    self.say(turn, Some(at), at, said);
                }
                Answer::Eof(at) => self.write(turn, Some(at), at, Action::See(Sight::Eof), false),
                Answer::Reset(at) => {
                    self.write(turn, Some(at), at, Action::See(Sight::Reset), false);
                }
            }
        }
        answers.extend(open);
    }

    fn write_run(&mut self, turn: Turn, run: &mut Run, ended: bool) {
        while let Some((said, at)) = run.next(&mut self.eol, ended) {
            self.say(turn, at, run.last, said);
        }
    }

    fn say(&mut self, turn: Turn, at: Option<Duration>, last: Duration, said: Said) {
        let action = said.action(turn.1);
        self.write(turn, at, last, action, true);
    }

    /// Writes a step that began `at`, if a pause may stand before it, and lasted until `last`.
    /// With bytes the directives are written, if they are not yet.
    fn write(
        &mut self,
        turn: Turn,
        at: Option<Duration>,
        last: Duration,
        action: Action,
        bytes: bool,
    ) {
        if bytes {
            self.begin();
        }
        if let Some(pause) = self.clock.advance(turn, at, last) {
            self.line(&Step { who: None, action: Action::Pass(pause) });
        }
        let who = (turn.0 > 1).then(|| Name::new(&format!("c{}", turn.0))).flatten();
        self.line(&Step { who, action });
        self.steps += 1;
    }

    fn line(&mut self, step: &Step) {
        let line = format!("{step}\n");
        match &mut self.held {
            Some(held) => {
                held.push(line);
                if held.len() > MOST_HELD {
                    self.begin();
                }
            }
            None => self.text += &line,
        }
    }

    /// Writes the directives, and what waits for them.
    fn begin(&mut self) {
        let Some(held) = self.held.take() else { return };
        let eol = *self.eol.get_or_insert(Eol::Lf);
        let directives = Directives {
            transport: Some(self.transport).filter(|transport| *transport != Transport::Tcp),
            eol: Some(eol).filter(|eol| *eol != Eol::Lf),
            ..Directives::default()
        };
        self.text += &directives.to_string();
        self.text += &held.concat();
    }
}

impl Answer {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(run) => run.len(),
            Self::Datagram(data, _) => data.len(),
            Self::Eof(_) | Self::Reset(_) => 0,
        }
    }
}
