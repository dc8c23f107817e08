//! `string.upper` and `string.lower`, as Luau's own but for many bytes at once: theirs ask the C
//! library about each byte, which costs three times what making the string does.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::mem::MaybeUninit;
use std::slice;

use mlua::{Function, Lua, ffi};

/// What is copied and changed at once: it stays in the nearest cache between the two.
const PIECE: usize = 4096;

/// `string.upper`: the ASCII letters of its argument in upper case.
pub(in crate::vm) fn upper_function(lua: &Lua) -> mlua::Result<Function> {
    function(lua, upper, c"upper")
}

/// `string.lower`: the ASCII letters of its argument in lower case.
pub(in crate::vm) fn lower_function(lua: &Lua) -> mlua::Result<Function> {
    function(lua, lower, c"lower")
}

/// `name` is what Luau's errors about its argument call it.
fn function(lua: &Lua, function: ffi::lua_CFunction, name: &CStr) -> mlua::Result<Function> {
    // SAFETY: pushes one closure without upvalues, which is the one result.
    unsafe {
        lua.exec_raw((), |state| ffi::lua_pushcclosurek(state, function, name.as_ptr(), 0, None))
    }
}

unsafe extern "C-unwind" fn upper(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Luau calls it with a live state.
    unsafe { change(state, <[u8]>::make_ascii_uppercase) }
}

unsafe extern "C-unwind" fn lower(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Luau calls it with a live state.
    unsafe { change(state, <[u8]>::make_ascii_lowercase) }
}

/// Returns the first argument as `piecewise` changes it.
///
/// # Safety
/// `state` runs a C function. Nothing in this frame is dropped where Luau raises an error.
unsafe fn change(state: *mut ffi::lua_State, piecewise: fn(&mut [u8])) -> c_int {
    let mut length = 0;
    let mut buffer = MaybeUninit::<ffi::luaL_Strbuf>::uninit();
    // SAFETY: the argument is a string from here on and keeps its place on the stack, so its bytes
    // stay. The buffer is initialised with room for as many bytes, in memory of its own; each of
    // them is written before it is seen as a slice, and the buffer does not move until its bytes
    // were taken over.
    unsafe {
        let source = ffi::luaL_checklstring(state, 1, &raw mut length).cast::<u8>();
        let target = ffi::luaL_buffinitsize(state, buffer.as_mut_ptr(), length).cast::<u8>();
        for piece in slice::from_raw_parts(source, length).chunks(PIECE) {
            let place = target.add(piece.as_ptr().offset_from_unsigned(source));
            place.copy_from_nonoverlapping(piece.as_ptr(), piece.len());
            piecewise(slice::from_raw_parts_mut(place, piece.len()));
        }
        ffi::luaL_pushresultsize(buffer.as_mut_ptr(), length);
    }
    1
}
