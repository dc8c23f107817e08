//! Calls into Lua without handles: coroutines that are used again, bytes in and results out by
//! pointer. With its parts the only one beside `budget` that touches Luau's C interface.
//!
//! A call runs in a coroutine of its own, so that it can wait. Where the heap is near its limit, a
//! C function at the bottom of that coroutine pushes the arguments, so that a failing allocation is
//! an error of the call and nothing else; elsewhere none can fail, and it is left out. Every
//! pointer to a Lua value ends with the borrow of its coroutine.

#![allow(unsafe_code)]

pub(super) mod case;
mod frames;
pub(super) mod method;
mod results;
pub(super) mod stack;

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::null_mut;
use std::time::Duration;

use mlua::{Function, IntoLua, Lua, Thread, Value, ffi};

pub(super) use frames::{Frame, frames, frames_of, parameters};
pub(super) use results::Given;

/// Coroutines that wait for their next call; more are left to the collector.
const MAX_IDLE: usize = 64;

/// More than Luau takes at once for small objects.
const PAGE: usize = 64 * 1024;

/// Larger arguments cost so much that the way to them does not matter.
const LARGEST_DIRECT: usize = 1024 * 1024;

/// The name of the chunk that is scriptsock's own Lua, which tracebacks leave out.
pub(super) const PRELUDE: &str = "scriptsock";

/// A call that was ended from outside, carried by the unwinding panic.
pub(super) enum Ended {
    /// It used more CPU time than it may.
    Budget { used: Duration, frames: Vec<Frame> },
    /// It caught a memory error.
    Memory { frames: Vec<Frame> },
}

/// A Lua value pinned in the registry.
pub(super) struct Pinned {
    main: *mut ffi::lua_State,
    index: c_int,
    // Keeps the VM alive as long as the pin.
    _lua: Lua,
}

impl Pinned {
    pub(super) fn new(lua: &Lua, value: impl IntoLua) -> mlua::Result<Self> {
        let mut index = 0;
        let mut main = null_mut();
        // SAFETY: `lua_ref` copies the value at the top into the registry; the value stays on the
        // stack as the one result.
        let _: Value = unsafe {
            lua.exec_raw(value.into_lua(lua)?, |state| {
                index = ffi::lua_ref(state, -1);
                main = ffi::lua_mainthread(state);
            })?
        };
        Ok(Self { main, index, _lua: lua.clone() })
    }

    /// The value, as a handle.
    pub(super) fn value(&self, lua: &Lua) -> mlua::Result<Value> {
        // SAFETY: pushes one value, which is the one result; no code of Lua runs.
        unsafe {
            lua.exec_raw((), |state| {
                ffi::lua_rawgeti(state, ffi::LUA_REGISTRYINDEX, self.index.into());
            })
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: the VM is alive, and the index came from `lua_ref`.
        unsafe { ffi::lua_unref(self.main, self.index) };
    }
}

/// An argument of a call.
pub(super) enum Argument<'a> {
    Bytes(&'a [u8]),
    Pinned(&'a Pinned),
    Number(f64),
    Boolean(bool),
    Nil,
}

impl Argument<'_> {
    /// The bytes of a string that is yet to be made.
    fn size(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Pinned(_) | Self::Number(_) | Self::Boolean(_) | Self::Nil => 0,
        }
    }
}

struct Invocation<'a> {
    function: c_int,
    arguments: &'a [Argument<'a>],
}

struct Answer<'a> {
    arguments: &'a [Argument<'a>],
}

/// The tag of the light userdata that points to an answer: nothing else in a VM has it.
const ANSWER: c_int = 1;

/// What a resumed coroutine came to.
pub(super) enum Resumed {
    Returned,
    Yielded,
    Raised,
    OutOfMemory,
    Ended(Ended),
}

/// A coroutine that runs one call at a time.
pub(super) struct Coroutine {
    // Anchors `state`; in a box, because the coroutine is handed on many times in a call.
    _thread: Box<Thread>,
    state: *mut ffi::lua_State,
}

impl Coroutine {
    /// The state's address, which tells this coroutine from those that a script makes.
    pub(super) fn address(&self) -> usize {
        self.state as usize
    }

    /// The active functions, innermost first, of a call that raised an error.
    pub(super) fn frames(&self) -> Vec<Frame> {
        // SAFETY: the state is live.
        unsafe { frames(self.state) }
    }
}

/// The coroutines of one VM.
pub(super) struct Coroutines {
    lua: Lua,
    main: *mut ffi::lua_State,
    /// What the heap may grow to, in bytes.
    limit: usize,
    entry: Pinned,
    entry_function: Function,
    idle: Vec<Coroutine>,
}

