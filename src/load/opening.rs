//! How connections come and go.

use std::cmp::Reverse;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Token};
use nix::errno::Errno;

use super::engine::{Engine, MILLISECOND, Stage};
use super::link::Phase;
use super::plan::Mode;
use super::tally::Failure;
use crate::net::dial::DialError;

/// How long a failed connection is left alone: a server that is down is not to be hammered.
pub(super) const PAUSE: u64 = 100 * MILLISECOND;

/// How long a full backlog is left alone: the system does not tell when there is room.
const BACKLOG_PAUSE: u64 = MILLISECOND;

impl Engine<'_> {
    /// Opens a connection, and sends what the link has in flight.
    pub(super) fn open(&mut self, index: usize) {
        let link = &mut self.links[index];
        if link.phase != Phase::Backlogged {
            link.since = self.now;
        }
        match self.target.open(index) {
            Ok(socket) => {
                let descriptor = socket.as_raw_fd();
                link.socket = Some(socket);
                let mut interest = Interest::READABLE;
                if self.connects_later {
                    interest |= Interest::WRITABLE;
                }
                let mut source = SourceFd(&descriptor);
                if let Err(error) =
                    self.poll.registry().register(&mut source, Token(index), interest)
                {
                    self.fail_with(index, &error);
                } else if self.connects_later {
                    self.set_phase(index, Phase::Connecting);
                } else {
                    self.opened(index);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.set_phase(index, Phase::Backlogged);
                self.retry(index, BACKLOG_PAUSE);
            }
            Err(error) => self.fail_with(index, &error),
        }
    }

    /// Looks whether a connection is there by now, of which the poll has told something.
    pub(super) fn look(&mut self, index: usize, event: &Event) {
        let Some(socket) = &self.links[index].socket else { return };
        let has_room = event.is_writable() && !event.is_error() && !event.is_write_closed();
        let connected = if has_room { Ok(true) } else { socket.is_connected() };
        // Spread connections come from other addresses than the server's.
        let is_own = || if self.target.is_spread() { Ok(false) } else { socket.is_own_peer() };
        match connected.and_then(|yes| Ok((yes, yes && is_own()?))) {
            Ok((true, false)) => self.opened(index),
            Ok((true, true)) => self.fail_with(index, &Errno::ECONNREFUSED.into()),
            Ok((false, _)) => {}
            Err(error) => self.fail_with(index, &error),
        }
    }

    fn opened(&mut self, index: usize) {
        self.read_clock();
        self.set_phase(index, Phase::Open);
        let link = &mut self.links[index];
        link.heard = self.now;
        self.last_open = self.now;
        self.tally.opened += 1;
        self.tally.connect.saturating_record(self.now - link.since);
        if self.stage == Stage::Running && self.plan.mode != Mode::Churn {
            self.offer(index);
        } else {
            self.flush(index);
        }
    }

    /// Closes a connection. What is in flight stays.
    pub(super) fn close(&mut self, index: usize) {
        self.links[index].disconnect();
        if let Some(player) = self.players.get_mut(index) {
            player.reset();
        }
        self.set_phase(index, Phase::Closed);
    }

    /// The connection has failed, and with it all that it had in flight.
    pub(super) fn fail(&mut self, index: usize, failure: Failure, words: impl FnOnce() -> String) {
        self.tally.failures.add(failure, words);
        // With a dialogue the messages are its rounds, and this one has begun.
        if self.plan.dialogue.is_none() {
            self.withdraw(index);
        }
        let link = &mut self.links[index];
        let served = link.spoke && matches!(failure, Failure::Closed | Failure::Reset);
        self.tally.unanswered += link.flights.len() as u64;
        self.outstanding -= link.flights.len();
        link.flights.clear();
        link.unsent = 0;
        self.close(index);
        if self.stage == Stage::Running && self.plan.mode != Mode::Idle {
            // A server that has closed after some answers takes the next one at once.
            self.pause(index, if served { 0 } else { PAUSE });
        }
    }

    /// It has failed with what the system says.
    pub(super) fn fail_with(&mut self, index: usize, error: &io::Error) {
        self.fail(index, Failure::of(error), || DialError::from(error).text);
    }

    /// The server has closed the connection.
    pub(super) fn closed_by_server(&mut self, index: usize) {
        if self.plan.dialogue.is_some() && !self.links[index].flights.is_empty() {
            return self.end_for_dialogue(index);
        }
        let over = self.stage != Stage::Running && self.stage != Stage::Opening;
        if over && self.links[index].flights.is_empty() {
            return self.close(index);
        }
        self.fail(index, Failure::Closed, || "closed by the server".to_owned());
    }

    /// Has a link try again after it was left alone for `pause` nanoseconds.
    pub(super) fn pause(&mut self, index: usize, pause: u64) {
        self.set_phase(index, Phase::Pausing);
        self.retry(index, pause);
    }

    pub(super) fn retry(&mut self, index: usize, pause: u64) {
        let at = self.now + pause;
        self.links[index].retry_at = at;
        self.retries.push(Reverse((at, index)));
    }

    /// Tries again where it is time to.
    pub(super) fn try_again(&mut self) {
        while let Some(&Reverse((at, index))) = self.retries.peek()
            && at <= self.now
        {
            self.retries.pop();
            let link = &self.links[index];
            match link.phase {
                _ if link.retry_at != at => {}
                Phase::Backlogged => self.open(index),
                Phase::Open if self.plan.dialogue.is_some() => self.wake(index),
                Phase::Pausing if self.stage == Stage::Running => {
                    if self.plan.mode == Mode::Churn {
                        self.set_phase(index, Phase::Closed);
                        self.offer(index);
                    } else {
                        self.open(index);
                    }
                }
                _ => {}
            }
        }
    }

    /// Counts with the phase.
    pub(super) fn set_phase(&mut self, index: usize, phase: Phase) {
        let old = std::mem::replace(&mut self.links[index].phase, phase);
        let is_opening = |phase| matches!(phase, Phase::Connecting | Phase::Backlogged);
        self.opening -= usize::from(is_opening(old));
        self.opening += usize::from(is_opening(phase));
        self.open -= usize::from(old == Phase::Open);
        self.open += usize::from(phase == Phase::Open);
        self.most_open = self.most_open.max(self.open);
    }
}
