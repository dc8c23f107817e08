//! What a script turned out to be in a trial: plain data for people and for programs.

use std::time::Duration;

use super::generation::{Generation, Name};
use crate::frame::Framing;

/// The word for a framing that is a function of the script.
const FUNCTION: &str = "function";

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The callbacks that it has, in the order of the reference.
    pub callbacks: Vec<&'static str>,
    /// How received bytes become messages: as `--framing` takes it, or `function`.
    pub framing: String,
    /// How replies become bytes.
    pub reply_framing: String,
    /// When a silent stream connection is closed, if the script says so.
    pub idle_timeout: Option<Duration>,
    /// When a silent datagram peer is forgotten.
    pub peer_timeout: Duration,
}

impl Found {
    /// What was built; `max_message` is the limit of a framing that goes without saying.
    pub(super) fn of(generation: &Generation, max_message: usize) -> Self {
        let has = |name: &Name| generation.callback(*name).is_some();
        let (framings, rules) = (generation.framings(), generation.rules());
        let text = |framing: &Framing| {
            framing.spec(max_message).map_or(FUNCTION.to_owned(), |spec| spec.to_string())
        };
        Self {
            callbacks: Name::ALL
                .iter()
                .filter(|name| has(name))
                .map(|name| name.as_str())
                .collect(),
            framing: text(&framings.read),
            reply_framing: text(&framings.reply),
            idle_timeout: rules.idle_timeout,
            peer_timeout: rules.peer_timeout,
        }
    }

    /// Whether what arrives is given to the script at all.
    #[must_use]
    pub fn takes_input(&self) -> bool {
        let takers = [Name::Message, Name::Session].map(Name::as_str);
        self.callbacks.iter().any(|name| takers.contains(name))
    }
}
