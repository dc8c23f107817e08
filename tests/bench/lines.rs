//! Lines that arrive many in one read: through the whole server, and what one costs within it.

use std::hint::black_box;
use std::time::Duration;

use mlua::{Function, Lua, LuaString};

use crate::Effort;
use crate::aims::{Aim, Finding};
use crate::control::Kind;
use crate::load::{self, stamp};
use crate::process::{Server, own_cpu};
use crate::table::{self, Samples};
use crate::turns::{self, Load, Names};
use crate::workloads::{pipelined, streams};

const ON_MESSAGE: &str = r#"return {
  framing = "line",
  on_message = function(msg) return msg:upper() end,
}
"#;

const ON_SESSION: &str = r#"return {
  framing = "line",
  on_session = function(conn)
    while true do
      local msg = conn:read()
      if not msg then return end
      conn:send(msg:upper())
    end
  end,
}
"#;

/// The letters of a line, without its LF.
const LENGTH: usize = 32;

/// What a line costs more than the control's.
const OVER: &str = "ns over it";

/// 16 connections, 32 lines a write: through `on_message`, and through a conversation.
pub fn measure(effort: Effort) -> Vec<Finding> {
    let cases = [
        ("lines, 16 x depth 32 x 33 B, on_message", ON_MESSAGE, Aim::Most(350.0, OVER)),
        ("lines, 16 x depth 32 x 33 B, on_session", ON_SESSION, Aim::Only(OVER)),
    ];
    let finding = |(title, handler, aim)| {
        let names = Names { title, rate: "lines a second", cost: "server CPU a line, us" };
        let servers = [&Server::with_handler(handler), &Server::control(Kind::Lines)];
        let [ours, theirs] = turns::measure(effort, servers, |server| load(server, 16, 32));
        turns::show(&names, &ours, &theirs);
        let [ours_ns, theirs_ns] = [&ours, &theirs].map(|figures| figures.cost.map(nanoseconds));
        let over = ours_ns.less(&theirs_ns).median();
        Finding::ratio(title, "ns", [&ours_ns, &theirs_ns], aim)
            .held_to(over)
            .with_throughput(&ours.rate, &theirs.rate)
    };
    cases.into_iter().map(finding).collect()
}

fn nanoseconds(microseconds: f64) -> f64 {
    microseconds * 1e3
}

fn load(server: &Server, connections: usize, lines: usize) -> Load {
    pipelined(streams(server, connections), LENGTH + 1, lines)
}

/// What a framed call costs within the VM, beside the bare call of the same function by mlua.
///
/// It is measured on the whole server, so that nothing has to be opened for it: with so many
/// lines a read that the system's share is small, and less what the plain echo, which tells
/// no lines apart, uses for the same bytes. So the decoder, the seam, the VM, the framing of the
/// reply and its queue are all in it.
pub fn call(effort: Effort) {
    let servers = [&Server::with_handler(ON_MESSAGE), &Server::control(Kind::Echo)];
    let [ours, theirs] = turns::measure(effort, servers, |server| load(server, 4, 256));
    let (ours, theirs) = (ours.cost.map(nanoseconds), theirs.cost.map(nanoseconds));
    let bare: Samples = (0..effort.rounds).map(|_| bare_call(effort.round / 3)).collect();
    let framed = ours.less(&theirs);
    table::compare("call, 4 connections x 256 lines");
    table::row("server CPU a line, ns", &ours, &theirs);
    table::alone("a framed call of msg:upper(), 32 B, ns");
    table::single("framed call, server less echo", &framed);
    table::single("bare call by mlua", &bare);
    table::single("over the bare call (budget 300)", &framed.less(&bare));
}

/// The CPU nanoseconds of a call with bytes in and out, in a VM that has nothing else in it.
fn bare_call(length: Duration) -> f64 {
    const BATCH: u64 = 10_000;
    let lua = Lua::new();
    let upper: Function = lua.load("return function(msg) return msg:upper() end").eval().unwrap();
    let mut message = load::message(LENGTH);
    let mut reply = Vec::new();
    let (began, mut calls) = (own_cpu(), 0);
    loop {
        for number in calls..calls + BATCH {
            stamp(&mut message, number);
            let answer: LuaString = upper.call(lua.create_string(&message).unwrap()).unwrap();
            reply.clear();
            reply.extend_from_slice(&answer.as_bytes());
            black_box(&reply);
        }
        calls += BATCH;
        let used = own_cpu().saturating_sub(began);
        if used >= length {
            return used.as_secs_f64() * 1e9 / calls as f64;
        }
    }
}
