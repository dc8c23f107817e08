//! Methods of connections as functions on the Lua stack: what a script calls for each message must
//! not pay for handles to its values, nor for frames of Lua around it. What they do is the business
//! of `api`.
//!
//! A script's object for a connection is a table that holds, under [`key`], a userdata with a tag
//! that nothing else in the VM has, and in it the connection. A script may find both by going
//! through the table, and may put them elsewhere: it has the connection then as before, and
//! whatever else is under the key is refused by its tag.
//!
//! As in `stack`, a method calls no code of a script, and Luau's errors pass through its frames,
//! which drop what they own.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::rc::Rc;

use mlua::{AnyUserData, Function, LightUserData, Lua, Table, Value, ffi};

use super::{ANSWER, Answer, Argument, push};
use crate::conn::Conn;
use crate::vm::host::SharedHost;

/// The tag of the userdata that holds a connection.
const CONN: c_int = 1;

/// The tag of the userdata that holds a method and its host: an upvalue, which no script sees.
const BOUND: c_int = 2;

/// Its address is the key.
static KEY: u8 = 0;

/// What an object for a connection holds its handle under.
pub(in crate::vm) fn key() -> Value {
    Value::LightUserData(LightUserData(key_pointer()))
}

fn key_pointer() -> *mut c_void {
    (&raw const KEY).cast_mut().cast()
}

/// Has the VM drop what the userdata of this module hold.
pub(in crate::vm) fn prepare(lua: &Lua) -> mlua::Result<()> {
    // SAFETY: only this module makes userdata with these tags, and what it puts there is of the
    // type that the function drops.
    let _: Value = unsafe {
        lua.exec_raw((), |state| {
            ffi::lua_setuserdatadtor(state, CONN, Some(drop_held::<Rc<Conn>>));
            ffi::lua_setuserdatadtor(state, BOUND, Some(drop_held::<Bound>));
        })?
    };
    Ok(())
}

/// Luau calls this once for each userdata, when it is collected or the VM ends.
unsafe extern "C" fn drop_held<T>(_: *mut ffi::lua_State, held: *mut c_void) {
    // SAFETY: see `prepare`; `hold` has written a value before anything could fail.
    unsafe { held.cast::<T>().drop_in_place() };
}

/// Pushes a userdata that holds `value`.
///
/// # Safety
/// `T` is the type that belongs to `tag`, and `state` runs within a protected call.
unsafe fn hold<T: Clone>(state: *mut ffi::lua_State, value: &T, tag: c_int) {
    // SAFETY: as above; the userdata has the size of the type, whose pointers need no more than the
    // alignment that Luau gives. Where there is no memory nothing is written.
    unsafe {
        ffi::lua_newuserdatatagged(state, size_of::<T>(), tag).cast::<T>().write(value.clone());
    }
}

/// A handle of `conn`.
pub(in crate::vm) fn handle(lua: &Lua, conn: &Rc<Conn>) -> mlua::Result<AnyUserData> {
    // SAFETY: the tag is that of connections, and `exec_raw` protects the call.
    unsafe { lua.exec_raw((), |state| hold(state, conn, CONN)) }
}

/// The connection of a handle.
pub(in crate::vm) fn conn_of(lua: &Lua, handle: &Value) -> mlua::Result<Option<Rc<Conn>>> {
    let mut found = None;
    // SAFETY: a userdata with the tag holds a connection (see `prepare`), and is on the stack.
    let _: Value = unsafe {
        lua.exec_raw(handle, |state| {
            found = ffi::lua_touserdatatagged(state, -1, CONN).cast::<Rc<Conn>>().as_ref().cloned();
        })?
    };
    Ok(found)
}

/// A method: what the host is to do, and the name that errors tell.
pub(in crate::vm) struct Method {
    /// As `conn:send`.
    pub(in crate::vm) name: &'static str,
    pub(in crate::vm) run: for<'a> fn(&SharedHost, &Call<'a>) -> Reaction,
    /// It is run once more when what it waited for is there; else that is its result.
    pub(in crate::vm) repeats: bool,
}

/// A method of the connections of one VM.
#[derive(Clone)]
struct Bound {
    method: &'static Method,
    host: SharedHost,
}

