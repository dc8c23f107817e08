//! The one source of truth for what a script is told about its API: tables of callbacks, methods,
//! functions, framing kinds and words, as data. The tables in `reference.md`, the definitions for
//! luau-lsp and those for LuaLS are made from them, and a test compares the committed files:
//! `UPDATE_REFERENCE=1 cargo test --lib reference` writes them. `tests/server/reference.rs`
//! compares the data with the running program. Nothing here knows Lua or a socket.
//!
#![doc = include_str!("reference.md")]

pub mod callbacks;
pub mod framing;
pub mod globals;
#[cfg(test)]
mod luals;
#[cfg(test)]
mod luau;
#[cfg(test)]
mod markdown;
pub mod objects;
#[cfg(test)]
mod tests;
pub mod toolbox;
mod types;
pub mod words;

pub use types::{Function, Gives, Key, Kind, Module, Type, Value, Word};

/// The reference as a document.
pub const MARKDOWN: &str = include_str!("reference.md");

/// Definitions for luau-lsp.
pub const LUAU_TYPES: &str = include_str!("scriptsock.d.luau");

/// Definitions for the Lua language server (LuaLS).
pub const LUALS_TYPES: &str = include_str!("scriptsock.meta.lua");

/// Everything that a script can call or read, module by module.
pub const MODULES: [&Module; 12] = [
    &objects::CONN,
    &objects::HANDLE,
    &globals::FUNCTIONS,
    &globals::SERVER,
    &globals::SHARED,
    &globals::LOG,
    &toolbox::JSON,
    &toolbox::HEX,
    &toolbox::BASE64,
    &toolbox::HASH,
    &toolbox::RANDOM,
    &globals::FILES,
];
