//! What a handler did that no peer can see: what it has logged, rejected and failed at, for the
//! steps that name it and for whoever reads of a failure.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use crate::text::Printable;
use crate::transcript::{Line, Sight};
use crate::world::Sighting;

/// Lines of the log that are kept, for steps and for readers: the last ones, where a handler
/// floods it.
const MOST_LINES: usize = 10_000;

/// Faults and rejects that are kept: the first ones.
const MOST_TROUBLES: usize = 10_000;

/// Faults and rejects that are told where no step names them.
const MOST_TOLD: usize = 10;

/// See the module.
#[derive(Default)]
pub(super) struct Seen {
    lines: RefCell<VecDeque<Noted>>,
    /// Faults and rejects.
    troubles: RefCell<VecDeque<Noted>>,
    log: RefCell<VecDeque<String>>,
    /// Lines that the log had, and has no more.
    dropped: Cell<usize>,
    waker: RefCell<Option<Waker>>,
}

struct Noted {
    sighting: Sighting,
    claimed: bool,
}

impl Seen {
    /// Something was seen.
    pub(super) fn note(&self, sighting: Sighting) {
        let (list, most) = match &sighting {
            Sighting::Log { level, text } => {
                self.note_line(format!("{level} {text}"));
                (&self.lines, MOST_LINES)
            }
            Sighting::Reject(reason) => {
                self.note_line(format!("rejected: {reason}"));
                (&self.troubles, MOST_TROUBLES)
            }
            Sighting::Fault { whole, .. } => {
                self.note_line(format!("fault: {whole}"));
                (&self.troubles, MOST_TROUBLES)
            }
        };
        let is_line = matches!(sighting, Sighting::Log { .. });
        let mut list = list.borrow_mut();
        if is_line && list.len() == most {
            list.pop_front();
        }
        if list.len() < most {
            list.push_back(Noted { sighting, claimed: false });
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// A line for whoever reads of a failure.
    pub(super) fn note_line(&self, line: String) {
        let mut log = self.log.borrow_mut();
        if log.len() == MOST_LINES {
            log.pop_front();
            self.dropped.set(self.dropped.get() + 1);
        }
        log.push_back(line);
    }

    /// The log so far; its end, where it was flooded.
    pub(super) fn take_log(&self) -> Vec<String> {
        let dropped = self.dropped.take();
        let first = (dropped > 0).then(|| format!("({dropped} lines were dropped)"));
        first.into_iter().chain(self.log.take()).collect()
    }

    /// Resolves once this was seen; it is not seen twice.
    pub(super) fn poll(&self, sight: &Sight, context: &mut Context<'_>) -> Poll<()> {
        let mut list = match sight {
            Sight::Log(_) => self.lines.borrow_mut(),
            _ => self.troubles.borrow_mut(),
        };
        let found = list.iter_mut().find(|noted| !noted.claimed && noted.is(sight));
        if let Some(noted) = found {
            noted.claimed = true;
            return Poll::Ready(());
        }
        self.waker.replace(Some(context.waker().clone()));
        Poll::Pending
    }

    /// The faults and rejects that no step has named.
    pub(super) fn unclaimed(&self) -> Vec<String> {
        let troubles = self.troubles.borrow();
        let left = troubles.iter().filter(|noted| !noted.claimed);
        let told = left.clone().take(MOST_TOLD).map(|noted| match &noted.sighting {
            Sighting::Fault { summary, .. } => {
                format!("a fault, and no step names it: {}", Printable(summary.as_bytes()))
            }
            Sighting::Log { text, .. } => text.clone(),
            Sighting::Reject(reason) => {
                format!("rejected, and no step names it: {}", Printable(reason.as_bytes()))
            }
        });
        let mut told: Vec<String> = told.collect();
        let more = left.count().saturating_sub(MOST_TOLD);
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        told
    }
}

impl Noted {
    fn is(&self, sight: &Sight) -> bool {
        let holds = |text: &String, part: &Line| text.contains(part.as_str());
        match (&self.sighting, sight) {
            (Sighting::Log { text, .. }, Sight::Log(part)) => holds(text, part),
            (Sighting::Reject(reason), Sight::Reject(part)) => holds(reason, part),
            (Sighting::Fault { summary, .. }, Sight::Fault(part)) => holds(summary, part),
            _ => false,
        }
    }
}
