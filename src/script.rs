//! A script as a closed bundle of files with a digest: which file runs, what it requires, and
//! whether any of it has changed. Compiling and running it is the VM's business, noticing that
//! it may have changed is `watch`'s.
//!
//! - [`Source::locate`] finds the script, once at the start.
//! - [`Source::read`] reads it, every file it requires and every asset into a [`Bundle`], at every
//!   change.
//! - [`Bundle::resolve`] says what `require(name)` and `asset(name)` mean, from the bundle alone: a
//!   generation never sees a file that changed after its bundle was read.

mod builtin;
mod bundle;
mod folders;
mod locate;
mod read;
mod requires;
mod resolve;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
mod tests;

pub use builtin::{BUILTINS, Builtin};
pub use bundle::{Bundle, Digest, File};
pub use locate::{NotFound, Source};
pub use read::{ReadError, Unreadable};
pub use resolve::{Ask, ModuleId, ResolveError, Unresolved};
