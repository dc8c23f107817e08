//! A dialogue as the message of a load: a round through it is what is sent, answered and timed.

use std::io::ErrorKind;
use std::ops::ControlFlow;

use super::engine::{Engine, Stage};
use super::link::Phase;
use super::opening::PAUSE;
use super::plan::Mode;
use super::player::{Broken, Need};
use super::tally::Failure;
use crate::net::client::ClientSocket;

/// Bytes that no step has taken, beyond which a server is taken to send without end.
const MOST: usize = 64 << 20;

impl Engine<'_> {
    /// Goes on with the round of a link, as far as it can.
    pub(super) fn play(&mut self, index: usize) {
        loop {
            let link = &mut self.links[index];
            if link.phase != Phase::Open || link.flights.is_empty() {
                return;
            }
            let player = &mut self.players[index];
            let before = player.turns_over();
            let need = player.go_on(self.now);
            if player.turns_over() > before
                && let Some(flight) = link.flights.front_mut()
            {
                // What is expected next may take its own time.
                flight.sent = self.now;
            }
            link.unsent = usize::from(need == Need::Room);
            match need {
                Need::Room => {
                    if !self.send_out(index) {
                        return;
                    }
                }
                Need::Bytes => return,
                Need::Time(at) => return self.wait_until(index, at),
                Need::Eof => {
                    let ended = link.socket.as_ref().map_or(Ok(()), ClientSocket::end);
                    if let Err(error) = ended {
                        return self.fail_with(index, &error);
                    }
                }
                Need::Over => return self.round_over(index),
                Need::Broken(broken) => return self.broken(index, broken),
            }
        }
    }

    /// Sends what is to be sent; whether the player may go on.
    fn send_out(&mut self, index: usize) -> bool {
        let Some(socket) = &self.links[index].socket else { return false };
        let player = &mut self.players[index];
        let Some(out) = player.out() else { return true };
        match socket.send(out) {
            Ok(count) => {
                player.note_sent(count);
                self.tally.bytes_sent += count as u64;
                self.links[index].unsent = 0;
                self.await_room(index, false);
                true
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.await_room(index, true);
                false
            }
            Err(error) => {
                self.fail_with(index, &error);
                false
            }
        }
    }

    fn wait_until(&mut self, index: usize, at: u64) {
        let link = &mut self.links[index];
        if let Some(flight) = link.flights.front_mut() {
            flight.sent = flight.sent.max(at);
        }
        if link.retry_at != at {
            self.retry(index, at.saturating_sub(self.now));
        }
    }

    /// A wait of a dialogue is over.
    pub(super) fn wake(&mut self, index: usize) {
        self.play(index);
        self.offer(index);
    }

    /// Bytes, or a datagram, for the round of a link.
    pub(super) fn take_for_dialogue(&mut self, index: usize, bytes: &[u8]) -> ControlFlow<()> {
        let is_waiting = self.links[index].flights.is_empty();
        let player = &mut self.players[index];
        if is_waiting && player.has_begun() {
            return self.unasked(index, bytes);
        }
        player.receive(bytes);
        // A server may greet before the first round begins.
        if !is_waiting {
            self.play(index);
        }
        if self.players[index].unread().len() > MOST {
            let words = || format!("more than {} MiB that no step has expected", MOST >> 20);
            self.fail(index, Failure::Unasked, words);
        }
        match self.links[index].phase {
            Phase::Open => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }

    /// The server has ended its stream within a round.
    pub(super) fn end_for_dialogue(&mut self, index: usize) {
        self.players[index].end();
        self.play(index);
    }

    fn round_over(&mut self, index: usize) {
        let Some(flight) = self.links[index].flights.pop_front() else { return };
        self.outstanding -= 1;
        self.last_answer = self.now;
        if flight.number >= self.first_number {
            self.tally.answer(flight.due, self.now);
        }
        let player = &mut self.players[index];
        if !player.unread().is_empty() {
            let unread = player.unread().to_vec();
            _ = self.unasked(index, &unread);
        } else if self.plan.mode == Mode::Churn {
            self.close(index);
            self.offer(index);
        } else if player.has_ended() {
            self.closed_by_server(index);
        } else {
            player.begin();
        }
    }

    /// The server has departed from the dialogue; nobody knows where it is now.
    fn broken(&mut self, index: usize, broken: Broken) {
        let player = &self.players[index];
        if player.has_ended() {
            // It said nothing wrong, it is gone.
            let awaited = player.awaited();
            let words = || format!("closed by the server; {awaited}");
            return self.fail(index, Failure::Closed, words);
        }
        self.tally.wrong += 1;
        self.tally.first_broken.get_or_insert(broken);
        self.drop_round(index);
        if self.stage == Stage::Running {
            self.pause(index, PAUSE);
        }
    }

    /// Gives up a round over datagrams that should have gone on by `since`. The next one has a
    /// socket of its own, so that an answer that is late is not taken for another.
    pub(super) fn give_up_round(&mut self, index: usize, since: u64) {
        let Some(flight) = self.links[index].flights.front().filter(|it| it.sent < since) else {
            return;
        };
        self.tally.lost += u64::from(flight.number >= self.first_number);
        self.drop_round(index);
        if self.stage == Stage::Running {
            self.open(index);
        }
    }

    fn drop_round(&mut self, index: usize) {
        let link = &mut self.links[index];
        self.outstanding -= link.flights.len();
        link.flights.clear();
        link.unsent = 0;
        self.close(index);
    }
}
