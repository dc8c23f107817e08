//! What stands behind `server`: the clock, stopping, the other connections, topics and the store
//! that all workers share.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mlua::{Lua, LuaString, Table, Value};
use tracing::warn;

use super::conn::Handle;
use crate::conn::{Conn, Reason, SendError};
use crate::hub::{self, IncrError, Publication, Target};
use crate::vm::host::{LONGEST_TIME, SharedHost, Site};
use crate::vm::raw::method;

pub(super) fn add(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    add_basics(lua, table, host)?;
    add_crowd(lua, table, host)?;
    add_shared(lua, table, host)
}

fn add_basics(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    let shared = SharedHost::clone(host);
    let now = move |_: &Lua, ()| {
        let since = match shared.world() {
            Some(world) => world.now(),
            None => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        };
        Ok(since.as_secs_f64())
    };
    table.raw_set("now", lua.create_function(now)?)?;

    let shared = SharedHost::clone(host);
    let note_state = move |_: &Lua, ()| {
        if !shared.silent && !shared.noted_state.replace(true) {
            let origin = shared.origin.borrow();
            warn!(
                generation = origin.label.number,
                hash = &*origin.label.hash,
                "the script uses server.state, and there are several workers: each has a state \
                 of its own"
            );
        }
        Ok(())
    };
    table.raw_set("note_state", lua.create_function(note_state)?)?;

    let shared = SharedHost::clone(host);
    // The text of an error where the running call must not do what `name` does.
    let forbidden = move |_: &Lua, name: LuaString| Ok(shared.forbidden(&name.to_string_lossy()));
    table.raw_set("forbidden", lua.create_function(forbidden)?)?;

    let shared = SharedHost::clone(host);
    let stop = move |_: &Lua, ()| {
        (shared.stop)();
        Ok(())
    };
    table.raw_set("stop", lua.create_function(stop)?)
}

fn add_crowd(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    let shared = SharedHost::clone(host);
    let connections = move |lua: &Lua, ()| {
        let conns = shared.site.as_ref().map(|site| site.roster.conns()).unwrap_or_default();
        let list = lua.create_table()?;
        // Those that have no object yet come as handles, of which the prelude makes objects.
        for conn in conns.iter().filter(|conn| !conn.is_outgoing() && !conn.is_gone()) {
            let known = shared.objects.borrow().get(&conn.id).cloned();
            match known {
                Some(object) => list.raw_push(object.value(lua)?)?,
                None => list.raw_push(method::handle(lua, conn)?)?,
            }
        }
        Ok(list)
    };
    table.raw_set("connections", lua.create_function(connections)?)?;

    let shared = SharedHost::clone(host);
    let publish = move |_: &Lua, args: (LuaString, LuaString, Option<Handle>)| {
        let (topic, data, except) = args;
        let Some(site) = &shared.site else { return Ok(true) };
        let except = except.map(|handle| handle.0.id);
        site.roster.subscribers(&topic.as_bytes(), |conn| {
            give(conn, &data.as_bytes(), except);
        });
        let to = Target::Topic((*topic.as_bytes()).into());
        Ok(post(site, to, &data.as_bytes(), except))
    };
    table.raw_set("publish", lua.create_function(publish)?)?;

    let shared = SharedHost::clone(host);
    let broadcast = move |_: &Lua, args: (LuaString, Option<Handle>)| {
        let (data, except) = args;
        let Some(site) = &shared.site else { return Ok(true) };
        let except = except.map(|handle| handle.0.id);
        to_streams(site, &data.as_bytes(), except);
        Ok(post(site, Target::Streams, &data.as_bytes(), except))
    };
    table.raw_set("broadcast", lua.create_function(broadcast)?)
}

/// Hands a publication to the other workers; says whether all of them could take it.
fn post(site: &Site, to: Target, data: &[u8], except: Option<u64>) -> bool {
    let (hub, worker) = (site.roster.hub(), site.roster.worker());
    if hub.workers() == 1 {
        return true;
    }
    let publication = Arc::new(Publication { to, data: data.into(), except });
    hub.post(worker, &publication).is_ok()
}

