//! Which replies change, for a person to read.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use super::tape::Recording;
use crate::simulation::rerun::{Cue, Deed, Reply};
use crate::text::Printable;
use crate::transcript::Difference;

/// Changes that are shown.
const SHOWN: usize = 5;

/// Bytes that are shown of a message.
const SHOWN_BYTES: usize = 80;

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    replies: usize,
    changes: Vec<Change>,
    unclear: usize,
    partial: usize,
}

#[derive(Debug, PartialEq, Eq)]
struct Change {
    /// None where the connection was just made.
    message: Option<Arc<[u8]>>,
    peer: String,
    before: Reply,
    now: Reply,
}

impl Comparison {
    /// Of the replies of the generation `old` and of the new one; also tells of which events the
    /// old one answers what it answered then.
    pub(super) fn of(
        recording: &Recording,
        old: u64,
        all_before: &[Reply],
        now: &[Reply],
    ) -> (Self, Vec<(u64, bool)>) {
        let partial = recording.partial;
        let mut known = Vec::new();
        let mut comparison = Self { replies: 0, changes: Vec::new(), unclear: 0, partial };
        let mut is_unclear = false;
        let mut messages = Messages::default();
        for (index, cue) in recording.cues.iter().enumerate() {
            let (answer, before, now) =
                (&recording.answers[index], &all_before[index], &now[index]);
            let message = match &cue.deed {
                // A greeting is a reply, where there is one.
                Deed::Open(_) if !before.bytes.is_empty() || !now.bytes.is_empty() => None,
                _ => match messages.take(cue) {
                    Some(message) => Some(message),
                    None => continue,
                },
            };
            if !answer.continues {
                // What an older generation has answered says something of that one alone.
                let is_old = answer.generation != old;
                let otherwise = || answers_otherwise(recording, index, all_before);
                is_unclear = match answer.is_clear {
                    Some(is_clear) if is_old => !is_clear,
                    _ => otherwise(),
                };
                if !is_old {
                    known.push((answer.event, !is_unclear));
                }
            }
            comparison.replies += 1;
            if is_unclear {
                comparison.unclear += 1;
            } else if before != now {
                let peer = peer_of(&recording.cues, cue);
                let (before, now) = (before.clone(), now.clone());
                comparison.changes.push(Change { message, peer, before, now });
            }
        }
        (comparison, known)
    }
}

/// Messages that are not whole yet, by their connections.
#[derive(Default)]
struct Messages(HashMap<u64, Vec<u8>>);

impl Messages {
    /// The message that is whole with this cue.
    fn take(&mut self, cue: &Cue) -> Option<Arc<[u8]>> {
        let piece = if let Deed::Send(bytes) = &cue.deed { &bytes[..] } else { &[] };
        let begun = self.0.remove(&cue.conn);
        let mut bytes = begun.unwrap_or_default();
        bytes.extend(piece);
        if cue.ends_message {
            return Some(bytes.into());
        }
        if !bytes.is_empty() {
            self.0.insert(cue.conn, bytes);
        }
        None
    }
}

/// Whether the old generation answers otherwise than it did to what was read with the message at
/// `index`.
fn answers_otherwise(recording: &Recording, index: usize, before: &[Reply]) -> bool {
    let answer = &recording.answers[index];
    let more = recording.answers[index + 1..].iter().take_while(|answer| answer.continues).count();
    let again: Vec<&[u8]> =
        before[index..=index + more].iter().map(|reply| &reply.bytes[..]).collect();
    let again = again.concat();
    let is_as_it_was =
        answer.bytes == again || answer.may_go_on && again.starts_with(&answer.bytes);
    !is_as_it_was
}

fn peer_of(cues: &[Cue], cue: &Cue) -> String {
    let opening = cues.iter().find_map(|other| match &other.deed {
        Deed::Open(place) if other.conn == cue.conn => Some(place),
        _ => None,
    });
    let place = opening.map(|place| format!(" {} {}", place.transport.name(), place.peer));
    format!("conn {}{}", cue.conn, place.unwrap_or_default())
}

impl Display for Comparison {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { replies, changes, unclear, partial } = self;
        let told = replies - unclear;
        match (told, changes.len()) {
            (0, _) => out.write_str("nothing can be said of any reply")?,
            (1, 0) => out.write_str("none of 1 reply changes")?,
            (1, _) => out.write_str("1 of 1 reply changes")?,
            (_, 0) => write!(out, "none of {told} replies changes")?,
            (_, 1) => write!(out, "1 of {told} replies changes")?,
            (_, count) => write!(out, "{count} of {told} replies change")?,
        }
        if *unclear > 0 {
            let replies = if *unclear == 1 { "reply" } else { "replies" };
            write!(
                out,
                "; in {unclear} {replies} state from before the messages that are kept, chance or \
                 another server had a part, so that nothing can be said of them"
            )?;
        }
        if *partial > 0 {
            let messages = if *partial == 1 { "message is" } else { "messages are" };
            write!(
                out,
                "; {partial} {messages} left out, of connections that are older than what is kept"
            )?;
        }
        changes.iter().take(SHOWN).try_for_each(|change| write!(out, "\n{change}"))?;
        match changes.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(out, "\nand {more} more"),
        }
    }
}

impl Display for Change {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { message, peer, before, now } = self;
        match message {
            Some(bytes) => write!(out, "{peer}, message \"{:.SHOWN_BYTES$}\"", Printable(bytes))?,
            None => write!(out, "{peer}, as it connects")?,
        }
        let difference = Difference::between(&before.bytes, &now.bytes);
        let before = Shown { reply: before, text: difference.expected() };
        let now = Shown { reply: now, text: difference.got() };
        write!(out, "\n  before {before}\n  now    {now}")
    }
}

/// A reply in a line, of which `text` is the part that differs from the other.
struct Shown<'a> {
    reply: &'a Reply,
    text: &'a str,
}

impl Display for Shown<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { reply: Reply { bytes, ended }, text } = self;
        match (bytes.is_empty(), ended) {
            (_, false) => out.write_str(text),
            (true, true) => out.write_str("the end of the connection"),
            (false, true) => write!(out, "{text} and the end of the connection"),
        }
    }
}
