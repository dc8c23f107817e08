//! Regular expressions: with `scan` the only place that names `regex_automata` and `regex_syntax`.
//!
//! The parts that the `regex` crate is made of, and not that crate, because a stream is read in
//! pieces: a lazy DFA goes on where the last piece ended, where `regex` would begin anew. A
//! pattern for bytes begins at the first byte and takes as few as it can, so that what it takes
//! does not depend on how the stream was cut.

mod scan;

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input, PatternID};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, Look};

use super::mistake::Slip;
use super::template::Variables;
use super::words::{Line, Name};
use scan::Automaton;
pub(super) use scan::{Reading, Scan};

/// The memory that a compiled pattern may take, in bytes.
const MOST: usize = 10 << 20;

/// The pattern of `<~`, searched for in the text of one line. Two are equal if they were written
/// alike.
#[derive(Clone)]
pub struct LinePattern {
    text: Line,
    search: Arc<Search>,
}

/// The pattern of `<<~`: bytes from the first one on. `.` is any byte, `\d` an ASCII digit. Two
/// are equal if they were written alike.
#[derive(Clone)]
pub struct BytesPattern {
    text: Line,
    program: Arc<Program>,
}

struct Program {
    search: Search,
    /// The pattern with the end of the bytes behind it.
    whole: Regex,
    /// Reads a stream, byte by byte.
    automaton: Automaton,
    /// It takes no byte of any stream.
    takes_nothing: bool,
}

/// A pattern, and the groups of it that have a name.
struct Search {
    regex: Regex,
    names: Vec<(usize, Name)>,
}

impl LinePattern {
    /// Compiles it. The place of a slip counts from the first byte of the text.
    pub(super) fn new(text: Line) -> Result<Self, Slip> {
        let expression = parse(ParserBuilder::new().utf8(false), text.as_str())?;
        Ok(Self { text, search: Arc::new(Search::new(&expression)?) })
    }

    /// How it was written.
    #[must_use]
    pub fn text(&self) -> &Line {
        &self.text
    }

    /// The variables that it sets.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.search.names.iter().map(|(_, name)| name)
    }

    /// Whether it is found in a line; if so, what its groups captured is kept.
    pub(super) fn find(&self, line: &[u8], variables: &mut Variables) -> bool {
        self.search.capture(&self.search.regex, &Input::new(line), variables)
    }
}

impl BytesPattern {
    /// Compiles it. The place of a slip counts from the first byte of the text.
    pub(super) fn new(text: Line) -> Result<Self, Slip> {
        let mut syntax = ParserBuilder::new();
        syntax.utf8(false).unicode(false).dot_matches_new_line(true);
        let expression = parse(&syntax, text.as_str())?;
        let automaton = Automaton::new(&expression)?;
        let program = Program {
            search: Search::new(&expression)?,
            whole: compile(&Hir::concat(vec![expression.clone(), Hir::look(Look::End)]))?,
            takes_nothing: expression.properties().minimum_len() == Some(0)
                && !automaton.looks_ahead(),
            automaton,
        };
        Ok(Self { text, program: Arc::new(program) })
    }

    /// How it was written.
    #[must_use]
    pub fn text(&self) -> &Line {
        &self.text
    }

    /// The variables that it sets.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.program.search.names.iter().map(|(_, name)| name)
    }

    /// Whether it takes no byte of any stream, as it takes as few as it can.
    pub(super) fn takes_nothing(&self) -> bool {
        self.program.takes_nothing
    }

    /// Begins to read a stream with it.
    pub(super) fn scan(&self) -> Scan<'_> {
        self.program.automaton.scan()
    }

    /// Keeps the groups of the first `length` of these bytes, which a scan has found to match.
    pub(super) fn groups(&self, bytes: &[u8], length: usize, variables: &mut Variables) {
        let search = &self.program.search;
        if !search.names.is_empty() {
            let input = Input::new(bytes).range(..length).anchored(Anchored::Yes);
            search.capture(&search.regex, &input, variables);
        }
    }

    /// Whether it is all of these bytes; if so, what its groups captured is kept.
    pub(super) fn is_all(&self, bytes: &[u8], variables: &mut Variables) -> bool {
        let input = Input::new(bytes).anchored(Anchored::Yes);
        self.program.search.capture(&self.program.whole, &input, variables)
    }
}

impl Search {
    fn new(expression: &Hir) -> Result<Self, Slip> {
        let regex = compile(expression)?;
        let mut names = Vec::new();
        for (group, name) in regex.group_info().pattern_names(PatternID::ZERO).enumerate() {
            let Some(name) = name else { continue };
            let name = Name::new(name).ok_or_else(|| {
                Slip::new(
                    0,
                    format!("expected a group's name of letters, digits and _, got {name}"),
                )
            })?;
            names.push((group, name));
        }
        Ok(Self { regex, names })
    }

    /// Searches with an expression that has these groups.
    fn capture(&self, regex: &Regex, input: &Input<'_>, variables: &mut Variables) -> bool {
        if self.names.is_empty() {
            return regex.is_match(input.clone());
        }
        let mut captures = regex.create_captures();
        regex.search_captures(input, &mut captures);
        if captures.is_match() {
            for (group, name) in &self.names {
                // A group that took no part holds nothing.
                let span = captures.get_group(*group).map_or(0..0, |span| span.range());
                variables.set(name, &input.haystack()[span]);
            }
        }
        captures.is_match()
    }
}

fn parse(syntax: &ParserBuilder, text: &str) -> Result<Hir, Slip> {
    syntax.build().parse(text).map_err(|error| {
        let (at, problem) = match &error {
            regex_syntax::Error::Parse(error) => {
                (error.span().start.offset, error.kind().to_string())
            }
            regex_syntax::Error::Translate(error) => {
                (error.span().start.offset, error.kind().to_string())
            }
            _ => (0, error.to_string()),
        };
        Slip::new(at, format!("expected a regular expression: {problem}"))
    })
}

fn compile(expression: &Hir) -> Result<Regex, Slip> {
    let config = Regex::config().utf8_empty(false).nfa_size_limit(Some(MOST));
    Regex::builder().configure(config).build_from_hir(expression).map_err(|_| too_large())
}

fn too_large() -> Slip {
    Slip::new(0, "expected a smaller regular expression: compiled it is over 10 MiB")
}

impl PartialEq for LinePattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for LinePattern {}

impl Debug for LinePattern {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.text.fmt(out)
    }
}

impl PartialEq for BytesPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for BytesPattern {}

impl Debug for BytesPattern {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.text.fmt(out)
    }
}
