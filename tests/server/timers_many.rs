//! A hundred thousand timers: what they cost in memory, in processor time and in the answers of
//! others, and the cap on their number.

use crate::support::{Client, Server, wait_until};
use std::time::{Duration, Instant};

const SCRIPT: &str = r#"
local beats = 0
local function beat() beats += 1 end

return {
  on_message = function(msg, conn)
    if msg == "pending" then
      for _ = 1, 100000 do assert(after(3600, beat)) end
    elseif msg == "due" then
      for _ = 1, 100000 do assert(after(0.5, beat)) end
    elseif msg == "beats" then
      return tostring(beats)
    elseif msg == "made and cancelled" then
      for _ = 1, 5 do
        local timers = table.create(100000)
        for n = 1, 100000 do timers[n] = assert(after(3600, beat)) end
        for n = 1, 100000 do timers[n]:cancel() end
      end
    elseif msg == "fill with timers" or msg == "fill with tasks" then
      for n = 0, 1000000 do
        local made, why
        if msg == "fill with timers" then
          made, why = after(3600, beat)
        else
          made, why = spawn(sleep, 3600)
        end
        if not made then return `{n} {why}` end
      end
      return "no limit"
    end
    return msg
  end,
  on_close = function(conn) log.info(`gone {conn.peer}`) end,
}
"#;

fn start() -> Server {
    Server::builder().script(SCRIPT).args(["--budget", "60s", "--memory", "1GiB"]).start()
}

/// A slow machine in debug mode takes its time for half a million timers.
fn patient(server: &Server) -> Client {
    let client = server.tcp();
    client.set_read_limit(Duration::from_secs(60));
    client
}

/// The worst of many answers.
fn worst_answer(client: &mut Client) -> Duration {
    let answers = (0..300).map(|number| {
        let message = format!("number {number}");
        let begin = Instant::now();
        client.exchange(message.as_bytes(), message.as_bytes());
        begin.elapsed()
    });
    answers.max().unwrap()
}

#[test]
fn a_hundred_thousand_pending_timers_cost_little() {
    const MOST_MEMORY_KIB: u64 = 100 * 1024;
    let server = start();
    let (mut client, mut other) = (patient(&server), server.tcp());
    other.exchange(b"hello", b"hello");
    let memory = server.memory_kib();
    client.exchange(b"pending", b"pending");
    let grown = server.memory_kib().saturating_sub(memory);
    let worst = worst_answer(&mut other);
    let cpu = server.cpu_time();
    other.expect_silence(Duration::from_secs(1));
    let cpu = server.cpu_time().saturating_sub(cpu);
    eprintln!("100,000 pending timers: {grown} KiB, worst answer {worst:?}, idle {cpu:?} a second");
    assert!(grown < MOST_MEMORY_KIB, "{grown} KiB for 100,000 timers");
    assert!(worst < Duration::from_secs(1), "another waited {worst:?}");
    assert!(cpu < Duration::from_millis(200), "{cpu:?} of processor time in an idle second");
}

#[test]
fn a_hundred_thousand_timers_due_at_once_hold_no_one_up() {
    let server = start();
    let (mut client, mut other) = (patient(&server), server.tcp());
    other.exchange(b"hello", b"hello");
    client.exchange(b"due", b"due");
    let mut worst = Duration::ZERO;
    wait_until("every timer should run", || {
        let begin = Instant::now();
        other.send(b"beats");
        let beats = other.read_once();
        worst = worst.max(begin.elapsed());
        (beats == b"100000").then_some(())
    });
    eprintln!("100,000 timers due at once: worst answer {worst:?}");
    assert!(worst < Duration::from_secs(2), "another waited {worst:?}");
}

#[test]
fn a_cancelled_timer_costs_nothing() {
    const MOST_MEMORY_KIB: u64 = 200 * 1024;
    let server = start();
    let mut client = patient(&server);
    client.exchange(b"made and cancelled", b"made and cancelled");
    let memory = server.memory_kib();
    client.exchange(b"made and cancelled", b"made and cancelled");
    let grown = server.memory_kib().saturating_sub(memory);
    assert!(grown < MOST_MEMORY_KIB, "{grown} KiB kept after 500,000 cancelled timers");
    server.assert_no_log("handler fault");
}

/// Fills up with timers or tasks; gives how many there were.
#[track_caller]
fn fill(client: &mut Client, question: &str) -> u64 {
    client.send(question.as_bytes());
    let answer = String::from_utf8(client.read_once()).unwrap();
    let Some((count, "limit")) = answer.split_once(' ') else {
        panic!("{question}: {answer:?}");
    };
    count.parse().unwrap()
}

#[test]
fn timers_have_a_limit_that_is_told_and_is_free_again_after_the_owner() {
    let server = start();
    let mut client = patient(&server);
    let count = fill(&mut client, "fill with timers");
    assert!((199_900..=200_000).contains(&count), "{count} timers");
    assert_eq!(fill(&mut client, "fill with timers"), 0);
    assert_eq!(fill(&mut patient(&server), "fill with tasks"), 0);
    client.exchange(b"others", b"others");
    let gone = format!("gone {}", client.local_addr());
    drop(client);
    server.wait_log(&gone);
    let (mut next, mut sum) = (patient(&server), 0);
    wait_until("all places should be free again", || {
        sum += fill(&mut next, "fill with timers");
        (sum >= 199_900).then_some(())
    });
    server.assert_no_log("handler fault");
}

#[test]
fn tasks_share_the_limit_with_timers() {
    let server = start();
    let mut client = patient(&server);
    let count = fill(&mut client, "fill with tasks");
    assert!((199_900..=200_000).contains(&count), "{count} tasks");
    assert_eq!(fill(&mut client, "fill with timers"), 0);
    server.tcp().exchange(b"others", b"others");
    server.assert_no_log("handler fault");
}
