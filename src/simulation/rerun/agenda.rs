//! When the peers of a rerun do what they did: at the same distances in time, but whoever had heard
//! something before waits until it hears something again. Pure.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use super::{Cue, PATIENCE};

/// What is no later than this is not late: a simulation is not as exact as that.
const LAG: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct Agenda<'a> {
    cues: &'a [Cue],
    /// When each is due, by their index. Some stand here twice.
    due: BinaryHeap<Reverse<(Duration, usize)>>,
    courses: HashMap<u64, Course>,
}

/// What one peer does.
#[derive(Default)]
struct Course {
    /// Its cues, from the next one on.
    left: VecDeque<usize>,
    /// How much later than then.
    late: Duration,
    /// It has heard something since its last cue.
    has_heard: bool,
}

impl<'a> Agenda<'a> {
    pub(super) fn new(cues: &'a [Cue]) -> Self {
        let mut courses = HashMap::<u64, Course>::new();
        for (index, cue) in cues.iter().enumerate() {
            courses.entry(cue.conn).or_default().left.push_back(index);
        }
        let firsts = courses.values().filter_map(|course| course.left.front());
        let due = firsts.map(|&index| Reverse((cues[index].at, index))).collect();
        Self { cues, due, courses }
    }

    /// When the next cue is due; none where none is left.
    pub(super) fn next_time(&mut self) -> Option<Duration> {
        while let Some(&Reverse((at, index))) = self.due.peek() {
            let course = self.courses.get(&self.cues[index].conn);
            if course.is_some_and(|course| course.left.front() == Some(&index)) {
                return Some(at);
            }
            self.due.pop();
        }
        None
    }

    /// Takes the next cue, which happens `now`.
    pub(super) fn take(&mut self, now: Duration) -> Option<usize> {
        self.next_time()?;
        let Reverse((_, index)) = self.due.pop()?;
        let cue = &self.cues[index];
        let course = self.courses.get_mut(&cue.conn)?;
        course.left.pop_front();
        course.has_heard = false;
        let late = now.saturating_sub(cue.at);
        if cue.is_after_answer && late > LAG {
            course.late = course.late.max(late);
        }
        if let Some(&next) = course.left.front() {
            let cue = &self.cues[next];
            let at = cue.at + course.late;
            let latest = || (at + LAG).max(now + PATIENCE);
            self.due.push(Reverse((if cue.is_after_answer { latest() } else { at }, next)));
        }
        Some(index)
    }

    /// This peer hears something, or will not hear anything any more.
    pub(super) fn hear(&mut self, conn: u64) {
        let Some(course) = self.courses.get_mut(&conn) else { return };
        if std::mem::replace(&mut course.has_heard, true) {
            return;
        }
        if let Some(&next) = course.left.front()
            && self.cues[next].is_after_answer
        {
            // That may be over, and then it still comes before whoever did something later.
            self.due.push(Reverse((self.cues[next].at + course.late, next)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Deed;
    use super::*;

    fn cue(conn: u64, at: u64, is_after_answer: bool) -> Cue {
        let at = Duration::from_secs(at);
        Cue { conn, at, deed: Deed::End, ends_message: false, is_after_answer }
    }

    /// Takes all that is left, with the second in which it is due.
    fn rest(agenda: &mut Agenda<'_>) -> Vec<(u64, usize)> {
        let mut taken = Vec::new();
        while let Some(at) = agenda.next_time() {
            taken.extend(agenda.take(at).map(|index| (at.as_secs(), index)));
        }
        taken
    }

    #[test]
    fn cues_are_due_when_they_were() {
        let cues = [cue(1, 0, false), cue(2, 1, false), cue(1, 2, false), cue(2, 2, false)];
        assert_eq!(rest(&mut Agenda::new(&cues)), [(0, 0), (1, 1), (2, 2), (2, 3)]);
    }

    #[test]
    fn a_peer_waits_for_an_answer_and_is_late_from_there_on() {
        let cues = [cue(1, 0, false), cue(1, 1, true), cue(2, 2, false), cue(1, 3, false)];
        let mut agenda = Agenda::new(&cues);
        assert_eq!(agenda.take(Duration::ZERO), Some(0));
        assert_eq!(agenda.take(Duration::from_secs(2)), Some(2));
        agenda.hear(1);
        assert_eq!(agenda.next_time(), Some(Duration::from_secs(1)));
        assert_eq!(agenda.take(Duration::from_secs(5)), Some(1));
        assert_eq!(rest(&mut agenda), [(7, 3)]);
    }

    #[test]
    fn an_answer_that_comes_sooner_hurries_nobody() {
        let cues = [cue(1, 0, false), cue(1, 4, true)];
        let mut agenda = Agenda::new(&cues);
        assert_eq!(agenda.take(Duration::ZERO), Some(0));
        agenda.hear(1);
        assert_eq!(rest(&mut agenda), [(4, 1)]);
    }

    #[test]
    fn peers_keep_their_order_though_the_clock_is_coarse() {
        let milli = |cue: Cue, at| Cue { at: Duration::from_micros(at), ..cue };
        let cues = [
            cue(1, 0, false),
            milli(cue(1, 0, true), 400),
            cue(2, 0, false),
            milli(cue(2, 0, false), 600),
            milli(cue(1, 0, true), 1_100),
            milli(cue(2, 0, false), 1_500),
        ];
        let mut agenda = Agenda::new(&cues);
        for (now, index) in [(0, 0), (0, 2), (1, 1), (1, 3), (2, 4), (2, 5)] {
            assert_eq!(agenda.take(Duration::from_millis(now)), Some(index));
            agenda.hear(cues[index].conn);
        }
    }

    #[test]
    fn nobody_waits_for_ever() {
        let cues = [cue(1, 0, false), cue(1, 1, true), cue(1, 60, true)];
        // The last came so late that it was no answer to wait for.
        assert_eq!(rest(&mut Agenda::new(&cues)), [(0, 0), (10, 1), (69, 2)]);
    }
}
