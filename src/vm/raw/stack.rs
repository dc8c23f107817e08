//! Functions of the host that work on the Lua stack itself, for what would pay too much for a
//! handle to every value: they read tables and build them without one. Which values they read and
//! build is the business of `api`.
//!
//! Such a function never calls into Lua and never asks for a metamethod. Where it finds no memory
//! Luau raises its error through the Rust frames above, which drop what they own on the way: it is
//! an error of the call, as any other. It is under the budget of its call where it asks
//! [`Pace::check`], whose panic passes through the same frames; none of them is mlua's.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ptr::null_mut;

use mlua::{Function, Lua, Table, ffi};

use crate::vm::budget;

/// A function of the host: reads its arguments and leaves its one result on the stack; a text is a
/// problem, which the function returns after a nil.
pub(in crate::vm) type Native = for<'a> fn(Arguments<'a>, &mut Stack<'a>) -> Result<(), String>;

/// Slots beyond those in use that `Stack` keeps free.
const SLACK: c_int = 8;

/// Makes a Lua function of `native`. `mark` is the metatable that [`Stack::push_array`] gives and
/// [`Stack::is_array`] knows; without it a function makes and knows no arrays.
pub(in crate::vm) fn function(
    lua: &Lua,
    native: Native,
    mark: Option<&Table>,
) -> mlua::Result<Function> {
    // SAFETY: the closure takes the table and the pointer from the stack, and is the one result.
    unsafe {
        lua.exec_raw(mark, |state| {
            ffi::lua_pushlightuserdata(state, native as *mut c_void);
            ffi::lua_pushcclosurek(state, run, c"host".as_ptr(), 2, None);
        })
    }
}

const MARK: c_int = ffi::lua_upvalueindex(1);
const NATIVE: c_int = ffi::lua_upvalueindex(2);

unsafe extern "C-unwind" fn run(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Luau passes a live state. The second upvalue is the function that `function` was
    // given, as a pointer; scripts cannot change upvalues.
    unsafe {
        let native: Native = std::mem::transmute(ffi::lua_tolightuserdata(state, NATIVE));
        let count = ffi::lua_gettop(state);
        let mut stack = Stack { state, height: 0, lifetime: PhantomData };
        let problem = match native(Arguments { state, count, lifetime: PhantomData }, &mut stack) {
            Ok(()) if stack.height > 0 => return 1,
            Ok(()) => return 0,
            Err(problem) => problem,
        };
        ffi::lua_settop(state, count);
        stack.height = 0;
        stack.push_nil();
        stack.push_bytes(problem.as_bytes());
        2
    }
}

/// What the function was called with.
#[derive(Clone, Copy)]
pub(in crate::vm) struct Arguments<'a> {
    state: *mut ffi::lua_State,
    count: c_int,
    lifetime: PhantomData<&'a ()>,
}

impl<'a> Arguments<'a> {
    /// The string at `position`, from 1.
    pub(in crate::vm) fn bytes(self, position: c_int) -> Option<&'a [u8]> {
        match self.view(position) {
            View::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The number at `position`, from 1.
    pub(in crate::vm) fn number(self, position: c_int) -> Option<f64> {
        match self.view(position) {
            View::Number(number) => Some(number),
            _ => None,
        }
    }

    fn view(self, position: c_int) -> View<'a> {
        if !(1..=self.count).contains(&position) {
            return View::Nil;
        }
        // SAFETY: the position holds an argument, which `Stack` leaves in its place.
        unsafe { view(self.state, position) }
    }
}

/// One Lua value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::vm) enum View<'a> {
    Nil,
    /// The null of JSON: a light userdata that points nowhere.
    Null,
    Boolean(bool),
    Number(f64),
    /// Of Luau's own integer type.
    Integer(i64),
    Bytes(&'a [u8]),
    Table,
    /// Any other, by the name of its type.
    Other(&'static str),
}

/// Reads the value at `index`.
///
/// # Safety
/// The index holds a value, which stays where it is for `'a`.
unsafe fn view<'a>(state: *mut ffi::lua_State, index: c_int) -> View<'a> {
    // SAFETY: as above; a string's bytes are contiguous and do not move.
    unsafe {
        match ffi::lua_type(state, index) {
            ffi::LUA_TNIL => View::Nil,
            ffi::LUA_TBOOLEAN => View::Boolean(ffi::lua_toboolean(state, index) != 0),
            ffi::LUA_TNUMBER => View::Number(ffi::lua_tonumber(state, index)),
            ffi::LUA_TINTEGER => View::Integer(ffi::lua_tointeger64(state, index, null_mut())),
            ffi::LUA_TSTRING => {
                let mut length = 0;
                let bytes = ffi::lua_tolstring(state, index, &raw mut length);
                View::Bytes(std::slice::from_raw_parts(bytes.cast(), length))
            }
            ffi::LUA_TTABLE => View::Table,
            ffi::LUA_TLIGHTUSERDATA if ffi::lua_touserdata(state, index).is_null() => View::Null,
            ffi::LUA_TFUNCTION => View::Other("function"),
            ffi::LUA_TTHREAD => View::Other("thread"),
            ffi::LUA_TBUFFER => View::Other("buffer"),
            ffi::LUA_TVECTOR => View::Other("vector"),
            _ => View::Other("userdata"),
        }
    }
}

/// The values above the arguments. It knows how many there are, and so never touches what it did
/// not push.
pub(in crate::vm) struct Stack<'a> {
    state: *mut ffi::lua_State,
    height: c_int,
    lifetime: PhantomData<&'a ()>,
}

