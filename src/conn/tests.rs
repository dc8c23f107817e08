//! The words of the enums against the reference.

use super::Reason;
use crate::net::Transport;
use crate::reference::Word;
use crate::reference::words::{REASONS, TRANSPORTS};

fn words(words: &[Word]) -> Vec<&'static str> {
    let mut words: Vec<_> = words.iter().map(|word| word.word).collect();
    words.sort_unstable();
    words
}

#[test]
fn the_reference_has_every_close_reason() {
    let all = [
        Reason::Eof,
        Reason::Closed,
        Reason::Reset,
        Reason::Idle,
        Reason::Error,
        Reason::Slow,
        Reason::Shutdown,
        Reason::Oversize,
        Reason::Rejected,
        Reason::Framing,
        Reason::Limit,
    ];
    // Does not compile with a reason that is missing above as well.
    for reason in all {
        match reason {
            Reason::Eof
            | Reason::Closed
            | Reason::Reset
            | Reason::Idle
            | Reason::Error
            | Reason::Slow
            | Reason::Shutdown
            | Reason::Oversize
            | Reason::Framing
            | Reason::Rejected
            | Reason::Limit => {}
        }
    }
    let mut names = all.map(Reason::as_str);
    names.sort_unstable();
    assert_eq!(words(&REASONS), names);
}

#[test]
fn the_reference_has_every_transport() {
    let all = [Transport::Tcp, Transport::Udp, Transport::Unix, Transport::Unixgram];
    for transport in all {
        match transport {
            Transport::Tcp | Transport::Udp | Transport::Unix | Transport::Unixgram => {}
        }
    }
    assert_eq!(words(&TRANSPORTS), all.map(Transport::name));
}
