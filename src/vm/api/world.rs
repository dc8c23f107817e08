//! What stands behind a simulated server's clock and chance; on a real one there is nothing here.

use std::rc::Rc;

use mlua::{Lua, Table};

use crate::vm::host::SharedHost;

/// `clock()`, the seconds since the simulation began, `random(count)`, and the `seed` of a VM;
/// where the server is simulated.
pub(super) fn add(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    let Some(world) = host.world() else { return Ok(()) };
    let shared = Rc::clone(world);
    let clock = move |_: &Lua, ()| Ok(shared.elapsed().as_secs_f64());
    table.raw_set("clock", lua.create_function(clock)?)?;
    let shared = Rc::clone(world);
    let random = move |lua: &Lua, count: usize| lua.create_string(shared.chance_bytes(count));
    table.raw_set("random", lua.create_function(random)?)?;
    // Luau takes 32 bits of it.
    table.raw_set("seed", world.next_chance() >> 33)
}
