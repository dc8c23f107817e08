//! What a play needs of the place where it is held: connections, and what can be seen of a handler.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::net::memory::Arrival;
use crate::transcript::{FileName, Name, Sight, Step};

/// Something that goes on in the background of a step.
pub type Task<T> = Pin<Box<dyn Future<Output = T>>>;

/// Where a dialogue is played.
pub trait Stage {
    /// What connects a client, or an upstream, to the server.
    type Wire: Wire;

    /// Why this cannot be played here, if it cannot.
    fn refuses(&self, step: &Step) -> Option<String>;

    /// A client connects; an upstream waits for a connection of the handler.
    fn open(&self, who: Option<&Name>) -> Task<Result<Self::Wire, String>>;

    /// The handler is loaded, which may wait for upstreams. No client connects before.
    fn load(&self) -> Task<Result<(), String>>;

    /// The handler is replaced, which may wait for upstreams, too.
    fn reload(&self, file: &FileName) -> Task<Result<(), String>>;

    /// Resolves once everything that was done has had its effect, as far as can be told.
    fn settle(&self) -> Task<()>;

    /// How long something is still waited for at the end that no step expects.
    fn last_wait(&self) -> Duration;

    /// Resolves once this was seen; it is not seen twice.
    fn poll_sight(&self, sight: &Sight, context: &mut Context<'_>) -> Poll<()>;

    /// What was seen and is a failure where no step names it.
    fn unclaimed(&self) -> Vec<String>;
}

/// A connection as its peer holds it. It is closed when it is dropped.
pub trait Wire {
    /// Receives; is not called any more once the other side has ended.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Arrival>;

    /// Sends a part of a stream, or a datagram; says how much of it was taken.
    ///
    /// # Errors
    /// The other side is gone.
    fn poll_send(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Whether it is known that what is sent does not reach anyone: one of the sides has closed, or
    /// this one has ended.
    fn is_closed(&self) -> bool {
        false
    }

    /// What is sent next is the last: it may wait for [`Wire::end`], which follows at once, so that
    /// nobody answers in between.
    fn hold_back(&mut self) {}

    /// Ends the sending side.
    ///
    /// # Errors
    /// The system's.
    fn end(&mut self) -> io::Result<()>;

    /// Breaks the connection off.
    fn reset(self);
}
