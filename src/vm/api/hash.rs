//! What stands behind `hash` and `random`. Hashing takes its input in pieces, and is under the
//! budget of the call between them. Random bytes are 1 MiB at most, some 3 ms.

use mlua::{Lua, Table};

use crate::hash::{Algorithm, Crc16, crc32};
use crate::vm::raw::stack::{self, Arguments, Native, Stack};

/// How much is hashed between two safepoints: 0.2 ms by the slowest of them.
const PIECE: usize = 64 << 10;

/// More bytes at once than anybody has a use for.
const MOST_RANDOM: u32 = 1 << 20;

/// `digest(algorithm, data)`, `hmac(algorithm, key, data)`, `crc32(data)`, `crc16(data, variant)`,
/// `random(count)`; and `most_random`.
pub(super) fn add(lua: &Lua, table: &Table) -> mlua::Result<()> {
    let functions: [(&str, Native); 5] = [
        ("digest", digest),
        ("hmac", hmac),
        ("crc32", checksum32),
        ("crc16", checksum16),
        ("random", random),
    ];
    for (name, native) in functions {
        table.raw_set(name, stack::function(lua, native, None)?)?;
    }
    table.raw_set("most_random", MOST_RANDOM)
}

fn bytes(arguments: Arguments<'_>, position: i32) -> Result<&[u8], String> {
    arguments.bytes(position).ok_or_else(|| "a string was expected".to_owned())
}

fn algorithm(arguments: Arguments<'_>) -> Result<Algorithm, String> {
    Algorithm::named(bytes(arguments, 1)?).ok_or_else(|| "there is no such algorithm".to_owned())
}

fn pieces<'a>(data: &'a [u8], stack: &Stack<'a>) -> impl Iterator<Item = &'a [u8]> {
    let pace = stack.pace();
    data.chunks(PIECE).inspect(move |_| pace.check())
}

fn digest<'a>(arguments: Arguments<'a>, stack: &mut Stack<'a>) -> Result<(), String> {
    let data = pieces(bytes(arguments, 2)?, stack);
    stack.push_bytes(&algorithm(arguments)?.digest(data));
    Ok(())
}

fn hmac<'a>(arguments: Arguments<'a>, stack: &mut Stack<'a>) -> Result<(), String> {
    let (key, data) = (bytes(arguments, 2)?, pieces(bytes(arguments, 3)?, stack));
    stack.push_bytes(&algorithm(arguments)?.hmac(key, data));
    Ok(())
}

fn checksum32<'a>(arguments: Arguments<'a>, stack: &mut Stack<'a>) -> Result<(), String> {
    stack.push_number(crc32(pieces(bytes(arguments, 1)?, stack)).into());
    Ok(())
}

fn checksum16<'a>(arguments: Arguments<'a>, stack: &mut Stack<'a>) -> Result<(), String> {
    let variant = Crc16::named(bytes(arguments, 2)?).ok_or("there is no such variant")?;
    stack.push_number(variant.checksum(pieces(bytes(arguments, 1)?, stack)).into());
    Ok(())
}

fn random<'a>(arguments: Arguments<'a>, stack: &mut Stack<'a>) -> Result<(), String> {
    let count = arguments.number(1).filter(|count| (0.0..=f64::from(MOST_RANDOM)).contains(count));
    let count = count.ok_or("a number within bounds was expected")?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    let count = count as usize;
    stack.push_filled(count, |bytes| getrandom::fill(bytes).map_err(|error| error.to_string()))
}