/// How a method ends, or goes on.
pub(in crate::vm) enum Reaction {
    /// It returns `true`.
    Done,
    /// It returns what was pushed by [`Call::give`].
    Given,
    /// It returns nil and this word.
    Refused(&'static str),
    /// It raises this text as an error at the line of its caller.
    Raised(String),
    /// It waits; the host knows for what.
    Waits,
    /// The Lua function that was given beside it goes on.
    Other,
}

/// One call of a method.
pub(in crate::vm) struct Call<'a> {
    /// As in [`Method::name`].
    pub(in crate::vm) name: &'static str,
    state: *mut ffi::lua_State,
    count: c_int,
    conn: Option<&'a Rc<Conn>>,
}

impl<'a> Call<'a> {
    /// The connection whose method it is; none where the first argument is no connection.
    pub(in crate::vm) fn conn(&self) -> Option<&'a Rc<Conn>> {
        self.conn
    }

    /// The string at `position`, from 1, where the connection is.
    pub(in crate::vm) fn bytes(&self, position: c_int) -> Option<&'a [u8]> {
        // SAFETY: arguments stay in their places, and a string's bytes do not move. What is no
        // string is left as it is.
        unsafe {
            if position > self.count || ffi::lua_type(self.state, position) != ffi::LUA_TSTRING {
                return None;
            }
            let mut length = 0;
            let bytes = ffi::lua_tolstring(self.state, position, &raw mut length);
            Some(std::slice::from_raw_parts(bytes.cast(), length))
        }
    }

    /// Whether there is nil or nothing at `position`.
    pub(in crate::vm) fn is_nil(&self, position: c_int) -> bool {
        // SAFETY: a position past the top is acceptable to `lua_type`.
        position > self.count || unsafe { ffi::lua_type(self.state, position) } == ffi::LUA_TNIL
    }

    /// The type of what is at `position`, as Lua's `type` names it.
    pub(in crate::vm) fn type_name(&self, position: c_int) -> &'static str {
        if self.is_nil(position) {
            return "nil";
        }
        // SAFETY: the names of types are constants of Luau.
        let name: &'static CStr = unsafe {
            let name: *const c_char =
                ffi::lua_typename(self.state, ffi::lua_type(self.state, position));
            CStr::from_ptr(name)
        };
        name.to_str().unwrap_or("value")
    }

    /// The coroutine that it runs in, as `Coroutine::address` tells it.
    pub(in crate::vm) fn coroutine(&self) -> usize {
        self.state as usize
    }

    /// Whether that can wait here.
    pub(in crate::vm) fn can_yield(&self) -> bool {
        // SAFETY: the state is live.
        unsafe { ffi::lua_isyieldable(self.state) != 0 }
    }

    /// Pushes a string as the result; to be called once.
    pub(in crate::vm) fn give(&self, bytes: &[u8]) {
        // SAFETY: a C function has room for `LUA_MINSTACK` values above its arguments.
        unsafe { ffi::lua_pushlstring_(self.state, bytes.as_ptr().cast(), bytes.len()) };
    }
}

const HOLDER: c_int = ffi::lua_upvalueindex(1);
const OTHER: c_int = ffi::lua_upvalueindex(2);

/// The Lua function of `method`, which goes on with `other` where it says so.
pub(in crate::vm) fn function(
    lua: &Lua,
    method: &'static Method,
    host: &SharedHost,
    other: Option<Function>,
) -> mlua::Result<Function> {
    let bound = Bound { method, host: SharedHost::clone(host) };
    // SAFETY: `exec_raw` protects the call. The closure takes the two values from the stack and is
    // the one result.
    unsafe {
        lua.exec_raw(other, |state| {
            hold(state, &bound, BOUND);
            ffi::lua_insert(state, 1);
            ffi::lua_pushcclosurek(state, run, c"conn".as_ptr(), 2, Some(go_on));
        })
    }
}

unsafe extern "C-unwind" fn run(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Luau passes a live state, whose upvalues `function` has set.
    unsafe { react(state, ffi::lua_gettop(state)) }
}

