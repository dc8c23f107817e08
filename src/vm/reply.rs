//! What a callback's results mean, by the return rules of the handler.

use std::rc::Rc;

use tracing::info;

use super::Generation;
use super::raw::{Coroutine, Given};
use crate::conn::{Conn, SendError};
use crate::frame::Framing;
use crate::handler::Outcome;
use crate::text::Printable;
use crate::world::Sighting;

/// Reasons are cut to this many bytes: they are often a part of what a peer sent.
pub(super) const LONGEST_REASON: usize = 1024;

/// The results of a callback, understood.
struct Answer<'a> {
    reply: Reply<'a>,
    ended: Ended,
}

/// What is to be sent.
#[derive(Debug, PartialEq)]
enum Reply<'a> {
    None,
    One(&'a [u8]),
    /// The elements of the array at this position among the results.
    Many(i32),
}

/// How a callback ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Plain,
    /// It returned `true`.
    Kept,
    /// It returned nil and this reason.
    Rejected(String),
}

/// Where the replies of a callback go, and in which framing.
pub(super) struct Recipient<'a> {
    pub(super) conn: &'a Rc<Conn>,
    pub(super) framing: &'a Framing,
}

/// Sends what the callback `name` of `generation` returned, and says how it ended.
///
/// # Errors
/// What it returned means nothing, or cannot be sent.
pub(super) fn deliver(
    name: &str,
    generation: &Generation,
    recipient: Option<&Recipient<'_>>,
    coroutine: &Coroutine,
) -> Result<Outcome, String> {
    // Nearly all of them: a plain reply.
    if let (Some(recipient), Given::Bytes(bytes)) = (recipient, coroutine.result(1)) {
        send(name, recipient, bytes)?;
        return Ok(Outcome::NOTHING);
    }
    deliver_other(name, generation, recipient, coroutine)
}

/// As [`deliver`], whatever was returned.
fn deliver_other(
    name: &str,
    generation: &Generation,
    recipient: Option<&Recipient<'_>>,
    coroutine: &Coroutine,
) -> Result<Outcome, String> {
    let Answer { reply, ended } = answer(name, coroutine)?;
    let Some(recipient) = recipient else { return Ok(Outcome::NOTHING) };
    let conn = recipient.conn;
    // On a connection that is gone nothing is a reject: `return conn:send(x)` is harmless.
    if !conn.is_open() && matches!(ended, Ended::Rejected(_)) {
        return Ok(Outcome::NOTHING);
    }
    match reply {
        Reply::None => {}
        Reply::One(bytes) => send(name, recipient, bytes)?,
        Reply::Many(position) => send_all(name, recipient, coroutine, position)?,
    }
    Ok(match ended {
        Ended::Plain => Outcome::NOTHING,
        Ended::Kept => Outcome::Done { keep: true },
        Ended::Rejected(reason) => {
            match generation.machine.host.world() {
                Some(world) => world.note(Sighting::Reject(reason)),
                None => tell_of_reject(name, generation, conn, &reason),
            }
            Outcome::Rejected
        }
    })
}

fn tell_of_reject(name: &str, generation: &Generation, conn: &Conn, reason: &str) {
    let label = generation.label();
    let (generation, hash) = (label.number, &*label.hash);
    let what = if name == "on_connect" { "connection" } else { "message" };
    info!(%reason, %conn, generation, hash, "{what} rejected");
}

/// Reads the results of the callback `name`.
///
/// # Errors
/// They mean nothing; the text says what was expected.
fn answer<'a>(name: &str, coroutine: &'a Coroutine) -> Result<Answer<'a>, String> {
    let first = coroutine.result(1);
    if first == Given::Boolean(true) {
        return Ok(Answer { reply: Reply::None, ended: Ended::Kept });
    }
    if first != Given::Nothing {
        return Ok(Answer { reply: reply(name, coroutine, 1, first)?, ended: Ended::Plain });
    }
    let reason = coroutine.result(2);
    if reason == Given::Nothing {
        return Ok(Answer { reply: Reply::None, ended: Ended::Plain });
    }
    let reason = reason_text(name, &reason)?;
    let reply = reply(name, coroutine, 3, coroutine.result(3))?;
    Ok(Answer { reply, ended: Ended::Rejected(reason) })
}

