//! What arrives, and what it answers.

use std::io::ErrorKind;
use std::ops::ControlFlow;

use super::engine::Engine;
use super::exchange::{Guess, Wrong};
use super::link::Phase;
use super::plan::Mode;
use super::tally::Failure;
use crate::text::Printable;

/// Reads from one connection before others have their turn.
const MOST_READS: usize = 16;

/// Datagrams that were given up and are known still, beside as many as can be in flight twice. An
/// answer to what is not known any more is taken for a late one.
const KNOWN: usize = 1024;

/// Whether the connection is to be read on.
type Flow = ControlFlow<()>;

impl Engine<'_> {
    /// Reads what is there. `to_the_end` where the system has said that the stream has ended: else a
    /// read that did not fill the buffer has taken all.
    pub(super) fn read(&mut self, index: usize, to_the_end: bool) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let flow = self.read_into(index, &mut buffer, to_the_end);
        self.buffer = buffer;
        if flow.is_continue() && self.links[index].phase == Phase::Open {
            self.answered.push(index);
        }
    }

    fn read_into(&mut self, index: usize, buffer: &mut [u8], to_the_end: bool) -> Flow {
        for _ in 0..MOST_READS {
            let Some(socket) = &self.links[index].socket else { return Flow::Break(()) };
            let count = match socket.receive(buffer) {
                Ok(0) if !self.is_datagram => {
                    self.closed_by_server(index);
                    return Flow::Break(());
                }
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Flow::Continue(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.fail_with(index, &error);
                    return Flow::Break(());
                }
            };
            self.read_clock();
            self.links[index].heard = self.now;
            self.links[index].spoke = true;
            self.tally.bytes_received += count as u64;
            let bytes = &buffer[..count];
            if self.is_datagram {
                if self.plan.dialogue.is_some() {
                    self.take_for_dialogue(index, bytes)?;
                } else {
                    self.take_datagram(index, bytes);
                }
                if self.links[index].flights.is_empty() {
                    // What may be there in spite of that is found with the next one.
                    return Flow::Continue(());
                }
                continue;
            }
            self.take(index, bytes)?;
            if count < buffer.len() && !to_the_end {
                return Flow::Continue(());
            }
        }
        self.again.push(index);
        Flow::Continue(())
    }

    fn take(&mut self, index: usize, bytes: &[u8]) -> Flow {
        if self.plan.one_way() || self.plan.mode == Mode::Idle {
            return Flow::Continue(());
        }
        if self.plan.dialogue.is_some() {
            return self.take_for_dialogue(index, bytes);
        }
        if self.framing.is_raw() {
            self.take_raw(index, bytes)
        } else {
            self.take_framed(index, bytes)
        }
    }

    /// Answers that are as long as their messages, which are checked as they come.
    fn take_raw(&mut self, index: usize, mut bytes: &[u8]) -> Flow {
        let whole = self.exchange.message().wire_length();
        while !bytes.is_empty() {
            let link = &mut self.links[index];
            let Some(number) = link.flights.front().map(|flight| flight.number) else {
                return self.unasked(index, bytes);
            };
            if link.taken == 0 {
                link.guess = self.exchange.guess();
            }
            let (piece, rest) = bytes.split_at(bytes.len().min(whole - link.taken));
            let (at, guess) = (link.taken, link.guess);
            link.guess = self.exchange.narrow(guess, number, at, piece);
            link.taken += piece.len();
            bytes = rest;
            let (now, done) = (link.guess, link.taken == whole);
            if self.exchange.is_wrong(now) && !self.exchange.is_wrong(guess) {
                self.show(|exchange| exchange.show_wrong(guess, number, at, piece));
            }
            if done {
                self.links[index].taken = 0;
                self.finish(index, now, bytes)?;
            }
        }
        Flow::Continue(())
    }

    /// Answers that the framing tells apart.
    fn take_framed(&mut self, index: usize, bytes: &[u8]) -> Flow {
        let mut joined = std::mem::take(&mut self.links[index].rest);
        let owned = !joined.is_empty();
        if owned {
            joined.extend_from_slice(bytes);
        }
        let all = if owned { &joined[..] } else { bytes };
        let mut at = 0;
        loop {
            let rest = &all[at..];
            match self.framing.decode(&mut self.links[index].progress, rest, false) {
                Ok(Some(decoded)) => {
                    at += decoded.consumed;
                    self.take_answer(index, decoded.message.bytes(rest), &all[at..])?;
                }
                Ok(None) => break,
                Err(error) => {
                    self.fail(index, Failure::Framing, || error.to_string());
                    return Flow::Break(());
                }
            }
        }
        let link = &mut self.links[index];
        if owned {
            joined.drain(..at);
            link.rest = joined;
        } else {
            link.rest = bytes[at..].to_vec();
        }
        Flow::Continue(())
    }

    fn take_answer(&mut self, index: usize, answer: &[u8], behind: &[u8]) -> Flow {
        let Some(flight) = self.links[index].flights.front() else {
            return self.unasked(index, answer);
        };
        let number = flight.number;
        let guess = self.exchange.narrow_whole(number, answer);
        if self.exchange.is_wrong(guess) {
            self.show(|exchange| exchange.show_wrong(guess, number, 0, answer));
        }
        self.finish(index, guess, behind)
    }

    /// The oldest message in flight is answered; `behind` are bytes behind the answer.
    fn finish(&mut self, index: usize, guess: Guess, behind: &[u8]) -> Flow {
        if self.links[index].oldest_is_unsent() {
            return self.unasked(index, b"");
        }
        self.answered(index, 0, guess);
        if self.plan.mode != Mode::Churn {
            return Flow::Continue(());
        }
        if !behind.is_empty() {
            return self.unasked(index, behind);
        }
        self.close(index);
        self.offer(index);
        Flow::Break(())
    }

    fn answered(&mut self, index: usize, place: usize, guess: Guess) {
        let Some(flight) = self.links[index].flights.remove(place) else { return };
        self.outstanding -= 1;
        self.tally.wrong += u64::from(!self.exchange.judge(guess));
        self.last_answer = self.now;
        if flight.number >= self.first_number {
            self.tally.answer(flight.due, self.now);
        }
    }

    /// The server sends what nobody has asked for: what belongs to what is not known any more.
    pub(super) fn unasked(&mut self, index: usize, bytes: &[u8]) -> Flow {
        self.fail(index, Failure::Unasked, || {
            let more = "the server sent more than was asked for";
            if bytes.is_empty() {
                more.to_owned()
            } else {
                format!("{more}: \"{:.64}\"", Printable(bytes))
            }
        });
        Flow::Break(())
    }

    fn show(&mut self, wrong: impl FnOnce(&super::exchange::Exchange) -> Wrong) {
        if self.tally.first_wrong.is_none() {
            self.tally.first_wrong = Some(wrong(&self.exchange));
        }
    }

    /// An answer in a datagram, which may be one to any message in flight.
    fn take_datagram(&mut self, index: usize, data: &[u8]) {
        // What has no message in it, or more than one, is taken as it is.
        let message = match self.framing.decode_datagram(data, true) {
            Ok(Some(decoded)) if decoded.consumed == data.len() => Some(decoded.message),
            _ => None,
        };
        let answer = message.as_ref().map_or(data, |message| message.bytes(data));
        let (place, known) = match self.exchange.number_in(answer) {
            Some(number) => (self.place_of(index, number), Some(number)),
            None => ((!self.links[index].oldest_is_unsent()).then_some(0), None),
        };
        let Some(place) = place else { return self.take_stray(index, known, answer) };
        let number = self.links[index].flights[place].number;
        let guess = self.exchange.narrow_whole(number, answer);
        if self.exchange.is_wrong(guess) {
            self.show(|exchange| exchange.show_wrong(guess, number, 0, answer));
        }
        self.answered(index, place, guess);
    }

    fn place_of(&self, index: usize, number: u64) -> Option<usize> {
        let link = &self.links[index];
        let message = self.exchange.message();
        let gone = link.flights.range(..link.flights.len() - link.unsent);
        gone.map(|flight| message.visible(flight.number)).position(|visible| visible == number)
    }

    /// An answer to nothing in flight: late, or one too many.
    fn take_stray(&mut self, index: usize, number: Option<u64>, answer: &[u8]) {
        let given_up = &mut self.links[index].given_up;
        let place = match number {
            Some(number) => given_up.iter().position(|known| *known == number),
            None => (!given_up.is_empty()).then_some(0),
        };
        if place.and_then(|place| given_up.remove(place)).is_some() || self.links[index].forgot {
            self.tally.late += 1;
            return;
        }
        self.tally.wrong += 1;
        let got = format!("{:.80}", Printable(answer));
        self.show(|_| Wrong { at: 0, expected: "no second answer to this message".into(), got });
    }

    /// Gives up the datagrams that should have been answered by `since`, and sends others.
    pub(super) fn give_up_datagrams(&mut self, index: usize, since: u64) {
        if self.plan.dialogue.is_some() {
            return self.give_up_round(index, since);
        }
        let mut count = 0;
        while let Some(flight) = self.links[index].flights.front().copied()
            && flight.sent < since
            && !self.links[index].oldest_is_unsent()
        {
            let visible = self.exchange.message().visible(flight.number);
            let link = &mut self.links[index];
            link.flights.pop_front();
            link.given_up.push_back(visible);
            if link.given_up.len() > 2 * self.window + KNOWN {
                link.given_up.pop_front();
                link.forgot = true;
            }
            self.outstanding -= 1;
            self.tally.lost += u64::from(flight.number >= self.first_number);
            count += 1;
        }
        if count > 0 {
            self.offer(index);
        }
    }
}
