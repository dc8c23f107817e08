//! Why a function of the script did not run to its end, and the text of whatever it raised.

use std::rc::Rc;

use mlua::Value;

use super::host::Origin;
use super::machine::{Machine, Ran};
use super::raw::{Argument, Frame, Given, Pinned};
use super::value::kind;
use crate::text::Printable;

/// Error texts are cut to this many bytes.
const LONGEST_ERROR: usize = 4096;

/// A function did not run to its end.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) cause: Cause,
    /// The error's text, or what takes its place.
    pub(super) text: String,
    /// The active functions, innermost first.
    pub(super) frames: Vec<Frame>,
}

/// Why a function did not run to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It raised an error.
    Raised,
    /// It was over its budget and was ended, having used this much.
    Budget(std::time::Duration),
    /// The VM was over its memory limit.
    Memory,
}

impl Trouble {
    /// An error that scriptsock raises in the script's name.
    pub(super) fn raised(text: impl Into<String>) -> Self {
        Self { cause: Cause::Raised, text: text.into(), frames: Vec::new() }
    }
}

impl Machine {
    /// What it is when the host itself found no memory for a call.
    pub(super) fn no_room(&self, error: &mlua::Error) -> Trouble {
        tracing::debug!(%error, "no coroutine for a call");
        self.out_of_memory(Vec::new())
    }

    pub(super) fn out_of_memory(&self, frames: Vec<Frame>) -> Trouble {
        let text = format!(
            "not enough memory: the VM may hold {} (--memory)",
            bytesize::ByteSize::b(self.memory as u64)
        );
        Trouble { cause: Cause::Memory, text, frames }
    }

    /// The text of an error value.
    pub(super) fn error_text(&self, origin: &Rc<Origin>, value: mlua::Result<Value>) -> String {
        match value {
            Ok(Value::Error(error)) => error.to_string(),
            Ok(Value::String(text)) => {
                format!("{:.LONGEST_ERROR$}", Printable(&text.as_bytes()))
            }
            Ok(value @ Value::Table(_)) => self.described(origin, value),
            Ok(Value::Nil) => "error without a value (error(nil))".to_owned(),
            Ok(other) => format!("error with a {} as its value", kind(&other)),
            Err(error) => error.to_string(),
        }
    }

    /// The text of an error that is a table: what its `__tostring` makes of it, under a budget of
    /// its own.
    fn described(&self, origin: &Rc<Origin>, value: Value) -> String {
        let plain = format!("error with a {} as its value", kind(&value));
        let Ok(value) = Pinned::new(&self.lua, value) else { return plain };
        // A `__tostring` that raises another table is not asked again.
        if self.describing.replace(true) {
            return plain;
        }
        let ran = self.call(origin, None, &self.tostring, &[Argument::Pinned(&value)]);
        self.describing.set(false);
        let Ok(Ran::Returned(coroutine)) = ran else { return plain };
        let text = match coroutine.result(1) {
            Given::Bytes(text) => format!("{plain}: {:.LONGEST_ERROR$}", Printable(text)),
            _ => plain,
        };
        self.put_back(coroutine);
        text
    }
}