/// What `on_load` or `on_unload` returned, if that is nil and a reason.
pub(super) fn refusal(coroutine: &Coroutine) -> Option<String> {
    match (coroutine.result(1), coroutine.result(2)) {
        (Given::Nothing, Given::Bytes(reason)) => {
            Some(String::from_utf8_lossy(reason).into_owned())
        }
        _ => None,
    }
}

fn reason_text(name: &str, reason: &Given<'_>) -> Result<String, String> {
    match reason {
        Given::Bytes(text) => Ok(format!("{:.LONGEST_REASON$}", Printable(text))),
        Given::Number(number) => Ok(number.to_string()),
        other => Err(format!(
            "{name} returned nil and {}; the reason for a reject is a string",
            described(other)
        )),
    }
}

/// What the result `given` at `position` has sent.
fn reply<'a>(
    name: &str,
    coroutine: &'a Coroutine,
    position: i32,
    given: Given<'a>,
) -> Result<Reply<'a>, String> {
    match given {
        Given::Nothing => Ok(Reply::None),
        Given::Bytes(bytes) => Ok(Reply::One(bytes)),
        Given::Table => {
            check_array(name, coroutine, position)?;
            Ok(Reply::Many(position))
        }
        other => Err(format!(
            "{name} returned {}; a string, an array of strings, true or nothing was expected",
            described(&other)
        )),
    }
}

fn check_array(name: &str, coroutine: &Coroutine, position: i32) -> Result<(), String> {
    let mut count = 0;
    coroutine.elements(position, |index, element| match element {
        Given::Bytes(_) => {
            count = index;
            Ok(())
        }
        other => Err(format!(
            "{name} returned an array whose element {index} is {}; an array of strings was expected",
            described(&other)
        )),
    })?;
    if count == 0 && !coroutine.is_empty_table(position) {
        return Err(format!(
            "{name} returned a table that is no array; a string or an array of strings was expected"
        ));
    }
    Ok(())
}

/// A value as an error names it.
fn described(value: &Given<'_>) -> String {
    match value {
        Given::Nothing => "nil".to_owned(),
        Given::Boolean(value) => value.to_string(),
        Given::Number(number) => format!("a number ({number})"),
        Given::Bytes(_) => "a string".to_owned(),
        Given::Table => "a table".to_owned(),
        Given::Other(kind) => format!("a {kind}"),
    }
}

/// Sends one reply of the callback `name`.
///
/// # Errors
/// It does not fit a datagram or its framing, or into the memory for what is to be sent.
#[inline]
fn send(name: &str, recipient: &Recipient<'_>, bytes: &[u8]) -> Result<(), String> {
    match recipient.conn.reply(bytes, recipient.framing) {
        // A full queue of datagrams drops, as the network would.
        Ok(()) | Err(SendError::Closed | SendError::Full) => Ok(()),
        Err(error) => Err(not_sent(name, recipient.conn, bytes.len(), error)),
    }
}

/// Why a reply of so many bytes could not be sent.
#[cold]
fn not_sent(name: &str, conn: &Conn, bytes: usize, error: SendError) -> String {
    match error {
        SendError::Crowded => format!(
            "{name} returned {bytes} bytes, for which there is no room: what a worker has to send \
             may take as much memory as its VM (--memory)"
        ),
        SendError::TooLong if !conn.is_stream() => format!(
            "{name} returned {bytes} bytes; a datagram holds {} at most",
            crate::conn::MAX_DATAGRAM
        ),
        SendError::TooLong | SendError::Closed | SendError::Full => format!(
            "{name} returned {bytes} bytes, more than the reply framing can say the length of"
        ),
    }
}

/// Sends the elements of an array that `check_array` has passed.
///
/// # Errors
/// As [`send`].
fn send_all(
    name: &str,
    recipient: &Recipient<'_>,
    coroutine: &Coroutine,
    position: i32,
) -> Result<(), String> {
    coroutine.elements(position, |_, element| match element {
        Given::Bytes(bytes) => send(name, recipient, bytes),
        _ => Ok(()),
    })
}
