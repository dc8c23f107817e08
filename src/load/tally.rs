//! What is counted while the load runs. Pure: times are nanoseconds.

use std::io::{self, ErrorKind};

use hdrhistogram::Histogram;
use nix::errno::Errno;

use super::exchange::Wrong;
use super::player::Broken;

/// Times are kept to three digits, up to an hour.
const DIGITS: u8 = 3;
const LONGEST: u64 = 3_600_000_000_000;

/// What went wrong with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nobody listens.
    Refused,
    /// The server reset it.
    Reset,
    /// The server closed it while an answer was due, or at all where it should have stayed open.
    Closed,
    /// No answer in time.
    Timeout,
    /// No connection in time.
    ConnectTimeout,
    /// The server sent what no message had asked for.
    Unasked,
    /// An answer over the limit, or one that breaks the rules of the framing.
    Framing,
    /// No local address and port is left, or no descriptor.
    Exhausted,
    /// There is no way to the server.
    Unreachable,
    /// No such socket file, or no permission.
    NoSocket,
    /// Anything else.
    Other,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Refused,
        Self::Reset,
        Self::Closed,
        Self::Timeout,
        Self::ConnectTimeout,
        Self::Unasked,
        Self::Framing,
        Self::Exhausted,
        Self::Unreachable,
        Self::NoSocket,
        Self::Other,
    ];

    /// Its name for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::ConnectTimeout => "connect_timeout",
            Self::Unasked => "unasked",
            Self::Framing => "framing",
            Self::Exhausted => "exhausted",
            Self::Unreachable => "unreachable",
            Self::NoSocket => "no_socket",
            Self::Other => "other",
        }
    }

    /// The failure that an error of a socket is.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ECONNREFUSED) => Self::Refused,
            Some(Errno::ECONNRESET | Errno::EPIPE | Errno::ECONNABORTED) => Self::Reset,
            Some(Errno::ETIMEDOUT) => Self::ConnectTimeout,
            Some(Errno::EADDRNOTAVAIL | Errno::EADDRINUSE | Errno::EMFILE | Errno::ENFILE) => {
                Self::Exhausted
            }
            Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::ENETDOWN) => Self::Unreachable,
            Some(Errno::ENOENT | Errno::EACCES | Errno::ENOTSOCK | Errno::EPROTOTYPE) => {
                Self::NoSocket
            }
            _ if error.kind() == ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Other,
        }
    }
}

/// How often each failure was seen, and what the system said about the first of a kind.
#[derive(Debug, Clone, Default)]
pub struct Failures {
    counts: [u64; Failure::ALL.len()],
    words: [Option<String>; Failure::ALL.len()],
}

impl Failures {
    /// Counts one.
    pub fn add(&mut self, failure: Failure, words: impl FnOnce() -> String) {
        let place = failure as usize;
        self.counts[place] += 1;
        self.words[place].get_or_insert_with(words);
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Each that was seen: how often, and the words for the first.
    pub fn seen(&self) -> impl Iterator<Item = (Failure, u64, &str)> {
        let words = self.words.iter().map(|words| words.as_deref().unwrap_or_default());
        let all = Failure::ALL.into_iter().zip(self.counts).zip(words);
        all.map(|((failure, count), words)| (failure, count, words)).filter(|seen| seen.1 > 0)
    }

    /// How often this one was.
    #[must_use]
    pub fn count(&self, failure: Failure) -> u64 {
        self.counts[failure as usize]
    }
}

/// All that is counted.
#[derive(Debug, Clone)]
pub struct Tally {
    /// From the time a message was due to its whole answer, or where it never left to the end.
    pub latency: Histogram<u64>,
    /// From the call to the open connection.
    pub connect: Histogram<u64>,
    /// Messages sent, whole or in part.
    pub sent: u64,
    /// Whole answers, right or wrong.
    pub answered: u64,
    /// Bytes that left.
    pub bytes_sent: u64,
    /// Bytes that came.
    pub bytes_received: u64,
    /// Answers that were wrong, in the warm-up too.
    pub wrong: u64,
    /// Datagrams that were not answered in time.
    pub lost: u64,
    /// Answers to datagrams that had been given up.
    pub late: u64,
    /// Messages that had no answer when their connection failed.
    pub unanswered: u64,
    /// Connections that were opened.
    pub opened: u64,
    /// The first wrong answer.
    pub first_wrong: Option<Wrong>,
    /// The first departure from a dialogue.
    pub first_broken: Option<Broken>,
    /// Failed connections, in the warm-up too.
    pub failures: Failures,
}

impl Tally {
    /// Nothing yet.
    ///
    /// # Errors
    /// Never, with these bounds; the library says so at run time only.
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        let latency = Histogram::new_with_bounds(1, LONGEST, DIGITS)?;
        Ok(Self {
            connect: latency.clone(),
            latency,
            sent: 0,
            answered: 0,
            bytes_sent: 0,
            bytes_received: 0,
            wrong: 0,
            lost: 0,
            late: 0,
            unanswered: 0,
            opened: 0,
            first_wrong: None,
            first_broken: None,
            failures: Failures::default(),
        })
    }

