//! The part of one connection in a dialogue: where it is, what it has to send, what it waits for.
//! Pure: times are nanoseconds, and bytes are handed in and out.

use std::collections::VecDeque;
use std::time::Duration;

use crate::transcript::{Check, Client, Expectation, Turn, TurnKind, Variables, Verdict};

/// One connection in a dialogue.
pub(super) struct Player<'p> {
    client: &'p Client,
    is_datagram: bool,
    /// The turn that is next, or under way.
    next: usize,
    check: Option<Check<'p>>,
    variables: Variables,
    /// What a stream has brought, and how much of it is taken.
    received: Vec<u8>,
    taken: usize,
    datagrams: VecDeque<Vec<u8>>,
    /// The server has ended its stream.
    /// A round has begun on this connection.
    begun: bool,
    ended: bool,
    /// What is to be sent, if anything is, and how much of it has left.
    out: Option<Vec<u8>>,
    left: usize,
    /// When the turn that lets time pass is over.
    until: Option<u64>,
}

/// What a player needs to go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// That this is sent: [`Player::out`].
    Room,
    /// Bytes, or the end of the stream.
    Bytes,
    /// That it is this late.
    Time(u64),
    /// That our side of the stream is ended.
    Eof,
    /// Nothing: the dialogue is over.
    Over,
    /// Nothing helps: the server says something else.
    Broken(Broken),
}

/// Where a server departed from a dialogue, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// `FILE:LINE`
    pub place: String,
    /// The step as it is written.
    pub step: String,
    /// What was expected and what came, in lines.
    pub difference: String,
}

/// Whether a dialogue ends its connection, so that it needs a new one each time.
///
/// # Errors
/// When it cannot be played over and over.
pub fn ends_connection(client: &Client) -> Result<bool, String> {
    // Our end of the connection, the server's, and both.
    let (mut ours, mut theirs, mut closed) = (false, false, false);
    for (place, turn) in client.turns.iter().enumerate() {
        let why = match &turn.kind {
            _ if closed => "stands behind the end of the connection",
            TurnKind::Connect if place > 0 => "can be played as the first step only",
            TurnKind::Reset => "cannot be played here",
            TurnKind::Send(_) if ours => "stands behind the end of what is sent",
            TurnKind::Expect(_) if theirs => "stands behind the end of what is received",
            kind => {
                ours |= matches!(kind, TurnKind::Eof);
                theirs |= matches!(kind, TurnKind::SeeEof);
                closed |= matches!(kind, TurnKind::Close);
                continue;
            }
        };
        return Err(format!("{}:{}: '{}' {why}", client.file, turn.line, turn.text));
    }
    let awaits = |turn: &Turn| matches!(turn.kind, TurnKind::Expect(_) | TurnKind::SeeEof);
    if !client.turns.iter().any(awaits) {
        return Err(format!("{}: no step expects an answer, which is what is timed", client.file));
    }
    let connects = client.turns.iter().any(|turn| matches!(turn.kind, TurnKind::Connect));
    Ok(ours || theirs || closed || connects)
}

impl<'p> Player<'p> {
    pub(super) fn new(client: &'p Client, is_datagram: bool) -> Self {
        Self {
            client,
            is_datagram,
            next: 0,
            check: None,
            variables: Variables::default(),
            received: Vec::new(),
            taken: 0,
            datagrams: VecDeque::new(),
            ended: false,
            begun: false,
            out: None,
            left: 0,
            until: None,
        }
    }

