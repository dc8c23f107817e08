//! `sleep`, `log`, `require`, `server.now`, `server.stop` and the end of a call for want of memory.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mlua::{Lua, LuaString, Table, Value};
use tracing::{debug, error, info, warn};

use crate::handler::Wait;
use crate::text::Printable;
use crate::vm::compile::compile;
use crate::vm::host::{LONGEST_TIME, SharedHost, WHILE_LOADING};
use crate::vm::raw;
use crate::vm::value::is_out_of_memory;

/// Log messages are cut to this many bytes.
const LONGEST_LOG: usize = 16 * 1024;

pub(super) fn add(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    add_waits(lua, table, host)?;
    add_log(lua, table, host)?;
    add_require(lua, table, host)?;
    add_server(lua, table, host)
}

fn add_waits(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    let shared = SharedHost::clone(host);
    let sleep = move |lua: &Lua, (seconds, can_yield): (f64, bool)| {
        let wait = Wait::Sleep(Duration::from_secs_f64(seconds.min(LONGEST_TIME)));
        Ok(shared.wait("sleep", lua.current_thread().state() as usize, can_yield, wait))
    };
    table.raw_set("sleep", lua.create_function(sleep)?)?;
    let is_out_of_memory = |_: &Lua, problem: Value| Ok(is_out_of_memory(&problem));
    table.raw_set("is_out_of_memory", lua.create_function(is_out_of_memory)?)?;
    table.raw_set("end_for_memory", raw::end_for_memory_function(lua)?)
}

fn add_log(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    let shared = SharedHost::clone(host);
    let log =
        move |_: &Lua, (level, message, fields): (LuaString, LuaString, Option<LuaString>)| {
            if shared.silent {
                return Ok(());
            }
            let message = message.as_bytes();
            let message = format!("{:.LONGEST_LOG$}", Printable(&message));
            let fields =
                fields.map(|text| format!("{:.LONGEST_LOG$}", Printable(&text.as_bytes())));
            let fields = fields.map(|fields| format!(" {fields}")).unwrap_or_default();
            let label = shared.running.borrow();
            let (generation, hash) = (label.number, &*label.hash);
            match &*level.as_bytes() {
                b"debug" => debug!(generation, hash, "{message}{fields}"),
                b"info" => info!(generation, hash, "{message}{fields}"),
                b"warn" => warn!(generation, hash, "{message}{fields}"),
                _ => error!(generation, hash, "{message}{fields}"),
            }
            Ok(())
        };
    table.raw_set("log", lua.create_function(log)?)
}

fn add_require(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    let shared = SharedHost::clone(host);
    let resolve = move |_: &Lua, (generation, from, name): (u64, LuaString, LuaString)| {
        let bundles = shared.bundles.borrow();
        let Some(bundle) = bundles.get(&generation) else {
            return Ok((None, Some("this generation has ended".to_owned())));
        };
        let from = bundle.file(&from.to_string_lossy()).unwrap_or(bundle.main());
        match bundle.resolve(from.id(), &name.to_string_lossy()) {
            Ok(file) => Ok((Some(file.shown().to_owned()), None)),
            Err(problem) => Ok((None, Some(problem.to_string()))),
        }
    };
    table.raw_set("resolve", lua.create_function(resolve)?)?;

    let shared = SharedHost::clone(host);
    let load = move |lua: &Lua, (generation, source): (u64, LuaString)| {
        let bundle = shared.bundles.borrow().get(&generation).cloned();
        let source = source.to_string_lossy();
        let Some(file) = bundle.as_ref().and_then(|bundle| bundle.file(&source)) else {
            return Ok((Value::Nil, Some("this generation has ended".to_owned())));
        };
        let environment = lua.named_registry_value(&environment_key(generation))?;
        match compile(lua, file.shown(), file.content(), environment) {
            Ok(body) => Ok((Value::Function(body), None)),
            Err(problem) => Ok((Value::Nil, Some(problem))),
        }
    };
    table.raw_set("load", lua.create_function(load)?)?;

    let shared = SharedHost::clone(host);
    let set_loading = move |_: &Lua, loading: bool| Ok(shared.loading.replace(loading));
    table.raw_set("set_loading", lua.create_function(set_loading)?)?;
    let shared = SharedHost::clone(host);
    table.raw_set("call", lua.create_function(move |_, ()| Ok(shared.calls.get()))?)?;
    // What Luau resolved while it loaded a file no longer holds for this environment.
    let note_override = lua.create_function(|_, environment: Table| {
        environment.set_safeenv(false);
        Ok(())
    })?;
    table.raw_set("note_override", note_override)
}

/// Where the registry keeps the environment of a generation that is alive.
pub(in crate::vm) fn environment_key(generation: u64) -> String {
    format!("scriptsock environment {generation}")
}

fn add_server(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    let now = lua.create_function(|_, ()| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(since.as_secs_f64())
    })?;
    table.raw_set("now", now)?;

    let shared = SharedHost::clone(host);
    let note_state = move |_: &Lua, ()| {
        if !shared.silent && !shared.noted_state.replace(true) {
            warn!(
                generation = shared.running.borrow().number,
                hash = &*shared.running.borrow().hash,
                "the script uses server.state, and there are several workers: each has a state \
                 of its own"
            );
        }
        Ok(())
    };
    table.raw_set("note_state", lua.create_function(note_state)?)?;

    let shared = SharedHost::clone(host);
    let stop = move |_: &Lua, ()| {
        if shared.loading.get() {
            return Ok(Some(format!("server.stop: {WHILE_LOADING}")));
        }
        (shared.stop)();
        Ok(None)
    };
    table.raw_set("stop", lua.create_function(stop)?)
}
