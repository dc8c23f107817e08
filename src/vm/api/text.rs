//! Searches that stay linear where Luau's own take the product of both lengths, and the case of
//! letters.

use memchr::memmem;
use mlua::{Lua, LuaString, Table};

use crate::vm::raw::case;

/// `find(subject, text, init)` as `string.find` with `plain`, `split(subject, separator)`, and
/// `upper` and `lower`.
pub(super) fn add(lua: &Lua, table: &Table) -> mlua::Result<()> {
    let find = lua.create_function(|_, (subject, text, init): (LuaString, LuaString, f64)| {
        let (subject, text) = (subject.as_bytes(), text.as_bytes());
        let Some(start) = start_of_search(init, subject.len()) else { return Ok((None, None)) };
        let found = memmem::find(&subject[start..], &text).map(|at| start + at);
        Ok((found.map(|at| at + 1), found.map(|at| at + text.len())))
    })?;
    let split = lua.create_function(|lua, (subject, separator): (LuaString, LuaString)| {
        let (subject, separator) = (subject.as_bytes(), separator.as_bytes());
        let parts = lua.create_table()?;
        let mut start = 0;
        for at in memmem::find_iter(&subject, &separator).chain([subject.len()]) {
            parts.raw_push(lua.create_string(&subject[start..at])?)?;
            start = at + separator.len();
        }
        Ok(parts)
    })?;
    table.raw_set("upper", case::upper_function(lua)?)?;
    table.raw_set("lower", case::lower_function(lua)?)?;
    table.raw_set("find", find)?;
    table.raw_set("split", split)
}

/// Where a search that begins at Lua's position `init` starts, from 0; negative positions count
/// from the end. None: behind the end.
fn start_of_search(init: f64, length: usize) -> Option<usize> {
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and is bounded below")]
    let init = init as i64;
    let length_signed = i64::try_from(length).unwrap_or(i64::MAX);
    let from = if init < 0 { length_signed.saturating_add(init) } else { init - 1 };
    usize::try_from(from.max(0)).ok().filter(|start| *start <= length)
}

#[cfg(test)]
mod tests {
    use super::start_of_search;

    #[test]
    fn search_starts_where_lua_says() {
        let starts = [1.0, 0.0, 3.0, 4.0, 5.0, -1.0, -9.0, f64::NAN].map(|i| start_of_search(i, 3));
        let expected = [Some(0), Some(0), Some(2), Some(3), None, Some(2), Some(0), Some(0)];
        assert_eq!(starts, expected);
    }
}
