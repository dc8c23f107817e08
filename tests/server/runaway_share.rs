//! The budget as a share of the worker: a repeat offender gets half of it at most, and a process
//! that was stopped or starved ends no innocent call.

use crate::support::{Client, SIGCONT, SIGSTOP, Server};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

const BUDGET: Duration = Duration::from_millis(50);

const OFFENDER: &str = "\
return {
  on_message = function(msg)
    if msg == \"run\" then while true do end end
    return msg
  end,
  on_error = function() return \"ended\" end,
}
";

/// Exchanges without a pause until told to stop; gives the number of answers and the worst wait.
fn innocent(mut client: Client, stop: &AtomicBool) -> (usize, Duration) {
    let (mut count, mut worst) = (0, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        client.exchange(b"hello", b"hello");
        worst = worst.max(start.elapsed());
        count += 1;
    }
    (count, worst)
}

/// Sends the bad message again and again for `time`; gives how often it was ended.
fn offend(client: &mut Client, time: Duration) -> u32 {
    let start = Instant::now();
    let mut ended = 0;
    while start.elapsed() < time {
        client.exchange(b"run", b"ended");
        ended += 1;
    }
    ended
}

#[test]
fn a_repeat_offender_gets_half_of_the_worker_at_most() {
    const TIME: Duration = Duration::from_secs(4);
    let server = Server::builder().script(OFFENDER).args(["--budget", "50ms"]).start();
    let stop = AtomicBool::new(false);
    let (wall, ended, (answers, worst)) = std::thread::scope(|scope| {
        let client = server.tcp();
        let other = scope.spawn(|| innocent(client, &stop));
        let mut bad = server.tcp();
        let start = Instant::now();
        let ended =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| offend(&mut bad, TIME)));
        stop.store(true, Ordering::Relaxed);
        (start.elapsed(), ended.unwrap(), other.join().unwrap())
    });
    let share = (BUDGET * ended).as_secs_f64() / wall.as_secs_f64();
    eprintln!(
        "offender: {ended} calls in {wall:.1?}, {:.0} % of the worker at least; \
         the other: {answers} answers, worst {worst:.1?}",
        share * 100.0
    );
    assert!(ended >= 2, "the offender got no answer");
    assert!(share < 0.65, "the offender took {share:.2} of the worker");
    assert!(answers > 10 * usize::try_from(ended).unwrap(), "the other got only {answers} answers");
}

/// The message `spin N` counts to N, which no clock shortens.
const SPINNER: &str = "\
return {
  on_message = function(msg)
    local count = tonumber(string.match(msg, \"^spin (%d+)$\"))
    if not count then return msg end
    log.info(\"spinning\")
    local n = 0
    while n < count do n += 1 end
    return \"done\"
  end,
}
";

/// How many calls the measurement of a count takes.
const PROBES: usize = 20;

/// How far the server counts in `time` of CPU, or less: the best of several tries counts, so that
/// a busy machine makes the number smaller and not larger.
fn count_of(client: &mut Client, time: Duration) -> u64 {
    const PROBE: u32 = 200_000;
    let quickest = (0..PROBES).map(|_| {
        let start = Instant::now();
        client.exchange(format!("spin {PROBE}").as_bytes(), b"done");
        start.elapsed()
    });
    let quickest = quickest.min().unwrap();
    let times = time.as_secs_f64() / quickest.as_secs_f64();
    format!("{:.0}", f64::from(PROBE) * times).parse().unwrap()
}

#[test]
fn a_stopped_process_ends_no_innocent_call() {
    const ROUNDS: usize = 5;
    let server = Server::builder().script(SPINNER).args(["--budget", "100ms"]).start();
    let mut client = server.tcp();
    let spin = format!("spin {}", count_of(&mut client, Duration::from_millis(50)));
    let before = server.wait_log_count("spinning", PROBES).len();
    for round in 1..=ROUNDS {
        client.send(spin.as_bytes());
        server.wait_log_count("spinning", before + round);
        server.signal(SIGSTOP);
        // The stop itself is what is tested: it has to be much longer than the budget.
        sleep(Duration::from_secs(1));
        server.signal(SIGCONT);
        client.expect(b"done");
    }
    server.assert_no_log("handler fault");
}

#[test]
fn a_starved_process_ends_no_innocent_call() {
    let server = Server::builder().script(SPINNER).args(["--budget", "100ms"]).start();
    let mut client = server.tcp();
    let spin = format!("spin {}", count_of(&mut client, Duration::from_millis(50)));
    let stop = AtomicBool::new(false);
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores * 4 {
            scope.spawn(|| {
                let end = Instant::now() + Duration::from_secs(3);
                while !stop.load(Ordering::Relaxed) && Instant::now() < end {
                    std::hint::spin_loop();
                }
            });
        }
        for _ in 0..8 {
            client.exchange(spin.as_bytes(), b"done");
        }
        stop.store(true, Ordering::Relaxed);
    });
    server.assert_no_log("handler fault");
}
