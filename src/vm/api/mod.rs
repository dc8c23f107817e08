//! The script's API: `prelude.lua` faces the script, the functions here stand behind it. They get
//! checked values, return problems as text for the prelude to raise, and never call into Lua.

mod bytes;
mod conn;
mod core;
mod hash;
mod json;
mod server;
mod tasks;
mod text;
mod world;

use mlua::chunk::Compiler;
use mlua::{Function, Lua, Table, Thread};

pub(super) use core::environment_key;
pub use server::deliver;

use super::host::SharedHost;
use super::raw;

/// The Lua half of the API, which calls its parts.
pub(super) const PRELUDE: &str = include_str!("prelude.lua");

/// The parts, by the names that the prelude knows them by.
const PARTS: [(&str, &str); 9] = [
    ("arguments", include_str!("arguments.lua")),
    ("protected", include_str!("protected.lua")),
    ("text", include_str!("text.lua")),
    ("tasks", include_str!("tasks.lua")),
    ("log", include_str!("log.lua")),
    ("toolbox", include_str!("toolbox.lua")),
    ("conn", include_str!("conn.lua")),
    ("server", include_str!("server.lua")),
    ("world", include_str!("world.lua")),
];

/// Loads a text of scriptsock's own.
pub(super) fn load(lua: &Lua, text: &str) -> mlua::Result<Function> {
    lua.load(text)
        .set_name(format!("={}", raw::PRELUDE))
        // At level 2 a helper that is inlined would be no level of the stack, and errors would be
        // told of the wrong line.
        .set_compiler(Compiler::new().set_optimization_level(1).set_debug_level(1))
        .into_function()
}

/// The parts as functions, by their names.
pub(super) fn parts(lua: &Lua) -> mlua::Result<Table> {
    let parts = lua.create_table()?;
    for (name, text) in PARTS {
        parts.raw_set(name, load(lua, text)?)?;
    }
    Ok(parts)
}

/// The table that the prelude calls `host`.
pub(super) fn host_functions(lua: &Lua, host: &SharedHost) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    core::add(lua, &table, host)?;
    conn::add(lua, &table, host)?;
    server::add(lua, &table, host)?;
    tasks::add(lua, &table, host)?;
    text::add(lua, &table)?;
    json::add(lua, &table)?;
    bytes::add(lua, &table)?;
    hash::add(lua, &table)?;
    world::add(lua, &table, host)?;
    let shared = SharedHost::clone(host);
    let is_call = move |_: &Lua, co: Thread| Ok(co.state() as usize == shared.current.get());
    table.raw_set("is_call", lua.create_function(is_call)?)?;
    Ok(table)
}
