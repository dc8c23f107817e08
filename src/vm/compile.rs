//! From a file's text to a function, by one set of compiler options.

use mlua::chunk::{ChunkMode, Compiler};
use mlua::{Error, Function, Lua, Table};

/// Compiles one file of a script, to run in `environment`; an error is Luau's text, which begins
/// with the file and the line.
pub(super) fn compile(
    lua: &Lua,
    name: &str,
    content: &[u8],
    environment: Table,
) -> Result<Function, String> {
    // `server` differs between generations: without this, `server.state.n` would be read once,
    // while the file is loaded.
    let compiler = Compiler::new()
        .set_optimization_level(1)
        .set_debug_level(1)
        .set_mutable_globals(["server", "require", "asset", "print", "_G"]);
    let chunk = lua
        .load(content)
        .set_name(format!("@{name}"))
        .set_mode(ChunkMode::Text)
        .set_compiler(compiler)
        .set_environment(environment);
    chunk.into_function().map_err(|error| match error {
        Error::SyntaxError { message, .. } => message,
        other => other.to_string(),
    })
}
