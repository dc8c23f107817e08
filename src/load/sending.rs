//! Which message leaves when, and by which connection.

use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Interest, Token};
use nix::errno::Errno;

use super::engine::{Engine, Stage};
use super::link::{Flight, Phase};
use super::plan::{LARGEST_UDP, Mode};
use crate::net::client::ClientSocket;

/// Bytes of one write: more hardly saves time.
const PIECE: usize = 256 * 1024;

/// Writes to one connection before others have their turn.
const MOST_WRITES: usize = 16;

/// Datagrams that leave as one: a system call and a way through the kernel for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trains {
    /// The system is still to be asked.
    Unknown,
    Possible,
    Impossible,
}

impl Trains {
    /// The most datagrams of one, as all systems take them.
    const LONGEST: usize = 64;

    /// How many datagrams of `length` bytes can leave as one.
    fn longest(self, length: usize) -> usize {
        if self == Self::Impossible { 1 } else { (LARGEST_UDP / length).clamp(1, Self::LONGEST) }
    }

    /// Sends datagrams of `length` bytes each. Where they cannot leave as one, the first does.
    fn send(&mut self, socket: &ClientSocket, data: &[u8], length: usize) -> io::Result<usize> {
        if *self == Self::Unknown {
            *self = if socket.takes_trains() { Self::Possible } else { Self::Impossible };
        }
        let size = u16::try_from(length).unwrap_or(u16::MAX);
        if *self == Self::Possible {
            match socket.send_train(data, size) {
                // A network on the way can refuse them, too.
                Err(error) if refuses_trains(&error) => *self = Self::Impossible,
                sent => return sent,
            }
        }
        socket.send(&data[..length])
    }
}

fn refuses_trains(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EINVAL | Errno::EIO | Errno::EMSGSIZE | Errno::EOPNOTSUPP)
    )
}

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
            let length = message.wire_length();
            let most = if self.is_datagram { self.trains.longest(length) } else { usize::MAX };
            let mut from = link.offset;
            for flight in link.flights.range(link.flights.len() - link.unsent..).take(most) {
                message.write(flight.number, from, PIECE - self.piece.len(), &mut self.piece);
                from = 0;
                if self.piece.len() >= PIECE {
                    break;
                }
            }
            let sent = if self.is_datagram && self.piece.len() > length {
                self.trains.send(socket, &self.piece, length)
            } else {
                socket.send(&self.piece)
            };
            match sent {
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
