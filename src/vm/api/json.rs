//! `json.encode` and `json.decode`, and `require` of a JSON file: from Lua values to text and back
//! on the stack, without metamethods.
//!
//! Both are under the budget of the call: each value is a safepoint. 1 MiB takes some 5 ms, or 20 ms
//! where it is nothing but tiny arrays. A text of [`LARGEST_TEXT`] that is one string, which has no
//! safepoint within, takes some 20 ms.

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
mod tests;

use std::fmt;
use std::ops::Range;

use mlua::{LightUserData, Lua, Table, Value};
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use crate::text::Printable;
use crate::vm::raw::stack::{self, Arguments, Shape, Stack, View};

/// Texts that are larger are neither read nor written.
const LARGEST_TEXT: usize = 16 << 20;

/// Arrays and objects in one another; more are a mistake or an attack.
const DEEPEST: usize = 128;

/// Whole numbers below this have an exact decimal form without an exponent.
const LARGEST_PLAIN: f64 = 1e16;

/// How much of a name is shown in an error.
const SHOWN_NAME: usize = 64;

/// `json_encode(value)` and `json_decode(text)`: the result, or nil and what is wrong; `json_null`.
pub(super) fn add(lua: &Lua, table: &Table) -> mlua::Result<()> {
    // What marks a decoded array, so that it is one also when it is empty. It says nothing else.
    let mark = lua.create_table()?;
    mark.set_readonly(true);
    table.raw_set("json_encode", stack::function(lua, encode, Some(&mark))?)?;
    table.raw_set("json_decode", stack::function(lua, decode, Some(&mark))?)?;
    table.raw_set("json_null", Value::NULL)?;
    let null = lua.create_table()?;
    null.raw_set("__tostring", lua.create_function(|_, ()| Ok("null"))?)?;
    null.raw_set("__metatable", "null")?;
    null.set_readonly(true);
    lua.set_type_metatable::<LightUserData>(Some(null));
    Ok(())
}

fn decode<'a>(arguments: Arguments<'a>, stack: &mut Stack<'a>) -> Result<(), String> {
    let text = arguments.bytes(1).ok_or("a string was expected")?;
    parse(text, stack).map_err(|error| error.to_string())
}

/// Pushes the value that `text` stands for.
fn parse(text: &[u8], stack: &mut Stack<'_>) -> serde_json::Result<()> {
    if text.len() > LARGEST_TEXT {
        let most = LARGEST_TEXT >> 20;
        return Err(de::Error::custom(format_args!("the text is larger than {most} MiB")));
    }
    let mut parser = serde_json::Deserializer::from_slice(text);
    // `Element` counts for itself, so that both directions have one limit.
    parser.disable_recursion_limit();
    Element { stack, depth: 0 }.deserialize(&mut parser)?;
    parser.end()
}

/// Pushes the value that comes next.
struct Element<'s, 'a> {
    stack: &'s mut Stack<'a>,
    /// The arrays and objects around it.
    depth: usize,
}

impl<'a> Element<'_, 'a> {
    fn within<E: de::Error>(&mut self) -> Result<Element<'_, 'a>, E> {
        if self.depth == DEEPEST {
            return Err(E::custom(format_args!("nested deeper than {DEEPEST}")));
        }
        Ok(Element { stack: &mut *self.stack, depth: self.depth + 1 })
    }

    /// The same for the next value within.
    fn again(&mut self) -> Element<'_, 'a> {
        Element { stack: &mut *self.stack, depth: self.depth }
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        self.stack.pace().check();
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_, '_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.stack.push_null();
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.stack.push_boolean(value);
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "Lua's numbers are exact up to 2^53")]
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.stack.push_number(value as f64);
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "Lua's numbers are exact up to 2^53")]
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.stack.push_number(value as f64);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.stack.push_number(value);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.stack.push_bytes(value.as_bytes());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        let mut element = self.within()?;
        element.stack.push_array();
        let mut index = 0;
        while elements.next_element_seed(element.again())?.is_some() {
            index += 1;
            element.stack.set_index(index);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
        let mut field = self.within()?;
        field.stack.push_table();
        while fields.next_key_seed(field.again())?.is_some() {
            fields.next_value_seed(field.again())?;
            field.stack.set_field();
        }
        Ok(())
    }
}

fn encode<'a>(arguments: Arguments<'a>, stack: &mut Stack<'a>) -> Result<(), String> {
    stack.push_argument(arguments, 1);
    let mut encoder = Encoder::default();
    encoder.value(stack).map_err(|problem| problem.to_string())?;
    stack.pop(1);
    stack.push_bytes(&encoder.out);
    Ok(())
}

/// Writes the value at the top of a stack.
#[derive(Default)]
struct Encoder {
    out: Vec<u8>,
    /// The tables being written, outermost first.
    open: Vec<usize>,
    /// The names of all tables being written, and where each is in its table.
    names: Vec<u8>,
    entries: Vec<Entry>,
}

/// One field of a table being written.
#[derive(Clone, Copy)]
struct Entry {
    /// Its name, in `Encoder::names`.
    start: usize,
    end: usize,
    /// Its place for `Stack::push_entry`.
    place: i32,
}

