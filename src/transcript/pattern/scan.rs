//! A stream read with a pattern, piece by piece, each byte once.

use regex_automata::Anchored;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::hybrid::{LazyStateID, StartError};
use regex_automata::nfa::thompson::{Compiler, Config, WhichCaptures};
use regex_automata::util::pool::{Pool, PoolGuard};
use regex_automata::util::start;
use regex_syntax::hir::{Hir, Look};

use super::{MOST, too_large};
use crate::transcript::mistake::Slip;

type Create = Box<dyn Fn() -> Cache + Send + Sync>;

/// Reads bytes from the first on and knows after each whether they match.
pub(super) struct Automaton {
    dfa: DFA,
    /// What it has learnt; a scan has one for itself.
    caches: Pool<Cache, Create>,
    looks_ahead: bool,
}

impl Automaton {
    pub(super) fn new(expression: &Hir) -> Result<Self, Slip> {
        let config = Config::new()
            .utf8(false)
            .nfa_size_limit(Some(MOST))
            .which_captures(WhichCaptures::None);
        let nfa = Compiler::new().configure(config).build_from_hir(expression);
        let dfa = DFA::builder()
            .configure(DFA::config().skip_cache_capacity_check(true))
            .build_from_nfa(nfa.map_err(|_| too_large())?)
            .map_err(|error| Slip::new(0, format!("this cannot be found in bytes: {error}")))?;
        let create = dfa.clone();
        let looks = expression.properties().look_set().remove(Look::Start).remove(Look::StartLF);
        Ok(Self {
            dfa,
            caches: Pool::new(Box::new(move || create.create_cache())),
            looks_ahead: !looks.is_empty(),
        })
    }

    /// Whether a match depends on what is behind it, as with `$` and `\b`.
    pub(super) fn looks_ahead(&self) -> bool {
        self.looks_ahead
    }

    /// Where it is before the first byte.
    fn start(&self, cache: &mut Cache) -> Result<LazyStateID, StartError> {
        self.dfa.start_state(cache, &start::Config::new().anchored(Anchored::Yes))
    }

    pub(super) fn scan(&self) -> Scan<'_> {
        Scan { automaton: self, cache: self.caches.get(), state: None, scanned: 0 }
    }
}

/// A stream read with a pattern for bytes, as far as it has come.
pub(in crate::transcript) struct Scan<'p> {
    automaton: &'p Automaton,
    cache: PoolGuard<'p, Cache, Create>,
    /// Where the automaton is; `None` before the first byte.
    state: Option<LazyStateID>,
    /// Bytes that it has read.
    scanned: usize,
}

/// What a [`Scan`] knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transcript) enum Reading {
    /// So many bytes match, and no fewer do.
    Matched(usize),
    /// No match so far.
    More,
    /// No match whatever comes, because of the byte behind this many.
    Never(usize),
}

impl Scan<'_> {
    /// Reads on. `bytes` begin at the first byte of the stream and may only have grown; `end`: no
    /// byte follows them.
    pub(in crate::transcript) fn read(&mut self, bytes: &[u8], end: bool) -> Reading {
        let state = match self.feed(bytes) {
            Ok(state) => state,
            Err(reading) => return reading,
        };
        if !end && self.automaton.looks_ahead {
            return Reading::More;
        }
        // The automaton tells of a match one byte late, so it is asked what it would say at the
        // end.
        let cleared = self.cache.clear_count();
        let at_end = self.automaton.dfa.next_eoi_state(&mut self.cache, state);
        if at_end.is_ok_and(|state| state.is_match()) {
            return Reading::Matched(bytes.len());
        }
        if self.cache.clear_count() != cleared {
            // The cache has no need of room for the answer "no", so this is not seen to happen; but
            // were it emptied, the state would be another's.
            (self.state, self.scanned) = (None, 0);
        }
        Reading::More
    }

    /// Where the automaton is behind the last byte, or what it found before.
    fn feed(&mut self, bytes: &[u8]) -> Result<LazyStateID, Reading> {
        let Self { automaton, cache, state, scanned } = self;
        // No quit byte and no limit of the cache is set, so that no step fails.
        let mut at = match *state {
            Some(state) => state,
            None => automaton.start(cache).map_err(|_| Reading::Never(0))?,
        };
        for (number, &byte) in bytes.iter().enumerate().skip(*scanned) {
            at = automaton.dfa.next_state(cache, at, byte).map_err(|_| Reading::Never(number))?;
            if at.is_match() {
                return Err(Reading::Matched(number));
            }
            if at.is_dead() {
                return Err(Reading::Never(number));
            }
        }
        (*state, *scanned) = (Some(at), bytes.len());
        Ok(at)
    }
}