/// What a table is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vm) enum Shape {
    /// No entry at all.
    Empty,
    /// The keys are 1 up to this number.
    Sequence(c_int),
    /// All keys are strings.
    Record,
    /// Anything else.
    Mixed,
}

/// The safepoints of a function that may run long.
#[derive(Clone, Copy)]
pub(in crate::vm) struct Pace<'a> {
    state: *mut ffi::lua_State,
    lifetime: PhantomData<&'a ()>,
}

impl Pace<'_> {
    /// Ends the call if it is over its budget. Costs about a nanosecond.
    pub(in crate::vm) fn check(self) {
        // SAFETY: the function runs in this coroutine, called by `run` alone.
        unsafe { budget::safepoint(self.state) };
    }
}

impl<'a> Stack<'a> {
    /// The safepoints of this function.
    pub(in crate::vm) fn pace(&self) -> Pace<'a> {
        Pace { state: self.state, lifetime: PhantomData }
    }

    /// Makes room for a few more values.
    fn reserve(&mut self) {
        // SAFETY: the state is live; where there is no room Luau raises an error.
        unsafe { ffi::luaL_checkstack(self.state, SLACK, c"too deep".as_ptr()) };
    }

    pub(in crate::vm) fn push_nil(&mut self) {
        self.reserve();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnil(self.state) };
        self.height += 1;
    }

    pub(in crate::vm) fn push_null(&mut self) {
        self.reserve();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushlightuserdata(self.state, null_mut()) };
        self.height += 1;
    }

    pub(in crate::vm) fn push_boolean(&mut self, value: bool) {
        self.reserve();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushboolean(self.state, value.into()) };
        self.height += 1;
    }

    pub(in crate::vm) fn push_number(&mut self, value: f64) {
        self.reserve();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnumber(self.state, value) };
        self.height += 1;
    }

    pub(in crate::vm) fn push_bytes(&mut self, bytes: &[u8]) {
        self.reserve();
        // SAFETY: there is room, and the bytes are copied.
        unsafe { ffi::lua_pushlstring_(self.state, bytes.as_ptr().cast(), bytes.len()) };
        self.height += 1;
    }

    /// Pushes a string of `length` bytes that `fill` writes where they stay.
    pub(in crate::vm) fn push_filled(
        &mut self,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        self.reserve();
        // SAFETY: the buffer does not move while it is in use, its `length` bytes are written
        // before they are read, and of its one or no value on the stack the result takes the
        // place; where `fill` fails, `run` drops that value.
        unsafe {
            let mut buffer: ffi::luaL_Strbuf = std::mem::zeroed();
            let start = ffi::luaL_buffinitsize(self.state, &raw mut buffer, length).cast::<u8>();
            start.write_bytes(0, length);
            fill(std::slice::from_raw_parts_mut(start, length))?;
            ffi::luaL_pushresultsize(&raw mut buffer, length);
        }
        self.height += 1;
        Ok(())
    }

    /// Pushes an empty table.
    pub(in crate::vm) fn push_table(&mut self) {
        self.reserve();
        // SAFETY: there is room.
        unsafe { ffi::lua_createtable(self.state, 0, 0) };
        self.height += 1;
    }

    /// Pushes an empty table that stays an array when it is empty.
    pub(in crate::vm) fn push_array(&mut self) {
        self.push_table();
        // SAFETY: there is room; the mark is a table or nil, and goes into the new one.
        unsafe {
            ffi::lua_pushvalue(self.state, MARK);
            ffi::lua_setmetatable(self.state, -2);
        }
    }

    /// Pops the value at the top and sets it at `index` of the table beneath, which was pushed
    /// as one.
    pub(in crate::vm) fn set_index(&mut self, index: c_int) {
        if self.height >= 2 && self.is_table(-2) {
            // SAFETY: checked above.
            unsafe { ffi::lua_rawseti(self.state, -2, index.into()) };
            self.height -= 1;
        }
    }

    /// Pops a value and beneath it its name, and sets it in the table beneath them.
    pub(in crate::vm) fn set_field(&mut self) {
        if self.height >= 3 && self.is_table(-3) && self.is_string(-2) {
            // SAFETY: checked above.
            unsafe { ffi::lua_rawset(self.state, -3) };
            self.height -= 2;
        }
    }

    fn is_table(&self, index: c_int) -> bool {
        // SAFETY: the callers know of a value there.
        unsafe { ffi::lua_type(self.state, index) == ffi::LUA_TTABLE }
    }

    fn is_string(&self, index: c_int) -> bool {
        // SAFETY: the callers know of a value there.
        unsafe { ffi::lua_type(self.state, index) == ffi::LUA_TSTRING }
    }

    /// Pushes the argument at `position` once more.
    pub(in crate::vm) fn push_argument(&mut self, arguments: Arguments<'_>, position: c_int) {
        self.reserve();
        // SAFETY: there is room; a position without an argument is left out.
        unsafe {
            if (1..=arguments.count).contains(&position) {
                ffi::lua_pushvalue(self.state, position);
            } else {
                ffi::lua_pushnil(self.state);
            }
        }
        self.height += 1;
    }

    /// The value at the top.
    pub(in crate::vm) fn top(&self) -> View<'_> {
        if self.height == 0 {
            return View::Nil;
        }
        // SAFETY: there is a value, and it stays while the stack is borrowed.
        unsafe { view(self.state, -1) }
    }

    /// The value beneath the top.
    pub(in crate::vm) fn below(&self) -> View<'_> {
        if self.height < 2 {
            return View::Nil;
        }
        // SAFETY: as above.
        unsafe { view(self.state, -2) }
    }

    /// Drops `count` values.
    pub(in crate::vm) fn pop(&mut self, count: c_int) {
        let count = count.clamp(0, self.height);
        // SAFETY: so many were pushed.
        unsafe { ffi::lua_pop(self.state, count) };
        self.height -= count;
    }

    /// Which table is at the top: equal only for the same one.
    pub(in crate::vm) fn identity(&self) -> usize {
        // SAFETY: what is not there has no address.
        if self.height == 0 { 0 } else { unsafe { ffi::lua_topointer(self.state, -1) as usize } }
    }

    /// Whether the table at the top was made by [`Stack::push_array`].
    pub(in crate::vm) fn is_array(&self) -> bool {
        if self.height == 0 || !self.is_table(-1) {
            return false;
        }
        // SAFETY: there is a table at the top; an upvalue that is no table has no address.
        unsafe {
            let metatable = ffi::lua_getmetatablepointer(self.state, -1);
            !metatable.is_null() && metatable == ffi::lua_topointer(self.state, MARK)
        }
    }

    /// What keys the table at the top has. Takes time in proportion to its size.
    pub(in crate::vm) fn shape(&mut self) -> Shape {
        if self.height == 0 || !self.is_table(-1) {
            return Shape::Mixed;
        }
        // SAFETY: there is a table at the top.
        let length = unsafe { ffi::lua_objlen(self.state, -1) };
        let length = c_int::try_from(length).unwrap_or(c_int::MAX);
        let (mut numbers, mut names) = (0, 0);
        let mut place = 0;
        while let Some(next) = self.push_entry(place) {
            match self.below() {
                View::Number(key)
                    if key >= 1.0 && key <= f64::from(length) && key.fract() == 0.0 =>
                {
                    numbers += 1;
                }
                View::Bytes(_) => names += 1,
                _ => {
                    self.pop(2);
                    return Shape::Mixed;
                }
            }
            self.pop(2);
            place = next;
        }
        match (numbers, names) {
            (0, 0) => Shape::Empty,
            (0, _) => Shape::Record,
            // As many whole numbers up to `length` as there are.
            (count, 0) if count == length => Shape::Sequence(length),
            _ => Shape::Mixed,
        }
    }

    /// Pushes key and value of the first entry of the table at the top from `place` on, and
    /// tells the place behind it. Places begin at 0 and stay the same while nobody writes.
    pub(in crate::vm) fn push_entry(&mut self, place: c_int) -> Option<c_int> {
        if self.height == 0 || !self.is_table(-1) || place < 0 {
            return None;
        }
        self.reserve();
        // SAFETY: there is a table at the top and room for two values.
        let next = unsafe { ffi::lua_rawiter(self.state, -1, place) };
        if next < 0 {
            return None;
        }
        self.height += 2;
        Some(next)
    }

    /// Pushes the element at `index` of the table at the top.
    pub(in crate::vm) fn push_element(&mut self, index: c_int) {
        if self.height == 0 || !self.is_table(-1) {
            return self.push_nil();
        }
        self.reserve();
        // SAFETY: there is a table at the top and room for a value.
        unsafe { ffi::lua_rawgeti(self.state, -1, index.into()) };
        self.height += 1;
    }
}
