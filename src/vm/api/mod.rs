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

use std::sync::OnceLock;

use mlua::chunk::{ChunkMode, Compiler};
use mlua::{Function, Lua, Table, Thread};

pub(super) use core::environment_key;
pub use server::deliver;

use super::host::SharedHost;
use super::raw;

/// A text of scriptsock's own. Its bytecode is the same for every VM, and takes longer to make than
/// all else of a VM: it is made once.
struct Part {
    name: &'static str,
    text: &'static str,
    bytecode: OnceLock<Vec<u8>>,
}

/// The Lua half of the API, which calls its parts.
static PRELUDE: Part = Part::new("prelude", include_str!("prelude.lua"));

/// The parts, by the names that the prelude knows them by.
static PARTS: [Part; 9] = [
    Part::new("arguments", include_str!("arguments.lua")),
    Part::new("protected", include_str!("protected.lua")),
    Part::new("text", include_str!("text.lua")),
    Part::new("tasks", include_str!("tasks.lua")),
    Part::new("log", include_str!("log.lua")),
    Part::new("toolbox", include_str!("toolbox.lua")),
    Part::new("conn", include_str!("conn.lua")),
    Part::new("server", include_str!("server.lua")),
    Part::new("world", include_str!("world.lua")),
];

impl Part {
    const fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text, bytecode: OnceLock::new() }
    }

    fn load(&self, lua: &Lua) -> mlua::Result<Function> {
        let bytecode = if let Some(bytecode) = self.bytecode.get() {
            bytecode
        } else {
            // At level 2 a helper that is inlined would be no level of the stack, and errors would
            // be told of the wrong line.
            let compiler = Compiler::new().set_optimization_level(1).set_debug_level(1);
            let bytecode = compiler.compile(self.text)?;
            self.bytecode.get_or_init(|| bytecode)
        };
        let chunk = lua.load(bytecode).set_name(format!("={}", raw::PRELUDE));
        chunk.set_mode(ChunkMode::Binary).into_function()
    }
}

/// The prelude.
pub(super) fn prelude(lua: &Lua) -> mlua::Result<Function> {
    PRELUDE.load(lua)
}

/// The parts as functions, by their names.
pub(super) fn parts(lua: &Lua) -> mlua::Result<Table> {
    let parts = lua.create_table()?;
    for part in &PARTS {
        parts.raw_set(part.name, part.load(lua)?)?;
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
