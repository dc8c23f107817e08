//! What a Lua value is, for errors and messages.

use mlua::{Error, Value};

/// Whether an error value is what a function of the host raises when it finds no memory.
pub(super) fn is_out_of_memory(problem: &Value) -> bool {
    let Value::Error(error) = problem else { return false };
    let mut error: &Error = error;
    loop {
        match error {
            Error::MemoryError(_) => return true,
            Error::CallbackError { cause, .. } | Error::WithContext { cause, .. } => {
                error = cause;
            }
            _ => return false,
        }
    }
}

/// The type of a value as scripts know it.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "number",
        other => other.type_name(),
    }
}
