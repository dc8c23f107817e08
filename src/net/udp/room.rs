//! Waiting for room to send on a socket that is not watched for it.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::pin;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::coop::consume_budget;

/// Has the runtime watch a socket.
#[expect(deprecated, reason = "what takes its place is unsafe, for types that are no owner")]
pub(super) fn watch<S: AsFd + AsRawFd>(socket: S, interest: Interest) -> io::Result<AsyncFd<S>> {
    AsyncFd::with_interest(socket, interest)
}

/// The socket by a descriptor of its own, which is watched only while there is no room. It is
/// taken at the start, so that it is there when descriptors are short.
pub(super) enum Room<S: AsRawFd> {
    /// There may be room.
    Free(Option<S>),
    /// The socket took no more.
    Full(AsyncFd<S>),
}

impl<S: AsFd + AsRawFd> Room<S> {
    pub(super) fn new(socket: S) -> Self {
        Self::Free(Some(socket))
    }

    /// The socket took no more: from here on it is watched, until there is room.
    pub(super) fn is_full(&mut self) -> io::Result<()> {
        if let Self::Free(socket) = self
            && let Some(socket) = socket.take()
        {
            *self = Self::Full(watch(socket, Interest::WRITABLE)?);
        }
        Ok(())
    }

    /// Ready when there may be room. Counts as a step of the task, which lets others go first after
    /// some of them, as everything that the runtime itself waits for does.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(pin!(consume_budget()).poll(context));
        let Self::Full(socket) = self else { return Poll::Ready(Ok(())) };
        // Whoever begins to watch is told that there is room already, so no change is missed.
        let _ = ready!(socket.poll_write_ready(context))?;
        if let Self::Full(socket) = mem::replace(self, Self::Free(None)) {
            *self = Self::Free(Some(socket.into_inner()));
        }
        Poll::Ready(Ok(()))
    }
}
