//! Which replies change, for a person to read.

use std::fmt::{self, Display, Formatter};

use super::tape::Recording;
use crate::simulation::rerun::{Cue, Deed, Reply};
use crate::text::Printable;

/// Changes that are shown.
const SHOWN: usize = 5;

/// Bytes that are shown of a message and of a reply.
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
    message: Option<Vec<u8>>,
    peer: String,
    before: Reply,
    now: Reply,
}

impl Comparison {
    /// Of the replies of the generation `old` and of the new one.
    pub(super) fn of(recording: &Recording, old: u64, all_before: &[Reply], now: &[Reply]) -> Self {
        let partial = recording.partial;
        let mut comparison = Self { replies: 0, changes: Vec::new(), unclear: 0, partial };
        let mut is_unclear = false;
        for (index, cue) in recording.cues.iter().enumerate() {
            let (answer, before, now) =
                (&recording.answers[index], &all_before[index], &now[index]);
            let message = match &cue.deed {
                Deed::Send(bytes) => Some(bytes.clone()),
                // A greeting is a reply, where there is one.
                Deed::Open(_) if !before.bytes.is_empty() || !now.bytes.is_empty() => None,
                _ => continue,
            };
            if !answer.continues {
                is_unclear = answers_otherwise(recording, index, old, all_before);
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
        comparison
    }
}

/// Whether the old generation answers otherwise than it did to what was read with the message at
/// `index`.
fn answers_otherwise(recording: &Recording, index: usize, old: u64, before: &[Reply]) -> bool {
    let answer = &recording.answers[index];
    let more = recording.answers[index + 1..].iter().take_while(|answer| answer.continues).count();
    let again: Vec<&[u8]> =
        before[index..=index + more].iter().map(|reply| &reply.bytes[..]).collect();
    let again = again.concat();
    let is_as_it_was = answer.bytes == again || answer.is_last && again.starts_with(&answer.bytes);
    answer.generation == old && !is_as_it_was
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
        let all = if *replies == 1 { "1 reply".to_owned() } else { format!("{replies} replies") };
        match changes.len() {
            0 => write!(out, "none of {all} changes")?,
            1 => write!(out, "1 of {all} changes")?,
            count => write!(out, "{count} of {all} change")?,
        }
        if *unclear > 0 {
            write!(
                out,
                "; nothing can be said of {unclear}, in which state from before the messages that \
                 are kept, chance or another server had a part"
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
        write!(out, "\n  before {}\n  now    {}", Shown(before), Shown(now))
    }
}

/// A reply in a line.
struct Shown<'a>(&'a Reply);

impl Display for Shown<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Reply { bytes, ended } = self.0;
        match (bytes.is_empty(), ended) {
            (true, false) => return out.write_str("nothing"),
            (true, true) => return out.write_str("the end of the connection"),
            _ => write!(out, "\"{:.SHOWN_BYTES$}\"", Printable(bytes))?,
        }
        if *ended { out.write_str(" and the end of the connection") } else { Ok(()) }
    }
}
