//! The script's API: `prelude.lua` faces the script, the functions here stand behind it. They get
//! checked values, return problems as text for the prelude to raise, and never call into Lua.

mod conn;
mod core;
mod server;
mod tasks;
mod text;

use mlua::{Lua, Table};

pub(super) use conn::Handle;
pub(super) use core::environment_key;
pub use server::deliver;

use super::host::SharedHost;

/// The Lua half of the API.
pub(super) const PRELUDE: &str = include_str!("prelude.lua");

/// The table that the prelude calls `host`.
pub(super) fn host_functions(lua: &Lua, host: &SharedHost) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    core::add(lua, &table, host)?;
    conn::add(lua, &table, host)?;
    server::add(lua, &table, host)?;
    tasks::add(lua, &table, host)?;
    text::add(lua, &table)?;
    Ok(table)
}
