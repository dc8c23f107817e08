//! Which message leaves when, and by which connection.

use std::io::ErrorKind;
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Interest, Token};

use super::engine::{Engine, Stage};
use super::link::{Flight, Phase};
use super::plan::Mode;

/// Bytes of one write: more hardly saves time.
const PIECE: usize = 256 * 1024;

/// Writes to one connection before others have their turn.
const MOST_WRITES: usize = 16;

impl Engine<'_> {
    /// A link has room for messages: it gets them now, or waits for those that are due.
    pub(super) fn offer(&mut self, index: usize) {
        if self.plan.mode == Mode::Idle {
            return;
        }
        let link = &mut self.links[index];
        if self.schedule.is_some() {
            let room = self.window.saturating_sub(link.flights.len());
            while link.queued < room {
                link.queued += 1;
                self.free.push_back(index);
            }
            return;
        }
        let is_open = link.phase == Phase::Open;
        let before = link.flights.len();
        for _ in before..self.window {
            if !self.may_issue() {
                break;
            }
            self.issue(index, self.now);
        }
        if is_open {
            self.flush(index);
        } else if self.plan.mode == Mode::Churn && self.links[index].flights.len() > before {
            self.open(index);
        }
    }

    /// Hands out the messages that are due to the links that have room.
    pub(super) fn hand_out(&mut self) {
        let Some(schedule) = self.schedule else { return };
        while self.may_issue() && schedule.due(self.issued) <= self.now {
            let Some(index) = self.free.pop_front() else { return };
            let link = &mut self.links[index];
            link.queued -= 1;
            let has_room = link.flights.len() < self.window;
            match link.phase {
                Phase::Open if has_room => {
                    self.issue(index, schedule.due(self.issued));
                    self.flush(index);
                }
                Phase::Closed if has_room && self.plan.mode == Mode::Churn => {
                    self.issue(index, schedule.due(self.issued));
                    self.open(index);
                }
                _ => {}
            }
        }
    }

    /// Whether there is one more message to send.
    pub(super) fn may_issue(&self) -> bool {
        let end = self.schedule.map_or(self.now, |schedule| schedule.due(self.issued));
        self.stage == Stage::Running && end < self.ends_at && self.issued < self.last_number
    }

    fn issue(&mut self, index: usize, due: u64) {
        let link = &mut self.links[index];
        link.flights.push_back(Flight { number: self.issued, due, sent: self.now });
        link.unsent += 1;
        self.tally.sent += u64::from(self.issued >= self.first_number);
        self.issued += 1;
        self.outstanding += 1;
    }

    /// Sends what the link has to send, as far as the system takes it.
    pub(super) fn flush(&mut self, index: usize) {
        if self.plan.dialogue.is_some() {
            return self.play(index);
        }
        for _ in 0..MOST_WRITES {
            let link = &mut self.links[index];
            let Some(socket) = link.socket.as_ref().filter(|_| link.unsent > 0) else {
                return self.await_room(index, false);
            };
            self.piece.clear();
            let message = self.exchange.message();
            let mut from = link.offset;
            for flight in link.flights.range(link.flights.len() - link.unsent..) {
                message.write(flight.number, from, PIECE - self.piece.len(), &mut self.piece);
                from = 0;
                if self.is_datagram || self.piece.len() >= PIECE {
                    break;
                }
            }
            match socket.send(&self.piece) {
                Ok(count) => {
                    let whole = link.note_sent(count, message.wire_length());
                    self.tally.bytes_sent += count as u64;
                    if self.plan.one_way() {
                        self.let_go(index, whole);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return self.await_room(index, true);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.fail_with(index, &error),
            }
        }
        if self.links[index].unsent > 0 {
            self.again.push(index);
        }
    }

    /// No answer is awaited to these; others follow.
    fn let_go(&mut self, index: usize, count: usize) {
        self.links[index].flights.drain(..count);
        self.outstanding -= count;
        self.links[index].heard = self.now;
        self.last_answer = self.now;
        for _ in 0..count {
            if self.may_issue() {
                self.issue(index, self.now);
            }
        }
    }

    /// Has the poll tell of room to send, or not any more. Of TCP it always does: there it tells
    /// only after there was none.
    pub(super) fn await_room(&mut self, index: usize, wanted: bool) {
        let link = &mut self.links[index];
        if self.connects_later || link.awaits_room == wanted {
            return;
        }
        let Some(socket) = &link.socket else { return };
        let interest =
            if wanted { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let descriptor = socket.as_raw_fd();
        link.awaits_room = wanted;
        let registry = self.poll.registry();
        if let Err(error) = registry.reregister(&mut SourceFd(&descriptor), Token(index), interest)
        {
            self.fail_with(index, &error);
        }
    }
}
