//! How long a framing function lives, and what it keeps: across reloads, to the end of its
//! connection, into a new VM.

use crate::support::Server;

const OWN: &str = "return {
       on_connect = function(conn)
         conn:set_framing(function(data) return #data, `own {data}` end)
       end,
       on_message = function(msg) return msg end,
     }";

#[test]
fn a_framing_function_that_outlived_its_generation_ends_with_its_connection() {
    let server = Server::builder().script(OWN).start();
    let mut old = server.tcp();
    old.exchange(b"a", b"own a");
    // It makes rubbish, so that the collector runs.
    server.save(
        "handler.lua",
        "return function(msg) for i = 1, 20000 do local t = {i} end return `two {msg}` end",
    );
    server.wait_log("generation 2 is live");
    old.exchange(b"b", b"two own b");
    old.half_close();
    old.expect_eof();
    let mut new = server.tcp();
    for _ in 0..100 {
        new.exchange(b"c", b"two c");
    }
}

#[test]
fn a_framing_function_that_knows_its_connection_is_no_leak() {
    let server = Server::builder()
        .script(
            "return {
               on_connect = function(conn)
                 local ballast = (\"x\"):rep(50000) .. conn.id
                 conn:set_framing(function(data)
                   conn.state.size = #ballast
                   return #data, data
                 end)
               end,
               on_message = function(msg) return msg end,
               on_close = function(conn)
                 -- One that is gone takes no framing any more.
                 local ballast = (\"x\"):rep(50000) .. conn.id
                 conn:set_framing(function() return #ballast, conn end)
               end,
             }",
        )
        .args(["--memory", "32MiB"])
        .start();
    for _ in 0..1500 {
        let mut client = server.tcp();
        client.exchange(b"a", b"a");
        client.half_close();
        client.expect_eof();
    }
    server.assert_no_log("memory");
}

#[test]
fn a_refused_generation_that_still_frames_takes_nothing_from_the_live_one() {
    let server = Server::builder()
        .script("return function(msg) return \"one\" end")
        .file("lib/late.lua", "return \"late\"")
        .start();
    let mut old = server.tcp();
    old.exchange(b"a", b"one");
    server.save(
        "handler.lua",
        "return {
           on_load = function()
             server.connections()[1]:set_framing(function(data) return #data, data end)
             error(\"refused\")
           end,
         }",
    );
    server.wait_log("reload failed");
    server.save(
        "handler.lua",
        "return function(msg)
           if msg == \"late\" then return require(\"./lib/late\") end
           for i = 1, 20000 do local t = {i} end
           return \"two\"
         end",
    );
    server.wait_log("generation 2 is live");
    old.exchange(b"b", b"two");
    old.half_close();
    old.expect_eof();
    let mut new = server.tcp();
    for _ in 0..100 {
        new.exchange(b"c", b"two");
    }
    new.exchange(b"late", b"late");
}

#[test]
fn a_key_of_a_framing_is_not_asked_for_its_text() {
    let server = Server::builder()
        .script(
            "local key = setmetatable({}, {__tostring = function() while true do end end})
             return function(msg, conn)
               return select(2, pcall(conn.set_framing, conn, {[key] = 1}))
             end",
        )
        .start();
    server.tcp().exchange(b"a", b"conn:set_framing: a framing has no field [table]");
}

#[test]
fn a_timer_from_before_a_reload_goes_back_to_the_framing_of_now() {
    let script = |framing: &str| {
        format!(
            "return {{
               framing = \"{framing}\",
               on_message = function(msg, conn)
                 if msg ~= \"later\" then return `<{{msg}}>` end
                 conn:set_framing(\"raw\")
                 local timer
                 timer = every(0.01, function()
                   if server.state.go then
                     timer:cancel()
                     conn:set_framing(nil)
                     conn:send(\"back\")
                   end
                 end)
                 return \"set\"
               end,
               on_reload = function() server.state.go = true end,
             }}"
        )
    };
    let server = Server::builder().script(&script("line")).start();
    let mut client = server.tcp();
    client.exchange(b"later\n", b"set\n");
    server.save("handler.lua", &script("netstring"));
    server.wait_log("generation 2 is live");
    client.expect(b"4:back,");
    client.exchange(b"3:abc,", b"5:<abc>,");
}

#[test]
fn a_new_vm_takes_over_the_framing_of_open_connections() {
    const MIB: u64 = 1024;
    let server = Server::builder()
        .script(
            "local function split(data)
               server.state.calls = (server.state.calls or 0) + 1
               return #data, `{server.state.calls} {data}`
             end
             return {
               framing = split,
               on_message = function(msg, conn)
                 if not msg:find(\"grow\") then return msg end
                 local n = 0
                 while true do
                   n += 1
                   -- Nothing of it is rubbish, so that no collection helps.
                   server.state.all = {server.state.all, n}
                 end
               end,
             }",
        )
        .args(["--memory", "32MiB", "--budget", "20s"])
        .start();
    let before = server.memory_kib();
    let mut witnesses = Vec::new();
    for round in 1..=6 {
        let mut witness = server.tcp();
        witness.exchange(b"a", b"1 a");
        let mut grower = server.tcp();
        grower.send(b"grow");
        server.wait_log_count("was rebuilt", round);
        witnesses.push(witness);
    }
    for (index, witness) in witnesses.iter_mut().enumerate() {
        let answer = format!("{} b", index + 1);
        witness.exchange(b"b", answer.as_bytes());
    }
    let grown = server.memory_kib() - before;
    assert!(grown < 130 * MIB, "{grown} KiB are held for VMs that are gone");
}