    /// Forgets what belongs to the warm-up, but for mistakes; with `connections`, these too.
    pub fn begin_measuring(&mut self, connections: bool) {
        if connections {
            self.connect.reset();
            self.opened = 0;
        }
        self.latency.reset();
        self.sent = 0;
        self.answered = 0;
        self.bytes_sent = 0;
        self.bytes_received = 0;
        self.lost = 0;
        self.late = 0;
    }

    /// A whole answer at `now` to a message that was due at `due`.
    #[inline]
    pub fn answer(&mut self, due: u64, now: u64) {
        self.answered += 1;
        self.latency.saturating_record(now.saturating_sub(due));
    }

    /// So many messages that were due at `due` or shortly after and still had not left at `now`.
    pub fn wait(&mut self, due: u64, now: u64, count: u64) {
        self.latency.saturating_record_n(now.saturating_sub(due), count);
    }
}

/// A histogram in few numbers, all in nanoseconds but for the count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// How many times were recorded.
    pub count: u64,
    /// Half are not longer.
    pub p50: u64,
    /// Nine in ten are not longer.
    pub p90: u64,
    /// 99 in 100 are not longer.
    pub p99: u64,
    /// 999 in 1000 are not longer.
    pub p99_9: u64,
    /// The longest.
    pub max: u64,
    /// The mean.
    pub mean: f64,
}

impl Times {
    /// Of what was recorded; `None` where nothing was.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p99_9: histogram.value_at_quantile(0.999),
            max: histogram.max(),
            mean: histogram.mean(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::Schedule;
    use super::*;

    /// Within the precision of the histogram.
    fn assert_near(value: u64, expected: u64) {
        assert!(value.abs_diff(expected) <= expected / 500, "{value} is not {expected}");
    }

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut tally = Tally::new().unwrap();
        assert_eq!(Times::of(&tally.latency), None);
        (1..=1000).for_each(|number| tally.answer(0, number * 1000));
        let times = Times::of(&tally.latency).unwrap();
        assert_eq!(times.count, 1000);
        for (value, expected) in
            [(times.p50, 500), (times.p90, 900), (times.p99, 990), (times.p99_9, 999)]
        {
            assert_near(value, expected * 1000);
        }
        assert_near(times.max, 1_000_000);
        assert!((times.mean - 500_500.0).abs() < 1000.0, "{times:?}");
    }

    /// One connection, a message a millisecond; a server that answers at once, but stands still for
    /// the first 100 ms of 1 s. What an observer sees who sends at these times is that a tenth of
    /// them waited, up to 100 ms.
    #[test]
    fn a_pause_counts_for_each_message_that_was_due_in_it() {
        const MS: u64 = 1_000_000;
        let schedule = Schedule::new(0, 1000);
        let mut tally = Tally::new().unwrap();
        for number in 0..1000 {
            let due = schedule.due(number);
            tally.answer(due, due.max(100 * MS) + 1);
        }
        let times = Times::of(&tally.latency).unwrap();
        assert_eq!(times.p50, 1);
        assert_near(times.max, 100 * MS);
        assert_near(times.p99, 90 * MS);
        assert!((times.mean - 5.05e6).abs() < 0.05e6, "{times:?}");
    }

    #[test]
    fn times_beyond_the_longest_count_as_the_longest() {
        let mut tally = Tally::new().unwrap();
        tally.answer(0, u64::MAX);
        tally.answer(5, 3);
        let times = Times::of(&tally.latency).unwrap();
        assert_eq!(times.count, 2);
        assert_near(times.max, LONGEST);
    }

    #[test]
    fn failures_are_told_apart() {
        let kind = |errno: Errno| Failure::of(&io::Error::from(errno));
        assert_eq!(kind(Errno::ECONNREFUSED), Failure::Refused);
        assert_eq!(kind(Errno::EPIPE), Failure::Reset);
        assert_eq!(kind(Errno::EADDRNOTAVAIL), Failure::Exhausted);
        assert_eq!(kind(Errno::EIO), Failure::Other);
        let mut failures = Failures::default();
        failures.add(Failure::Reset, || "first".to_owned());
        failures.add(Failure::Reset, || "second".to_owned());
        let seen: Vec<_> = failures.seen().collect();
        assert_eq!(seen, [(Failure::Reset, 2, "first")]);
    }

    #[test]
    fn every_failure_has_its_place_and_a_name_of_its_own() {
        for (place, failure) in Failure::ALL.into_iter().enumerate() {
            assert_eq!(failure as usize, place);
            let same = Failure::ALL.iter().filter(|other| other.name() == failure.name());
            assert_eq!(same.count(), 1, "{}", failure.name());
        }
    }
}