/// Goes on after a wait, or after the other function.
unsafe extern "C-unwind" fn go_on(state: *mut ffi::lua_State, _status: c_int) -> c_int {
    // SAFETY: as for `run`. A light userdata with this tag is made by `Caller::resume` alone, which
    // runs while its answer is alive; a script never holds one.
    unsafe {
        let count = ffi::lua_gettop(state);
        let answer =
            if count == 0 { null_mut() } else { ffi::lua_tolightuserdatatagged(state, -1, ANSWER) };
        // The results of the other function.
        let Some(Answer { arguments }) = answer.cast::<Answer<'_>>().as_ref() else { return count };
        let Bound { method, .. } = bound(state);
        if method.repeats && matches!(arguments, [Argument::Boolean(true)]) {
            ffi::lua_pop(state, 1);
            return react(state, count - 1);
        }
        push(state, arguments)
    }
}

/// The method that runs.
///
/// # Safety
/// `state` runs a function made by `function`, which lives for `'a`.
unsafe fn bound<'a>(state: *mut ffi::lua_State) -> &'a Bound {
    // SAFETY: the upvalue is as `function` has set it, and scripts cannot change it.
    unsafe { &*ffi::lua_touserdatatagged(state, HOLDER, BOUND).cast() }
}

/// Runs the method with the `count` arguments on the stack.
///
/// # Safety
/// `state` runs a function made by `function`.
unsafe fn react(state: *mut ffi::lua_State, count: c_int) -> c_int {
    // SAFETY: the connection lives as long as its handle, which the table at 1 holds: a method
    // calls no code of a script that could take it out. There is room for `LUA_MINSTACK` values.
    unsafe {
        let Bound { method, host } = bound(state);
        let mut conn = None;
        if ffi::lua_type(state, 1) == ffi::LUA_TTABLE {
            ffi::lua_rawgetptagged(state, 1, key_pointer(), 0);
            conn = ffi::lua_touserdatatagged(state, -1, CONN).cast::<Rc<Conn>>().as_ref();
            ffi::lua_pop(state, 1);
        }
        match (method.run)(host, &Call { name: method.name, state, count, conn }) {
            Reaction::Done => {
                ffi::lua_pushboolean(state, 1);
                1
            }
            Reaction::Given => 1,
            Reaction::Refused(word) => {
                ffi::lua_pushnil(state);
                ffi::lua_pushlstring_(state, word.as_ptr().cast(), word.len());
                2
            }
            Reaction::Raised(text) => raise(state, text),
            Reaction::Waits => ffi::lua_yield(state, 0),
            Reaction::Other => {
                ffi::lua_pushvalue(state, OTHER);
                ffi::lua_insert(state, 1);
                ffi::lua_callyieldable(state, count, ffi::LUA_MULTRET)
            }
        }
    }
}

/// Raises `text` as an error at the line of the caller.
///
/// # Safety
/// As for `react`.
unsafe fn raise(state: *mut ffi::lua_State, text: String) -> c_int {
    // SAFETY: there is room for two values. What Luau throws passes through frames that own
    // nothing but the text, which is dropped.
    unsafe {
        ffi::luaL_where(state, 1);
        ffi::lua_pushlstring_(state, text.as_ptr().cast(), text.len());
        drop(text);
        ffi::lua_concat(state, 2);
        ffi::lua_error(state)
    }
}

/// The function that finds what a connection's table has not: in `methods`, else `other` does,
/// which is called as an `__index` is.
pub(in crate::vm) fn index_function(
    lua: &Lua,
    methods: &Table,
    other: &Function,
) -> mlua::Result<Function> {
    // SAFETY: the closure takes the two values from the stack and is the one result.
    unsafe {
        lua.exec_raw((methods, other), |state| {
            ffi::lua_pushcclosurek(state, index, c"conn".as_ptr(), 2, None);
        })
    }
}

unsafe extern "C-unwind" fn index(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: the first upvalue is a table, and Luau calls this with a table and a key. Where a
    // script has got hold of it and calls it otherwise, what it passes is only handed on.
    unsafe {
        ffi::lua_settop(state, 2);
        ffi::lua_pushvalue(state, 2);
        if ffi::lua_rawget(state, ffi::lua_upvalueindex(1)) != ffi::LUA_TNIL {
            return 1;
        }
        ffi::lua_settop(state, 2);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(2));
        ffi::lua_insert(state, 1);
        ffi::lua_call(state, 2, 1);
        1
    }
}