/// Why a value cannot be written.
struct Problem {
    what: String,
    /// The way to it, innermost step first.
    path: Vec<String>,
}

impl Problem {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), path: Vec::new() }
    }

    fn within(mut self, step: impl FnOnce() -> String) -> Self {
        self.path.push(step());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)?;
        if self.path.is_empty() {
            return Ok(());
        }
        out.write_str(", at ")?;
        let path: String = self.path.iter().rev().map(String::as_str).collect();
        out.write_str(path.strip_prefix('.').unwrap_or(&path))
    }
}

impl Encoder {
    fn value(&mut self, stack: &mut Stack<'_>) -> Result<(), Problem> {
        if self.out.len() > LARGEST_TEXT {
            let most = LARGEST_TEXT >> 20;
            return Err(Problem::new(format!("the text would be larger than {most} MiB")));
        }
        stack.pace().check();
        match stack.top() {
            View::Nil | View::Null => self.out.extend(b"null"),
            View::Boolean(true) => self.out.extend(b"true"),
            View::Boolean(false) => self.out.extend(b"false"),
            View::Number(number) => self.number(number)?,
            View::Integer(number) => self.out.extend(number.to_string().bytes()),
            View::Bytes(bytes) => serialize(&mut self.out, checked(bytes)?)?,
            View::Table => self.table(stack)?,
            View::Other(kind) => {
                return Err(Problem::new(format!("a {kind} cannot be said in JSON")));
            }
        }
        Ok(())
    }

    fn number(&mut self, number: f64) -> Result<(), Problem> {
        if !number.is_finite() {
            let number = if number.is_nan() { "nan" } else { "an infinite number" };
            return Err(Problem::new(format!("{number} cannot be said in JSON")));
        }
        if number.fract() == 0.0 && number.abs() < LARGEST_PLAIN {
            #[expect(clippy::cast_possible_truncation, reason = "whole, and bounded")]
            return serialize(&mut self.out, number as i64);
        }
        serialize(&mut self.out, number)
    }

    fn table(&mut self, stack: &mut Stack<'_>) -> Result<(), Problem> {
        let identity = stack.identity();
        if self.open.contains(&identity) {
            return Err(Problem::new("a table holds itself"));
        }
        if self.open.len() == DEEPEST {
            return Err(Problem::new(format!("nested deeper than {DEEPEST}")));
        }
        self.open.push(identity);
        match stack.shape() {
            Shape::Empty if stack.is_array() => self.out.extend(b"[]"),
            Shape::Empty => self.out.extend(b"{}"),
            Shape::Sequence(length) => self.array(stack, length)?,
            Shape::Record => self.object(stack)?,
            Shape::Mixed => {
                return Err(Problem::new(
                    "a table must have either the keys 1 to n or strings as keys",
                ));
            }
        }
        self.open.pop();
        Ok(())
    }

    fn array(&mut self, stack: &mut Stack<'_>, length: i32) -> Result<(), Problem> {
        self.out.push(b'[');
        for index in 1..=length {
            if index > 1 {
                self.out.push(b',');
            }
            stack.push_element(index);
            self.value(stack).map_err(|problem| problem.within(|| format!("[{index}]")))?;
            stack.pop(1);
        }
        self.out.push(b']');
        Ok(())
    }

    /// The fields in the order of their names, so that equal tables give equal texts.
    fn object(&mut self, stack: &mut Stack<'_>) -> Result<(), Problem> {
        let (first, first_byte) = (self.entries.len(), self.names.len());
        let mut place = 0;
        while let Some(next) = stack.push_entry(place) {
            if let View::Bytes(name) = stack.below() {
                let start = self.names.len();
                self.names.extend(name);
                self.entries.push(Entry { start, end: self.names.len(), place: next - 1 });
            }
            stack.pop(2);
            place = next;
        }
        let names = &self.names;
        self.entries[first..].sort_unstable_by_key(|entry| &names[entry.start..entry.end]);
        self.out.push(b'{');
        for at in first..self.entries.len() {
            if at > first {
                self.out.push(b',');
            }
            let Entry { start, end, place } = self.entries[at];
            if stack.push_entry(place).is_some() {
                self.field(stack, start..end)?;
                stack.pop(2);
            }
        }
        self.out.push(b'}');
        self.entries.truncate(first);
        self.names.truncate(first_byte);
        Ok(())
    }

    /// Writes the value at the top under the name that is kept at `name`.
    fn field(&mut self, stack: &mut Stack<'_>, name: Range<usize>) -> Result<(), Problem> {
        let text = checked(&self.names[name.clone()])?;
        serialize(&mut self.out, text)?;
        self.out.push(b':');
        self.value(stack).map_err(|problem| {
            let name = &self.names[name];
            problem.within(|| format!(".{:.SHOWN_NAME$}", Printable(name)))
        })
    }
}

fn checked(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let shown = format!("{:.SHOWN_NAME$}", Printable(bytes));
        let place = error.valid_up_to() + 1;
        Problem::new(format!("the string \"{shown}\" is no valid UTF-8 at byte {place}"))
    })
}

fn serialize(out: &mut Vec<u8>, value: impl serde::Serialize) -> Result<(), Problem> {
    serde_json::to_writer(out, &value).map_err(|error| Problem::new(error.to_string()))
}
