//! `sleep`, `log`, `require`, what a wait gives, and the end of a call for want of memory.

use std::time::Duration;

use mlua::{Lua, LuaString, Table, Thread, Value};
use tracing::{debug, error, info, warn};

use crate::handler::Wait;
use crate::script::{Ask, File};
use crate::text::Printable;
use crate::vm::compile::compile;
use crate::vm::host::{LONGEST_TIME, SharedHost, WHILE_FRAMING, WHILE_LOADING};
use crate::vm::raw;
use crate::vm::value::is_out_of_memory;
use crate::world::Sighting;

/// Frames of a traceback through several coroutines.
const MOST_KEPT_FRAMES: usize = 80;

/// Log messages are cut to this many bytes.
const LONGEST_LOG: usize = 16 * 1024;

pub(super) fn add(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    add_waits(lua, table, host)?;
    add_log(lua, table, host)?;
    add_require(lua, table, host)
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
    table.raw_set("end_for_memory", raw::end_for_memory_function(lua)?)?;
    table.raw_set("answer", raw::take_answer_function(lua)?)?;
    let shared = SharedHost::clone(host);
    // Remembers where an error came from that is raised again in another coroutine, or by
    // `require`.
    let keep_frames = move |lua: &Lua, (problem, failed): (LuaString, Option<Thread>)| {
        let mut kept = shared.kept_frames.borrow_mut();
        let known = kept.take().filter(|(text, _)| *text == *problem.as_bytes());
        let current = raw::frames_of(&lua.current_thread());
        let mut frames = match (known, &failed) {
            (Some((_, frames)), _) => frames,
            (None, Some(failed)) => raw::frames_of(failed),
            (None, None) => Vec::new(),
        };
        if failed.is_some() || frames.is_empty() {
            frames.extend(current);
        }
        frames.truncate(MOST_KEPT_FRAMES);
        *kept = Some((problem.as_bytes().to_vec(), frames));
        Ok(())
    };
    table.raw_set("keep_frames", lua.create_function(keep_frames)?)
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
            if let Some(world) = shared.world() {
                let level = level.to_string_lossy();
                world.note(Sighting::Log { level, text: format!("{message}{fields}") });
                return Ok(());
            }
            let origin = shared.origin.borrow();
            let (generation, hash) = (origin.label.number, &*origin.label.hash);
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
        let found = find(&shared, Ask::Require, generation, &from, &name);
        Ok(match found {
            Ok(file) => (Some(file.shown().to_owned()), None),
            Err(problem) => (None, Some(problem)),
        })
    };
    table.raw_set("resolve", lua.create_function(resolve)?)?;

    let shared = SharedHost::clone(host);
    let asset = move |lua: &Lua, (generation, from, name): (u64, LuaString, LuaString)| {
        Ok(match find(&shared, Ask::Asset, generation, &from, &name) {
            Ok(file) => (Some(lua.create_string(&**file.content())?), None),
            Err(problem) => (None, Some(problem)),
        })
    };
    table.raw_set("asset", lua.create_function(asset)?)?;

    let shared = SharedHost::clone(host);
    // A body; or nil and a problem; or nil, nil and the text of a JSON file.
    let load = move |lua: &Lua, (generation, source): (u64, LuaString)| {
        let bundle = shared.bundles.borrow().get(&generation).cloned();
        let source = source.to_string_lossy();
        let Some(file) = bundle.as_ref().and_then(|bundle| bundle.file(&source)) else {
            return Ok((None, Some("this generation has ended".to_owned()), None));
        };
        if file.id().is_json() {
            return Ok((None, None, Some(lua.create_string(&**file.content())?)));
        }
        let environment = lua.named_registry_value(&environment_key(generation))?;
        Ok(match compile(lua, file.shown(), file.content(), environment) {
            Ok(body) => (Some(body), None, None),
            Err(problem) => (None, Some(problem), None),
        })
    };
    table.raw_set("load", lua.create_function(load)?)?;

    let shared = SharedHost::clone(host);
    let load_begins = move |_: &Lua, ()| {
        let before = shared.forbids.replace(Some(WHILE_LOADING));
        Ok(match before {
            None => 0,
            Some(WHILE_LOADING) => 1,
            Some(_) => 2,
        })
    };
    table.raw_set("load_begins", lua.create_function(load_begins)?)?;
    let shared = SharedHost::clone(host);
    let load_ends = move |_: &Lua, before: u8| {
        shared.forbids.set([None, Some(WHILE_LOADING), Some(WHILE_FRAMING)][usize::from(before)]);
        Ok(())
    };
    table.raw_set("load_ends", lua.create_function(load_ends)?)?;
    let shared = SharedHost::clone(host);
    table.raw_set("call", lua.create_function(move |_, ()| Ok(shared.calls.get()))?)?;
    // What Luau resolved while it loaded a file no longer holds for this environment.
    let note_override = lua.create_function(|_, environment: Table| {
        environment.set_safeenv(false);
        Ok(())
    })?;
    table.raw_set("note_override", note_override)
}

/// The file that `name` means in the file that is shown as `from`.
fn find(
    host: &SharedHost,
    ask: Ask,
    generation: u64,
    from: &LuaString,
    name: &LuaString,
) -> Result<File, String> {
    let bundles = host.bundles.borrow();
    let bundle = bundles.get(&generation).ok_or("this generation has ended")?;
    let from = bundle.file(&from.to_string_lossy()).unwrap_or(bundle.main());
    let found = bundle.resolve(ask, from.id(), &name.to_string_lossy());
    found.cloned().map_err(|problem| problem.to_string())
}

/// Where the registry keeps the environment of a generation that is alive.
pub(in crate::vm) fn environment_key(generation: u64) -> String {
    format!("scriptsock environment {generation}")
}
