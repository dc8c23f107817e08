//! One who takes part: its connection, what it has received and no step has taken, and how the
//! other side has ended.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, ready};

use super::{MOST_RECEIVED, Wire, verdict};
use crate::net::memory::Arrival;
use crate::text::Printable;
use crate::transcript::{Check, Expectation, Variables};

/// Bytes that are shown of what nobody expected.
const SHOWN: usize = 256;

/// How the other side has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It has ended its sending side.
    Eof,
    /// It has broken the connection off.
    Reset,
}

/// See the module.
pub(super) struct Party<W> {
    wire: Option<W>,
    is_datagram: bool,
    /// Of a stream: bytes, of which the first `taken` were expected.
    bytes: Vec<u8>,
    taken: usize,
    datagrams: VecDeque<Vec<u8>>,
    /// Bytes in `datagrams`.
    waiting: usize,
    end: Option<End>,
    heard: Vec<u8>,
}

impl<W: Wire> Party<W> {
    pub(super) fn new(is_datagram: bool) -> Self {
        Self {
            wire: None,
            is_datagram,
            bytes: Vec::new(),
            taken: 0,
            datagrams: VecDeque::new(),
            waiting: 0,
            end: None,
            heard: Vec::new(),
        }
    }

    pub(super) fn connect(&mut self, wire: W) {
        self.wire = Some(wire);
        self.end = None;
    }

    /// Whether the other side has ended, and nothing is left that it sent: there is nothing more to
    /// expect.
    pub(super) fn is_heard_out(&self) -> bool {
        (self.end.is_some() || self.wire.is_none()) && self.unexpected().is_none()
    }

    /// Whether beyond that nothing that is sent would reach the other side: one that has only ended
    /// its sending side can still be answered.
    pub(super) fn is_over(&self) -> bool {
        let is_half_closed = !self.is_datagram
            && self.end == Some(End::Eof)
            && self.wire.as_ref().is_some_and(|wire| !wire.is_closed());
        self.is_heard_out() && !is_half_closed
    }

    pub(super) fn into_heard(self) -> Vec<u8> {
        self.heard
    }

    /// Takes in what arrives, as long as there is room.
    pub(super) fn take_in(&mut self, context: &mut Context<'_>) {
        while self.end.is_none() && self.bytes.len() - self.taken + self.waiting < MOST_RECEIVED {
            let Some(wire) = &mut self.wire else { return };
            match wire.poll_receive(context) {
                Poll::Ready(Arrival::Piece(piece)) => self.keep(piece),
                Poll::Ready(Arrival::Eof) => self.end = Some(End::Eof),
                Poll::Ready(Arrival::Reset) => self.end = Some(End::Reset),
                Poll::Pending => return,
            }
        }
    }

    fn keep(&mut self, piece: Vec<u8>) {
        if self.is_datagram {
            self.heard.extend(piece.len().to_be_bytes());
            self.heard.extend(&piece);
            self.waiting += piece.len().max(1);
            self.datagrams.push_back(piece);
        } else {
            self.heard.extend(&piece);
            self.bytes.extend(piece);
        }
    }

    pub(super) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
        sent: &mut usize,
    ) -> Poll<io::Result<()>> {
        loop {
            let Some(wire) = &mut self.wire else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            *sent += ready!(wire.poll_send(context, &bytes[*sent..]))?;
            if *sent >= bytes.len() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// What no step has taken of a stream; of datagrams, the first.
    pub(super) fn untaken(&self) -> &[u8] {
        match self.datagrams.front() {
            Some(datagram) => datagram,
            None => &self.bytes[self.taken..],
        }
    }

    /// Compares what has been received; what is right is taken.
    pub(super) fn compare(
        &mut self,
        expectation: &Expectation,
        check: &mut Check<'_>,
        variables: &mut Variables,
    ) -> Poll<Result<(), String>> {
        if self.is_datagram {
            let Some(datagram) = self.datagrams.pop_front() else {
                return match self.end {
                    Some(_) => Poll::Ready(Err(check.missing(b"").to_string())),
                    None => Poll::Pending,
                };
            };
            self.waiting -= datagram.len().max(1);
            let compared = expectation.datagram(&datagram, variables);
            return Poll::Ready(compared.map_err(|difference| difference.to_string()));
        }
        let received = &self.bytes[self.taken..];
        let compared = match self.end {
            Some(_) => check.end(received, variables),
            None => check.read(received, variables),
        };
        match (verdict(compared), self.end) {
            (Some(Ok(taken)), _) => {
                self.take(taken);
                Poll::Ready(Ok(()))
            }
            (Some(Err(difference)), Some(End::Reset)) => {
                Poll::Ready(Err(format!("{difference}\nthe connection was broken off")))
            }
            (Some(Err(difference)), Some(End::Eof)) => {
                Poll::Ready(Err(format!("{difference}\nthe other side has ended")))
            }
            (Some(Err(difference)), None) => Poll::Ready(Err(difference)),
            (None, _) if received.len() >= MOST_RECEIVED => {
                Poll::Ready(Err(format!("{}\nit is too much", check.missing(received))))
            }
            (None, _) => Poll::Pending,
        }
    }

    fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
        }
    }

    /// Whether something arrives where nothing should.
    pub(super) fn noise(&self) -> Poll<String> {
        match self.unexpected() {
            Some(what) => Poll::Ready(what),
            None => match self.end {
                Some(End::Eof) => Poll::Ready("the other side has ended".to_owned()),
                Some(End::Reset) => Poll::Ready("the connection was broken off".to_owned()),
                None => Poll::Pending,
            },
        }
    }

    /// Whether the other side has ended as it should, with nothing left before it.
    pub(super) fn seen_end(&self, wanted: End) -> Poll<Result<(), String>> {
        match (self.unexpected(), self.end) {
            (Some(what), _) => Poll::Ready(Err(what)),
            (None, Some(end)) if end == wanted => Poll::Ready(Ok(())),
            (None, Some(End::Eof)) => Poll::Ready(Err("it has ended without a reset".to_owned())),
            (None, Some(End::Reset)) => {
                Poll::Ready(Err("the connection was broken off".to_owned()))
            }
            (None, None) => Poll::Pending,
        }
    }

    /// Fails where something was received that no step has taken.
    pub(super) fn check_empty(&self) -> Result<(), String> {
        self.unexpected().map_or(Ok(()), Err)
    }

    fn unexpected(&self) -> Option<String> {
        let is_empty = self.datagrams.is_empty() && self.bytes.len() == self.taken;
        let shown =
            || format!("got, and no step expects it: \"{:.SHOWN$}\"", Printable(self.untaken()));
        (!is_empty).then(shown)
    }

    pub(super) fn hold_back(&mut self) {
        if let Some(wire) = &mut self.wire {
            wire.hold_back();
        }
    }

    pub(super) fn end(&mut self) -> io::Result<()> {
        self.wire.as_mut().map_or(Ok(()), Wire::end)
    }

    /// Closes; what has arrived so far can still be expected.
    pub(super) fn close(&mut self) {
        self.wire = None;
        self.end.get_or_insert(End::Eof);
    }

    pub(super) fn reset(&mut self) {
        if let Some(wire) = self.wire.take() {
            wire.reset();
        }
        self.end.get_or_insert(End::Eof);
    }
}
