//! One connection: its socket, the messages in flight, the answer that is arriving. What is done
//! with it is for the engine.

use std::collections::VecDeque;

use super::exchange::Guess;
use crate::frame::Progress;
use crate::net::client::ClientSocket;

/// A message that has no answer yet. Times are nanoseconds since the begin of the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub number: u64,
    /// When it was to leave.
    pub due: u64,
    /// When it was given to the link.
    pub sent: u64,
}

/// What a link is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing, until it is told to.
    Closed,
    /// The connection is on its way.
    Connecting,
    /// The server's backlog is full: tries again soon.
    Backlogged,
    /// Has failed, and tries again later.
    Pausing,
    /// Connected.
    Open,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Link {
    pub socket: Option<ClientSocket>,
    pub phase: Phase,
    /// Since when the connection is wanted.
    pub since: u64,
    /// When something was heard of the server.
    pub heard: u64,
    /// The server has sent something over this connection.
    pub spoke: bool,
    /// When it is to try again.
    pub retry_at: u64,
    /// The oldest is the first. Those that have not left are at the end.
    pub flights: VecDeque<Flight>,
    /// How many have not left, or not whole.
    pub unsent: usize,
    /// How much of the first of these has left.
    pub offset: usize,
    /// How much of a raw answer has arrived, and what it may be still.
    pub taken: usize,
    pub guess: Guess,
    /// The begin of a framed answer, and how far it was searched.
    pub rest: Vec<u8>,
    pub progress: Progress,
    /// How often it stands in the queue for messages that are due.
    pub queued: usize,
    /// The poll is to tell when there is room to send.
    pub awaits_room: bool,
    /// Numbers of datagrams that were given up, as far as stamps show them.
    pub given_up: VecDeque<u64>,
    /// Not all of them are known any more.
    pub forgot: bool,
}

impl Link {
    pub(super) fn new(guess: Guess) -> Self {
        Self {
            socket: None,
            phase: Phase::Closed,
            since: 0,
            heard: 0,
            spoke: false,
            retry_at: 0,
            flights: VecDeque::new(),
            unsent: 0,
            offset: 0,
            taken: 0,
            guess,
            rest: Vec::new(),
            progress: Progress::default(),
            queued: 0,
            awaits_room: false,
            given_up: VecDeque::new(),
            forgot: false,
        }
    }

    /// Forgets the connection; what is in flight stays.
    pub(super) fn disconnect(&mut self) {
        self.socket = None;
        self.spoke = false;
        self.offset = 0;
        self.taken = 0;
        self.rest = Vec::new();
        self.progress = Progress::default();
        self.awaits_room = false;
    }

    /// Whether nothing of the oldest message in flight can have been answered: not all of it left.
    pub(super) fn oldest_is_unsent(&self) -> bool {
        self.flights.len() <= self.unsent
    }

    /// Takes `count` bytes of messages of `wire` bytes as sent; says how many are whole now.
    pub(super) fn note_sent(&mut self, count: usize, wire: usize) -> usize {
        self.offset += count;
        let whole = (self.offset / wire).min(self.unsent);
        self.offset -= whole * wire;
        self.unsent -= whole;
        whole
    }

    /// Takes back the messages of which nothing has left.
    pub(super) fn withdraw(&mut self) -> VecDeque<Flight> {
        let begun = usize::from(self.offset > 0);
        let count = self.unsent.saturating_sub(begun);
        self.unsent -= count;
        self.flights.split_off(self.flights.len() - count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::exchange::{Exchange, Expect};
    use super::super::message::Message;
    use super::*;
    use crate::frame::Framing;

    fn link(flights: u64) -> Link {
        let message = Message::letters(32, &Framing::raw(), false).unwrap();
        let mut link = Link::new(Exchange::new(message, Expect::Echo).guess());
        link.flights = (0..flights).map(|number| Flight { number, due: 0, sent: 0 }).collect();
        link.unsent = link.flights.len();
        link
    }

    #[test]
    fn what_was_sent_is_counted_in_whole_messages_however_it_left() {
        for step in 1..100 {
            let mut link = link(3);
            let mut whole = 0;
            let mut left = 96;
            while left > 0 {
                let count = step.min(left);
                whole += link.note_sent(count, 32);
                left -= count;
                assert_eq!(whole, (96 - left) / 32);
                assert_eq!(link.offset, (96 - left) % 32);
            }
            assert_eq!(link.unsent, 0);
        }
    }

    #[test]
    fn only_what_has_not_begun_to_leave_is_taken_back() {
        let mut link = link(4);
        link.note_sent(40, 32);
        assert!(!link.oldest_is_unsent());
        assert_eq!(link.withdraw().len(), 2);
        assert_eq!((link.flights.len(), link.unsent, link.offset), (2, 1, 8));
        link.note_sent(24, 32);
        assert_eq!(link.withdraw().len(), 0);
        assert_eq!((link.flights.len(), link.unsent), (2, 0));
    }

    #[test]
    fn an_idle_link_is_small() {
        // 100,000 of them are to fit in little memory.
        assert!(size_of::<Link>() <= 320, "{}", size_of::<Link>());
    }
}