impl Coroutines {
    /// For a VM whose heap may grow to `limit` bytes.
    pub(super) fn new(lua: &Lua, limit: usize) -> mlua::Result<Self> {
        let mut main = null_mut();
        // SAFETY: pushes one closure, which is the one result.
        let entry_function: Function = unsafe {
            lua.exec_raw((), |state| {
                main = ffi::lua_mainthread(state);
                ffi::lua_pushcclosurek(state, enter, c"call".as_ptr(), 0, Some(leave));
            })?
        };
        let entry = Pinned::new(lua, &entry_function)?;
        Ok(Self { lua: lua.clone(), main, limit, entry, entry_function, idle: Vec::new() })
    }

    /// A coroutine that is ready for a call.
    pub(super) fn take(&mut self) -> mlua::Result<Coroutine> {
        if let Some(coroutine) = self.idle.pop() {
            return Ok(coroutine);
        }
        let thread = self.lua.create_thread(self.entry_function.clone())?;
        let state = thread.state();
        // SAFETY: the new thread holds the entry function alone; `call` pushes it each time.
        unsafe { ffi::lua_settop(state, 0) };
        Ok(Coroutine { _thread: Box::new(thread), state })
    }

    /// Takes back a coroutine whose call has returned.
    pub(super) fn put_back(&mut self, coroutine: Coroutine) {
        // SAFETY: the coroutine has returned, so only results are on its stack.
        unsafe { ffi::lua_settop(coroutine.state, 0) };
        if self.idle.len() < MAX_IDLE {
            self.idle.push(coroutine);
        }
    }

    /// What a call needs beside its coroutine.
    pub(super) fn caller(&self) -> Caller {
        Caller { main: self.main, limit: self.limit, entry: self.entry.index }
    }
}

/// Starts and resumes calls.
#[derive(Clone, Copy)]
pub(super) struct Caller {
    main: *mut ffi::lua_State,
    limit: usize,
    entry: c_int,
}