/// Gives a publication of another worker to those it is for.
pub fn deliver(site: &Site, publication: &Publication) {
    let Publication { to, data, except } = publication;
    match to {
        Target::Topic(topic) => {
            site.roster.subscribers(topic, |conn| give(conn, data, *except));
        }
        Target::Streams => to_streams(site, data, *except),
    }
}

fn to_streams(site: &Site, data: &[u8], except: Option<u64>) {
    for conn in site.roster.conns() {
        if conn.is_stream() && !conn.is_outgoing() {
            give(&conn, data, except);
        }
    }
}

/// Sends without waiting. A stream that does not take what it is sent is closed: waiting for it
/// would hold everybody up, and keeping it all would need memory without end.
fn give(conn: &Rc<Conn>, data: &[u8], except: Option<u64>) {
    if except == Some(conn.id) {
        return;
    }
    match conn.send(data) {
        Err(SendError::Full | SendError::Crowded) if conn.is_stream() => {
            conn.break_off(Reason::Slow);
        }
        // A datagram that does not fit is dropped, as a network would; who is closing is no
        // subscriber any more.
        Ok(()) | Err(_) => {}
    }
}

fn add_shared(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    let store = lua.create_table()?;
    let Some(site) = &host.site else { return table.raw_set("shared", store) };
    let ttl = |seconds: Option<f64>| {
        seconds.map(|seconds| Duration::from_secs_f64(seconds.min(LONGEST_TIME)))
    };

    let hub = Arc::clone(site.roster.hub());
    let get = move |lua: &Lua, key: LuaString| match hub.shared().get(&key.as_bytes()) {
        None => Ok(Value::Nil),
        Some(hub::Value::Text(text)) => Ok(Value::String(lua.create_string(&*text)?)),
        Some(hub::Value::Number(number)) => Ok(Value::Number(number)),
        Some(hub::Value::Flag(flag)) => Ok(Value::Boolean(flag)),
    };
    store.raw_set("get", lua.create_function(get)?)?;

    let hub = Arc::clone(site.roster.hub());
    let set = move |_: &Lua, (key, value, seconds): (LuaString, Value, Option<f64>)| {
        Ok(hub.shared().set(&key.as_bytes(), stored(&value), ttl(seconds)).is_ok())
    };
    store.raw_set("set", lua.create_function(set)?)?;

    let hub = Arc::clone(site.roster.hub());
    let add = move |_: &Lua, (key, value, seconds): (LuaString, Value, Option<f64>)| {
        Ok(match hub.shared().add(&key.as_bytes(), stored(&value), ttl(seconds)) {
            Ok(true) => None,
            Ok(false) => Some("exists"),
            Err(_) => Some("limit"),
        })
    };
    store.raw_set("add", lua.create_function(add)?)?;

    let hub = Arc::clone(site.roster.hub());
    let incr = move |_: &Lua, (key, by, seconds): (LuaString, f64, Option<f64>)| {
        Ok(match hub.shared().incr(&key.as_bytes(), by, ttl(seconds)) {
            Ok(value) => (Some(value), None),
            Err(IncrError::NotANumber) => (None, Some("not a number")),
            Err(IncrError::Limit(_)) => (None, Some("limit")),
        })
    };
    store.raw_set("incr", lua.create_function(incr)?)?;

    let hub = Arc::clone(site.roster.hub());
    let delete = move |_: &Lua, key: LuaString| Ok(hub.shared().delete(&key.as_bytes()));
    store.raw_set("delete", lua.create_function(delete)?)?;

    let hub = Arc::clone(site.roster.hub());
    let keys = move |lua: &Lua, ()| {
        let list = lua.create_table()?;
        for key in hub.shared().keys() {
            list.raw_push(lua.create_string(key)?)?;
        }
        Ok(list)
    };
    store.raw_set("keys", lua.create_function(keys)?)?;
    table.raw_set("shared", store)
}

/// A value that the prelude has checked to be a string, a number or a boolean.
fn stored(value: &Value) -> hub::Value {
    match value {
        Value::String(text) => hub::Value::Text((*text.as_bytes()).into()),
        #[expect(clippy::cast_precision_loss, reason = "scripts know doubles alone")]
        Value::Integer(number) => hub::Value::Number(*number as f64),
        Value::Number(number) => hub::Value::Number(*number),
        other => hub::Value::Flag(matches!(other, Value::Boolean(true))),
    }
}
