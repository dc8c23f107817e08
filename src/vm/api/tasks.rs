//! What stands behind `after`, `every`, `spawn` and `connect`.

use std::rc::Rc;
use std::time::Duration;

use mlua::{Function, Lua, LuaString, Table, Value};

use crate::conn::Framings;
use crate::handler::Wait;
use crate::net::address::{Address, AddressError};
use crate::text::Printable;
use crate::vm::framing::Maker;
use crate::vm::host::{Call, LONGEST_TIME, SharedHost, WHILE_LOADING};
use crate::vm::raw::Pinned;
use crate::vm::tasks::Trigger;

/// URLs that a script got wrong are shown to this many bytes.
const LONGEST_URL: usize = 128;

/// What `connect` says of a URL that it cannot take; the hint may be empty.
fn bad_url(url: &str, hint: &str) -> String {
    let url = Printable(url.as_bytes());
    let hint = Printable(hint.as_bytes());
    let separator = if hint.0.is_empty() { "" } else { "; " };
    format!(
        "connect expects tcp://HOST:PORT, udp://HOST:PORT or unix://PATH, \
         got '{url:.LONGEST_URL$}'{separator}{hint:.LONGEST_URL$}"
    )
}

pub(super) fn add(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    let shared = SharedHost::clone(host);
    // The id of the task; nil where there are too many.
    let add = move |lua: &Lua, (kind, seconds, function): (LuaString, f64, Function)| {
        let period = Duration::from_secs_f64(seconds.min(LONGEST_TIME));
        let trigger = match &*kind.as_bytes() {
            b"after" => Trigger::After,
            b"every" => Trigger::Every(period),
            _ => Trigger::Spawn,
        };
        let Some(generation) = shared.generation() else { return Ok(None) };
        let owner = (shared.owner(), shared.owning_conn());
        if generation.has_ended_for(owner.0) {
            return Ok(Some(shared.tasks.next_id()));
        }
        let function = Pinned::new(lua, function)?;
        Ok(shared.tasks.add(trigger, period, function, generation, owner))
    };
    table.raw_set("add_task", lua.create_function(add)?)?;

    let shared = SharedHost::clone(host);
    let cancel = move |_: &Lua, id: u64| {
        shared.tasks.cancel(id);
        Ok(())
    };
    table.raw_set("cancel_task", lua.create_function(cancel)?)?;

    let shared = SharedHost::clone(host);
    let connect = move |lua: &Lua, args: (LuaString, f64, Value, bool)| {
        let (url, seconds, framing, can_yield) = args;
        let state = lua.current_thread().state() as usize;
        if let Some(problem) = shared.cannot_wait("connect", state, can_yield) {
            return Ok(Some(problem));
        }
        let address = match url.to_string_lossy().parse::<Address>() {
            Ok(Address::Unixgram(_)) => {
                return Ok(Some(bad_url(&url.to_string_lossy(), "")));
            }
            Ok(address) if address.takes_any_port() => {
                return Ok(Some("connect expects a port from 1 to 65535, got 0".to_owned()));
            }
            Ok(address) => address,
            Err(AddressError { value, problem }) => {
                let hint = problem.split_once("; ").map_or("", |(_, hint)| hint);
                return Ok(Some(bad_url(&value, hint)));
            }
        };
        let framings = match framings(&shared, &framing) {
            Ok(framings) => framings,
            Err(problem) => return Ok(Some(format!("connect: framing: {problem}"))),
        };
        let dialler = shared.site.as_ref().and_then(|site| site.dialler.borrow().clone());
        let Some(dialler) = dialler else {
            return Ok(Some("connect: the worker is not ready".to_owned()));
        };
        let limit = Duration::from_secs_f64(seconds.min(LONGEST_TIME));
        let dialling = dialler(Call { address, limit, framings });
        let (owner, tasks) = (shared.owner(), Rc::clone(&shared.tasks));
        let generation = shared.generation();
        let dialling = Box::pin(async move {
            let conn = dialling.await?;
            if generation.is_some_and(|generation| generation.has_ended_for(owner)) {
                conn.close();
            } else {
                tasks.adopt(owner, &conn);
            }
            Ok(conn)
        });
        Ok(shared.wait("connect", state, can_yield, Wait::Dial(dialling)))
    };
    table.raw_set("connect", lua.create_function(connect)?)
}

/// The framings of an outgoing connection: those of the script, unless `value` says others.
fn framings(host: &SharedHost, value: &Value) -> Result<Framings, String> {
    let Some(generation) = host.generation() else { return Err(WHILE_LOADING.into()) };
    if value.is_nil() {
        return Ok(generation.framings());
    }
    let framing = Maker::outliving(&generation).standing(value)?;
    Ok(Framings { read: Rc::clone(&framing), reply: framing })
}
