//! What waits until the peer takes it, message by message, and not without end.

use std::collections::VecDeque;
use std::future::pending;
use std::io;

use crate::net::link::Link;

/// Bytes that may wait.
const MOST: usize = 1 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    messages: VecDeque<Vec<u8>>,
    /// Bytes of the first one that are sent already.
    done: usize,
    /// Bytes of all that are not.
    waiting: usize,
}

impl Outgoing {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes that are not sent yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// One more; or how many bytes wait, which are too many.
    pub(super) fn push(&mut self, message: Vec<u8>) -> Result<(), usize> {
        // A single one is taken whatever its size, else it would never leave.
        if !self.is_empty() && self.waiting + message.len() > MOST {
            return Err(self.waiting);
        }
        self.waiting += message.len();
        self.messages.push_back(message);
        Ok(())
    }

    /// Sends of the first one what there is room for; never ends where there is none.
    pub(super) async fn send(&self, link: &Link) -> io::Result<usize> {
        match self.messages.front() {
            Some(message) => link.send(&message[self.done..]).await,
            None => pending().await,
        }
    }

    /// So many bytes of the first one are sent, which are all where it is a datagram.
    pub(super) fn sent(&mut self, count: usize, is_datagram: bool) {
        self.done += count;
        self.waiting -= count;
        let is_all = self.messages.front().is_none_or(|message| self.done >= message.len());
        if is_datagram || is_all {
            self.drop_first();
        }
    }

    /// Drops the first one; how many bytes it had.
    pub(super) fn drop_first(&mut self) -> usize {
        let length = self.messages.pop_front().map_or(0, |message| message.len());
        self.waiting -= length.saturating_sub(self.done);
        self.done = 0;
        length
    }

    /// Drops all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_counted_and_bounded() {
        let mut outgoing = Outgoing::default();
        assert_eq!(outgoing.push(vec![0; 2 * MOST]), Ok(()));
        assert_eq!(outgoing.push(vec![0]), Err(2 * MOST));
        outgoing.sent(2 * MOST - 1, false);
        assert_eq!((outgoing.waiting(), outgoing.push(vec![0; 9])), (1, Ok(())));
        outgoing.sent(1, false);
        assert_eq!((outgoing.waiting(), outgoing.messages.len()), (9, 1));
        assert_eq!(outgoing.drop_first(), 9);
        assert!(outgoing.is_empty() && outgoing.waiting() == 0);
    }

    #[test]
    fn an_empty_datagram_is_one() {
        let mut outgoing = Outgoing::default();
        outgoing.push(Vec::new()).unwrap();
        assert!(!outgoing.is_empty());
        outgoing.sent(0, true);
        assert!(outgoing.is_empty());
    }
}
