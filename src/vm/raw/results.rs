//! What a call has returned, read where it lies on the stack of its coroutine.

#![allow(unsafe_code)]

use std::ffi::c_int;

use mlua::{Lua, Value, ffi};

use super::Coroutine;

/// Results that are kept; no rule of the handler reads more, and a stack that is full of them
/// would leave no room to read an array.
const MAX_RESULTS: c_int = 3;

/// One result of a call; bytes live as long as the coroutine is borrowed.
#[derive(Debug, PartialEq)]
pub(in crate::vm) enum Given<'a> {
    Nothing,
    Boolean(bool),
    Number(f64),
    Bytes(&'a [u8]),
    Table,
    Other(&'static str),
}

impl Coroutine {
    /// Drops the results behind those that are kept.
    pub(super) fn cut_results(&self) {
        // SAFETY: the coroutine has returned, so only results are on its stack.
        unsafe {
            if ffi::lua_gettop(self.state) > MAX_RESULTS {
                ffi::lua_settop(self.state, MAX_RESULTS);
            }
        }
    }

    /// The result at `position`, from 1; past the end it is `Nothing`.
    pub(in crate::vm) fn result(&self, position: c_int) -> Given<'_> {
        // SAFETY: the coroutine has returned; a position past its top is acceptable to `lua_type`.
        unsafe { given(self.state, position) }
    }

    /// Hands the elements of the table at `position` to `take` in order, up to the first nil;
    /// stops at the first that it refuses and returns that.
    pub(in crate::vm) fn elements<T>(
        &self,
        position: c_int,
        mut take: impl FnMut(usize, Given<'_>) -> Result<(), T>,
    ) -> Result<(), T> {
        for index in 1.. {
            // SAFETY: the value at `position` is a table. With `MAX_RESULTS` on it the stack has
            // room for the element without growing; it is popped before the next one is pushed,
            // and the string it may be is held by the table.
            let outcome = unsafe {
                ffi::lua_rawgeti(self.state, position, index);
                let element = given(self.state, -1);
                let outcome = if element == Given::Nothing {
                    None
                } else {
                    Some(take(usize::try_from(index).unwrap_or(0), element))
                };
                ffi::lua_pop(self.state, 1);
                outcome
            };
            match outcome {
                Some(Ok(())) => {}
                Some(Err(refused)) => return Err(refused),
                None => break,
            }
        }
        Ok(())
    }

    /// Whether the table at `position` has no entry at all.
    pub(in crate::vm) fn is_empty_table(&self, position: c_int) -> bool {
        // SAFETY: the value at `position` is a table. With `MAX_RESULTS` on it the stack has room
        // for the key and the value that `lua_next` pushes where there is an entry.
        unsafe {
            let top = ffi::lua_gettop(self.state);
            ffi::lua_pushnil(self.state);
            let found = ffi::lua_next(self.state, position) != 0;
            ffi::lua_settop(self.state, top);
            !found
        }
    }

    /// Moves the value at the top out: the one result of a body, or an error value.
    pub(in crate::vm) fn pop(&self, lua: &Lua) -> mlua::Result<Value> {
        // SAFETY: both states belong to one VM, and the coroutine is not running; where its stack
        // is empty the result is nil.
        unsafe {
            lua.exec_raw((), |state| {
                if ffi::lua_gettop(self.state) > 0 {
                    ffi::lua_xmove(self.state, state, 1);
                } else {
                    ffi::lua_pushnil(state);
                }
            })
        }
    }

    /// Drops all results after the first.
    pub(in crate::vm) fn keep_first(&self) {
        // SAFETY: the coroutine has returned, so only results are on its stack.
        unsafe { ffi::lua_settop(self.state, 1) };
    }
}

/// Reads the value at `index` of `state`.
///
/// # Safety
/// `state` is live, and what the returned value borrows stays on its stack or in a table there.
unsafe fn given<'a>(state: *mut ffi::lua_State, index: c_int) -> Given<'a> {
    // SAFETY: as above; a string's bytes are contiguous and do not move.
    unsafe {
        match ffi::lua_type(state, index) {
            ffi::LUA_TNONE | ffi::LUA_TNIL => Given::Nothing,
            ffi::LUA_TBOOLEAN => Given::Boolean(ffi::lua_toboolean(state, index) != 0),
            ffi::LUA_TNUMBER => Given::Number(ffi::lua_tonumber(state, index)),
            ffi::LUA_TSTRING => {
                let mut length = 0;
                let bytes = ffi::lua_tolstring(state, index, &raw mut length);
                Given::Bytes(std::slice::from_raw_parts(bytes.cast(), length))
            }
            ffi::LUA_TTABLE => Given::Table,
            ffi::LUA_TFUNCTION => Given::Other("function"),
            ffi::LUA_TTHREAD => Given::Other("thread"),
            ffi::LUA_TBUFFER => Given::Other("buffer"),
            ffi::LUA_TVECTOR => Given::Other("vector"),
            _ => Given::Other("userdata"),
        }
    }
}