impl Caller {
    /// Calls `function` in a coroutine from `Coroutines::take`, while `used` bytes count for the
    /// limit of the heap.
    pub(super) fn call(
        self,
        coroutine: &Coroutine,
        function: &Pinned,
        arguments: &[Argument<'_>],
        used: usize,
    ) -> Resumed {
        debug_assert_eq!(function.main, self.main, "a function of another VM");
        if self.has_room_for(arguments, used) {
            // SAFETY: the coroutine is empty, so there is room for the function and the arguments
            // on its stack, and there is for the strings among them in the heap.
            let count = unsafe {
                ffi::lua_rawgeti(coroutine.state, ffi::LUA_REGISTRYINDEX, function.index.into());
                push(coroutine.state, arguments)
            };
            return self.resume_with(coroutine, count);
        }
        let invocation = Invocation { function: function.index, arguments };
        // SAFETY: the coroutine is empty, so there is room for two values, and neither push
        // allocates. `enter` reads the invocation before this function returns.
        unsafe {
            ffi::lua_rawgeti(coroutine.state, ffi::LUA_REGISTRYINDEX, self.entry.into());
            ffi::lua_pushlightuserdata(coroutine.state, (&raw const invocation).cast_mut().cast());
        }
        self.resume_with(coroutine, 1)
    }

    /// Whether pushing these arguments certainly does not fail for want of memory. Beside their
    /// bytes it may take a page of objects and a larger table of all strings: at most half of
    /// what is used, as a string takes 32 bytes or more and its place in a doubled table 16.
    /// Within the limit only the system can refuse memory, and that ends the process anyway. What
    /// is used must be what the limit counts, pages with holes in them included: Luau's own count
    /// is of objects.
    fn has_room_for(self, arguments: &[Argument<'_>], used: usize) -> bool {
        let bytes: usize = arguments.iter().map(Argument::size).sum();
        bytes <= LARGEST_DIRECT && used / 2 * 3 + bytes + PAGE < self.limit
    }

    /// Goes on with a call that yielded; the prelude takes `answer` up with the function of
    /// [`take_answer_function`], and a method of a connection by itself.
    pub(super) fn resume(self, coroutine: &Coroutine, answer: &[Argument<'_>]) -> Resumed {
        let answer = Answer { arguments: answer };
        // SAFETY: what was yielded is dropped, which leaves room for one value, and a light
        // userdata needs no memory. `take_answer` reads the answer before this function returns:
        // only the prelude sees the pointer, and hands it on as it gets it.
        unsafe {
            ffi::lua_settop(coroutine.state, 0);
            let answer = (&raw const answer).cast_mut().cast();
            ffi::lua_pushlightuserdatatagged(coroutine.state, answer, ANSWER);
        }
        self.resume_with(coroutine, 1)
    }

    fn resume_with(self, coroutine: &Coroutine, arguments: c_int) -> Resumed {
        // SAFETY: both states are alive. `lua_resume` catches every C++ exception; a panic of the
        // interrupt or of `end_for_memory` passes through it and is caught here. No frame of mlua
        // lies between, because no function of the host calls back into Lua.
        let status = catch_unwind(AssertUnwindSafe(|| unsafe {
            ffi::lua_resume_(coroutine.state, self.main, arguments)
        }));
        match status {
            Ok(ffi::LUA_OK) => {
                coroutine.cut_results();
                Resumed::Returned
            }
            Ok(ffi::LUA_YIELD) => Resumed::Yielded,
            Ok(ffi::LUA_ERRMEM) => Resumed::OutOfMemory,
            Ok(_) => Resumed::Raised,
            Err(panic) => match panic.downcast::<Ended>() {
                Ok(ended) => Resumed::Ended(*ended),
                Err(panic) => resume_unwind(panic),
            },
        }
    }
}

/// The bottom of a coroutine: pushes function and arguments and calls.
unsafe extern "C-unwind" fn enter(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: `Caller::call` passed a live invocation. A new C frame has room for
    // `LUA_MINSTACK` values, more than any call has arguments.
    unsafe {
        let invocation = &*ffi::lua_touserdata(state, 1).cast::<Invocation<'_>>();
        ffi::lua_settop(state, 0);
        ffi::lua_rawgeti(state, ffi::LUA_REGISTRYINDEX, invocation.function.into());
        let count = push(state, invocation.arguments);
        ffi::lua_callyieldable(state, count, ffi::LUA_MULTRET)
    }
}

/// Pushes arguments, fewer than `LUA_MINSTACK`; says how many.
///
/// # Safety
/// `state` has nothing but a few values on its stack, and runs a C function within a protected
/// call, of which a string without memory is an error; or there is certainly memory.
unsafe fn push(state: *mut ffi::lua_State, arguments: &[Argument<'_>]) -> c_int {
    for argument in arguments {
        // SAFETY: as above.
        unsafe {
            match argument {
                Argument::Bytes(bytes) => {
                    ffi::lua_pushlstring_(state, bytes.as_ptr().cast(), bytes.len());
                }
                Argument::Pinned(value) => {
                    ffi::lua_rawgeti(state, ffi::LUA_REGISTRYINDEX, value.index.into());
                }
                Argument::Number(number) => ffi::lua_pushnumber(state, *number),
                Argument::Boolean(value) => ffi::lua_pushboolean(state, (*value).into()),
                Argument::Nil => ffi::lua_pushnil(state),
            }
        }
    }
    c_int::try_from(arguments.len()).unwrap_or(0)
}

/// The function with which the prelude turns what a wait resumed with into its results.
pub(super) fn take_answer_function(lua: &Lua) -> mlua::Result<Function> {
    // SAFETY: the prelude calls it with what `Caller::resume` pushed, and at once.
    unsafe { lua.create_c_function(take_answer) }
}

unsafe extern "C-unwind" fn take_answer(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: the prelude passes the pointer that `Caller::resume` pushed, while that runs; it is
    // known by its tag.
    unsafe {
        let answer = ffi::lua_tolightuserdatatagged(state, 1, ANSWER).cast::<Answer<'_>>();
        answer.as_ref().map_or(0, |answer| push(state, answer.arguments))
    }
}

/// Runs once the called function has returned: its results are the coroutine's.
unsafe extern "C-unwind" fn leave(state: *mut ffi::lua_State, _status: c_int) -> c_int {
    // SAFETY: the state is live.
    unsafe { ffi::lua_gettop(state) }
}

/// The function with which the prelude ends a call that caught a memory error.
pub(super) fn end_for_memory_function(lua: &Lua) -> mlua::Result<Function> {
    // SAFETY: the function takes and returns nothing, and unwinds as every ended call does.
    unsafe { lua.create_c_function(end_for_memory) }
}

unsafe extern "C-unwind" fn end_for_memory(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: `state` is the running coroutine.
    let frames = unsafe { frames(state) };
    resume_unwind(Box::new(Ended::Memory { frames }))
}
