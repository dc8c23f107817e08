//! What Luau tells of functions: the active ones of a coroutine, for tracebacks, and how many
//! parameters one names.

#![allow(unsafe_code)]

use std::ffi::CStr;

use mlua::{Function, Lua, Thread, Value, ffi};

use super::PRELUDE;

/// Frames of a traceback that are kept; a runaway recursion has thousands.
const MAX_FRAMES: i32 = 40;

/// One active function of a coroutine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::vm) struct Frame {
    /// The chunk's name, as an error message begins with it.
    pub(in crate::vm) source: String,
    /// The line it was at, from 1.
    pub(in crate::vm) line: usize,
    /// The function's name; none for a chunk's body and for nameless functions.
    pub(in crate::vm) name: Option<String>,
}

/// The active Lua functions of `state`, innermost first, without scriptsock's own.
///
/// # Safety
/// `state` is live and not being changed: it is the running coroutine, or a suspended one.
pub(in crate::vm) unsafe fn frames(state: *mut ffi::lua_State) -> Vec<Frame> {
    let mut frames = Vec::new();
    for level in 0..MAX_FRAMES {
        // SAFETY: `lua_Debug` is plain data, for which zero is a value; `lua_getinfo` fills it and
        // returns 0 past the last level. The strings it points to live as long as the function.
        let frame = unsafe {
            let mut info: ffi::lua_Debug = std::mem::zeroed();
            if ffi::lua_getinfo(state, level, c"sln".as_ptr(), &raw mut info) == 0 {
                break;
            }
            Frame {
                source: text(info.short_src).unwrap_or_default(),
                line: usize::try_from(info.currentline).unwrap_or(0),
                name: text(info.name).filter(|name| !name.is_empty()),
            }
        };
        if frame.line > 0 && frame.source != PRELUDE {
            frames.push(frame);
        }
    }
    frames
}

/// The active functions of a thread, innermost first: of the running one, or of one that waits or
/// has failed.
pub(in crate::vm) fn frames_of(thread: &Thread) -> Vec<Frame> {
    // SAFETY: the handle keeps the thread alive, and nothing runs in it meanwhile but the function
    // of the host that asks.
    unsafe { frames(thread.state()) }
}

/// Copies a C string that may be null.
///
/// # Safety
/// A pointer that is not null points to a string that ends with a zero byte.
unsafe fn text(string: *const std::ffi::c_char) -> Option<String> {
    if string.is_null() {
        return None;
    }
    // SAFETY: as above.
    Some(unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned())
}

/// How many parameters a Lua function names; `u8::MAX` where it takes any number.
pub(in crate::vm) fn parameters(lua: &Lua, function: &Function) -> mlua::Result<u8> {
    let mut count = u8::MAX;
    // SAFETY: with a level below zero `lua_getinfo` describes the function at that index.
    let _: Value = unsafe {
        lua.exec_raw(function, |state| {
            let mut info: ffi::lua_Debug = std::mem::zeroed();
            if ffi::lua_getinfo(state, -1, c"a".as_ptr(), &raw mut info) != 0 && info.isvararg == 0
            {
                count = info.nparams;
            }
        })?
    };
    Ok(count)
}
