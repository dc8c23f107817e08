//! Results, sorts and error handlers that take more than the VM may have: the call fails, and
//! nothing else does.

use crate::crowd::Crowd;
use crate::runaway_memory::ends_at_the_limit;
use crate::support::Server;
use crate::talk::read_line;

fn returning(code: &str, arguments: &[&str]) -> Server {
    let script = format!(
        "return {{
           on_message = function(msg)
             if msg ~= \"run\" then return msg end
             {code}
           end,
           on_error = function() return \"ended\" end,
         }}\n"
    );
    Server::builder().script(&script).args(arguments.iter().copied()).start()
}

#[test]
fn a_million_results_do_not_end_the_process() {
    let cases = [
        "local t = table.create(999999, 0) return {\"x\"}, 1, 2, 3, 4, table.unpack(t)",
        "local t = table.create(999990, 0) return {\"x\"}, 1, 2, 3, 4, table.unpack(t)",
        "local t = table.create(7990, \"x\") return {\"x\"}, 1, 2, 3, 4, table.unpack(t)",
        "local t = table.create(999999, 0) return \"x\", table.unpack(t)",
        "local t = table.create(999998, 0) return nil, \"no\", \"x\", table.unpack(t)",
    ];
    for code in cases {
        let server = returning(code, &["--budget", "10s"]);
        for _ in 0..3 {
            let mut client = server.tcp();
            client.send(b"run");
            let answer = client.read_once();
            assert!(answer == b"x" || answer == b"ended", "{:?}", answer.escape_ascii());
            client.exchange(b"still here", b"still here");
        }
        assert!(server.is_running());
    }
}

#[test]
fn an_array_of_replies_beyond_the_limit_fails_the_call() {
    let server = returning(
        "return table.create(20000, (\"x\"):rep(1e6))",
        &["--memory", "64MiB", "--budget", "20s"],
    );
    let crowd = Crowd::gather(&server);
    let mut client = server.tcp();
    client.send(b"run");
    let fault = server.wait_log("handler fault");
    assert!(fault.contains("on_message"), "{fault}");
    let resident = server.memory_kib();
    assert!(resident < 400 * 1024, "{resident} KiB resident under a limit of 64 MiB");
    server.tcp().exchange(b"others", b"others");
    crowd.dismiss("an array of replies");
    drop(client);
    server.tcp().exchange(b"others", b"others");
}

#[test]
fn many_arrays_of_replies_stay_within_the_limit() {
    let server = returning(
        "return table.create(40, (\"x\"):rep(1e6))",
        &["--memory", "64MiB", "--budget", "20s"],
    );
    let mut clients: Vec<_> = (0..10).map(|_| server.tcp()).collect();
    for client in &mut clients {
        client.send(b"run");
    }
    server.wait_log("handler fault");
    let resident = server.memory_kib();
    assert!(resident < 400 * 1024, "{resident} KiB resident under a limit of 64 MiB");
    drop(clients);
    server.tcp().exchange(b"others", b"others");
}

#[test]
fn memory_that_grows_in_the_handler_of_an_xpcall_of_error() {
    ends_at_the_limit(
        "xpcall(error, function() local t = {} while true do t[#t + 1] = {} end end) server.state.after = true",
    );
}

#[test]
fn memory_that_grows_in_the_handler_of_an_xpcall_of_a_function() {
    ends_at_the_limit(
        "xpcall(function() error(\"no\") end, function() local s = \"x\" while true do s = s .. s end end) server.state.after = true",
    );
}

#[test]
fn memory_that_a_function_of_the_host_cannot_have() {
    ends_at_the_limit(
        "local s = (\"a,;\"):rep(7000000) pcall(string.split, s, \",;\") server.state.after = true",
    );
}

#[test]
fn memory_that_a_split_cannot_have() {
    ends_at_the_limit(
        "local n = {} for i = 1, 3000000 do n[i] = i end local s = table.concat(n, \",\") n = nil pcall(string.split, s, \",\") server.state.after = true",
    );
}

#[test]
fn a_sort_without_a_comparator_ends_at_its_budget() {
    let server = Server::builder()
        .script(
            r#"return {
              on_message = function(msg)
                if msg == "build" then
                  local numbers = table.create(3000000)
                  for i = 1, 3000000 do
                    numbers[i] = i * 7919 % 1000003
                    if i % 10000 == 0 then sleep(0) end
                  end
                  server.state.numbers = numbers
                elseif msg == "sort" then
                  table.sort(server.state.numbers)
                elseif msg == "small" then
                  local list = {3, 1, 2}
                  table.sort(list)
                  return table.concat(list)
                end
                return msg
              end,
              on_error = function(err) return "ended" end,
            }"#,
        )
        .args(["--budget", "50ms"])
        .start();
    let mut client = server.tcp();
    client.exchange(b"build", b"build");
    client.exchange(b"small", b"123");
    client.exchange(b"sort", b"ended");
    let fault = server.wait_log("its budget");
    let used = fault.split_once("it ran for ").unwrap().1.split_once(" ms").unwrap().0;
    let used: u32 = used.parse().unwrap();
    assert!(used < 200, "ended after {used} ms of CPU time: {fault}");
    client.exchange(b"hello", b"hello");
}

/// Pages of Luau's heap count whole for the limit, also where a few strings are left in each.
#[test]
fn a_message_for_which_a_heap_full_of_holes_has_no_room_does_not_end_the_process() {
    let script = "local keep = {}
        return {
          framing = \"line\",
          on_message = function(msg, conn)
            if msg == \"fill\" then
              local all = {}
              for i = 1, 240000 do
                all[i] = (\"x\"):rep(140) .. i
                if i % 5000 == 0 then sleep(0) end
              end
              for i = 1, #all, 40 do table.insert(keep, all[i]) end
              return \"filled\"
            end
            local count = tonumber(msg:match(\"^hold (%d+)$\"))
            if not count then return \"answered\" end
            local held = {}
            for i = 1, count do held[i] = buffer.create(100000) end
            conn:send(\"full\")
            conn:read()
            return `held {#held}`
          end,
          on_error = function() return \"ended\" end,
        }\n";
    let limits = ["--memory", "64MiB", "--budget", "20s"];
    let large = format!("{}\n", "x".repeat(900_000));
    // Between a step that leaves room for the large message and one that ends the holder itself
    // there are two that only leave too little for the message.
    let is_full = (280..=400).step_by(4).any(|count| {
        let server = Server::builder().script(script).args(limits).start();
        let (mut holder, mut other) = (server.tcp(), server.tcp());
        holder.exchange(b"fill\n", b"filled\n");
        holder.send(format!("hold {count}\n").as_bytes());
        let said = read_line(&mut holder);
        other.send(large.as_bytes());
        let answer = read_line(&mut other);
        assert!(answer == "answered" || answer == "ended", "{answer}");
        said == "ended"
    });
    assert!(is_full, "the limit was not reached");
}
