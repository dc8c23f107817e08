//! Sending to a connection: in its reply framing or as it is, into its outbox; and the buffers that
//! its queues borrow.

use std::rc::Rc;

use super::buffers::Buffers;
use super::outbox::{HIGH_WATER, Outbox, SendError, StreamQueue};
use super::{Conn, Phase};
use crate::frame::Framing;

impl Conn {
    /// Queues `data` in the reply framing in force: as bytes of the stream, or as one datagram.
    ///
    /// # Errors
    /// The connection is closing, its queue is full, or the framing or a datagram cannot hold it.
    pub fn send(self: &Rc<Self>, data: &[u8]) -> Result<(), SendError> {
        let framing = self.reply_framing();
        self.queue(data, Some(&framing), false)
    }

    /// Queues `data` as it is.
    ///
    /// # Errors
    /// As [`Conn::send`].
    pub fn send_raw(self: &Rc<Self>, data: &[u8]) -> Result<(), SendError> {
        self.queue(data, None, false)
    }

    /// Queues a reply in `framing`, also where the queue is full: its session does not read on
    /// before it has left.
    ///
    /// # Errors
    /// As [`Conn::send`].
    #[inline]
    pub fn reply(self: &Rc<Self>, data: &[u8], framing: &Framing) -> Result<(), SendError> {
        self.queue(data, Some(framing), true)
    }

    #[inline]
    fn queue(
        self: &Rc<Self>,
        data: &[u8],
        framing: Option<&Framing>,
        force: bool,
    ) -> Result<(), SendError> {
        if self.phase.get() != Phase::Open {
            return Err(SendError::Closed);
        }
        let affixes = framing
            .map(|framing| framing.affixes(data.len(), !self.is_stream()))
            .transpose()
            .map_err(|_| SendError::TooLong)?;
        let (prefix, suffix) = match &affixes {
            Some(affixes) => (&*affixes.prefix, affixes.suffix),
            None => (&[][..], &[][..]),
        };
        let parts = [prefix, data, suffix];
        match &self.outbox {
            Outbox::Stream(queue) => {
                if !force && queue.len() >= HIGH_WATER {
                    return Err(SendError::Full);
                }
                queue.push(parts)?;
                self.task.nudge();
                Ok(())
            }
            Outbox::Datagrams(outgoing) => outgoing.push(self, parts),
        }
    }

    /// The queued bytes of a stream; none for a datagram peer, whose socket has them.
    pub fn queued(&self) -> Option<&StreamQueue> {
        match &self.outbox {
            Outbox::Stream(queue) => Some(queue),
            Outbox::Datagrams(_) => None,
        }
    }

    /// An empty buffer, for what waits to be handled; given back by [`Conn::recycle`].
    #[must_use]
    pub fn buffer(&self) -> Vec<u8> {
        self.buffers().take()
    }

    /// Takes back a buffer, to be used again.
    pub fn recycle(&self, buffer: Vec<u8>) {
        self.buffers().give(buffer);
    }

    fn buffers(&self) -> &Buffers {
        match &self.outbox {
            Outbox::Stream(queue) => queue.buffers(),
            Outbox::Datagrams(outgoing) => outgoing.buffers(),
        }
    }

    /// Whether nothing waits to be sent.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        match &self.outbox {
            Outbox::Stream(queue) => queue.is_empty(),
            Outbox::Datagrams(outgoing) => outgoing.queue().borrow().is_empty(),
        }
    }

    /// Whether a send would be taken.
    #[must_use]
    pub fn has_room(&self) -> bool {
        match &self.outbox {
            Outbox::Stream(queue) => queue.len() < HIGH_WATER,
            Outbox::Datagrams(outgoing) => outgoing.has_room(),
        }
    }
}