    /// Begins anew on another connection.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.client, self.is_datagram);
    }

    /// Begins anew on the same connection.
    pub(super) fn begin(&mut self) {
        self.next = 0;
        self.variables = Variables::default();
    }

    /// How many turns are over.
    pub(super) fn turns_over(&self) -> usize {
        self.next
    }

    /// Bytes, or a datagram, have come.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        if self.is_datagram {
            self.datagrams.push_back(bytes.to_vec());
        } else {
            self.received.extend_from_slice(bytes);
        }
    }

    /// The server has ended its stream.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// What has come and no step has taken.
    pub(super) fn unread(&self) -> &[u8] {
        let datagram = self.datagrams.front().map(Vec::as_slice);
        datagram.unwrap_or(&self.received[self.taken..])
    }

    /// What is to be sent, if anything is: of a stream what has not left of it.
    pub(super) fn out(&self) -> Option<&[u8]> {
        self.out.as_ref().map(|out| &out[self.left..])
    }

    /// So many bytes of it have left; of a datagram all.
    pub(super) fn note_sent(&mut self, count: usize) {
        self.left += count;
        if self.is_datagram || self.out.as_ref().is_some_and(|out| out.len() <= self.left) {
            (self.out, self.left) = (None, 0);
        }
    }

    /// Whether a round has begun on this connection.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Goes on as far as it can.
    pub(super) fn go_on(&mut self, now: u64) -> Need {
        self.begun = true;
        let client = self.client;
        loop {
            if self.out.is_some() {
                return Need::Room;
            }
            let Some(turn) = client.turns.get(self.next) else { return Need::Over };
            let need = match &turn.kind {
                TurnKind::Send(bytes) => {
                    let bytes = bytes.fill(&self.variables).into_owned();
                    // An empty datagram is sent, too.
                    self.out = (self.is_datagram || !bytes.is_empty()).then_some(bytes);
                    None
                }
                TurnKind::Expect(expectation) => self.expect(turn, expectation),
                TurnKind::Silence(_) | TurnKind::SeeEof if !self.unread().is_empty() => {
                    Some(self.broken(turn, format!("got       {}", shown(self.unread()))))
                }
                TurnKind::Pass(time) | TurnKind::Silence(time) => self.wait(*time, now),
                TurnKind::SeeEof => (!self.ended).then_some(Need::Bytes),
                TurnKind::Eof => {
                    self.next += 1;
                    return Need::Eof;
                }
                TurnKind::Connect | TurnKind::Close | TurnKind::Reset => None,
            };
            match need {
                Some(need) => return need,
                None => self.next += 1,
            }
        }
    }

    fn expect(&mut self, turn: &Turn, expectation: &'p Expectation) -> Option<Need> {
        if self.is_datagram {
            let Some(datagram) = self.datagrams.pop_front() else { return Some(Need::Bytes) };
            let compared = expectation.datagram(&datagram, &mut self.variables);
            return compared.err().map(|it| self.broken(turn, it.to_string()));
        }
        let check = self.check.get_or_insert_with(|| expectation.begin(&self.variables));
        let received = &self.received[self.taken..];
        let verdict = if self.ended {
            check.end(received, &mut self.variables)
        } else {
            check.read(received, &mut self.variables)
        };
        match verdict {
            Verdict::Matched(count) => {
                self.check = None;
                self.taken += count;
                if self.taken == self.received.len() {
                    self.received.clear();
                    self.taken = 0;
                }
                None
            }
            Verdict::More => Some(Need::Bytes),
            Verdict::Differs(difference) => Some(self.broken(turn, difference.to_string())),
        }
    }

    fn wait(&mut self, time: Duration, now: u64) -> Option<Need> {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let until = *self.until.get_or_insert(now.saturating_add(time));
        if until > now {
            return Some(Need::Time(until));
        }
        self.until = None;
        None
    }

    fn broken(&self, turn: &Turn, difference: String) -> Need {
        let place = format!("{}:{}", self.client.file, turn.line);
        Need::Broken(Broken { place, step: turn.text.clone(), difference })
    }

    /// What it waits for, in one line.
    pub(super) fn awaited(&self) -> String {
        let Some(turn) = self.client.turns.get(self.next) else { return String::new() };
        let got = match &self.check {
            Some(check) => check.missing(self.unread()).got().to_owned(),
            None => shown(self.unread()),
        };
        format!("{}:{}: '{}' got {got}", self.client.file, turn.line, turn.text)
    }
}

fn shown(bytes: &[u8]) -> String {
    match bytes {
        [] => "nothing".to_owned(),
        _ => format!("\"{:.64}\"", crate::text::Printable(bytes)),
    }
}
