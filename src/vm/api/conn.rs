//! What stands behind the methods and fields of `conn`.

use std::rc::Rc;

use mlua::{Lua, LuaString, Table, UserData, UserDataRef, Value};

use crate::conn::{Conn, SendError};
use crate::handler::Wait;
use crate::net::Endpoint;
use crate::text::{Printable, nearest};
use crate::vm::host::{SharedHost, WHILE_LOADING};

/// What a conn table holds: the connection itself, so that its fields outlive it.
pub(in crate::vm) struct Handle(pub(in crate::vm) Rc<Conn>);

impl UserData for Handle {}

/// The fields of `conn` beside `state`.
const FIELDS: [&str; 7] =
    ["id", "transport", "peer", "peer_ip", "peer_port", "local_addr", "listener"];

pub(super) fn add(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    add_sends(lua, table, host)?;
    add_orders(lua, table, host)?;
    let field = lua.create_function(|lua, (handle, key): (UserDataRef<Handle>, Value)| {
        field(lua, &handle.0, &key)
    })?;
    table.raw_set("field", field)?;
    let describe =
        lua.create_function(|_, handle: UserDataRef<Handle>| Ok(handle.0.to_string()))?;
    table.raw_set("describe", describe)
}

/// What a method that sends gives the prelude: `true`; nil and a problem; `"wait"`; or `"raise"`
/// and the text of an error.
type Answer = (Value, Option<String>);

fn answer(lua: &Lua, word: &str, text: Option<String>) -> mlua::Result<Answer> {
    Ok((Value::String(lua.create_string(word)?), text))
}

fn refused(problem: SendError) -> Answer {
    (Value::Nil, Some(problem.as_str().to_owned()))
}

fn add_sends(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    let shared = SharedHost::clone(host);
    let send = move |lua: &Lua, args: (UserDataRef<Handle>, LuaString, bool)| {
        let (handle, data, can_yield) = args;
        if shared.loading.get() {
            return answer(lua, "raise", Some(format!("conn:send: {WHILE_LOADING}")));
        }
        match handle.0.send(&data.as_bytes(), false) {
            Ok(()) => Ok((Value::Boolean(true), None)),
            // Only who serves the connection waits for it: nobody else may be held up by a peer.
            Err(SendError::Full) if shared.serves(&handle.0) => {
                let wait = Wait::Room(Rc::clone(&handle.0));
                let state = lua.current_thread().state() as usize;
                match shared.wait("conn:send", state, can_yield, wait) {
                    None => answer(lua, "wait", None),
                    Some(_) => Ok(refused(SendError::Full)),
                }
            }
            Err(problem) => Ok(refused(problem)),
        }
    };
    table.raw_set("send", lua.create_function(send)?)?;

    let shared = SharedHost::clone(host);
    let flush = move |lua: &Lua, (handle, can_yield): (UserDataRef<Handle>, bool)| {
        if handle.0.is_gone() {
            return Ok(refused(SendError::Closed));
        }
        if handle.0.is_flushed() && !shared.loading.get() {
            return Ok((Value::Boolean(true), None));
        }
        let wait = Wait::Flushed(Rc::clone(&handle.0));
        let state = lua.current_thread().state() as usize;
        match shared.wait("conn:flush", state, can_yield, wait) {
            None => answer(lua, "wait", None),
            problem => answer(lua, "raise", problem),
        }
    };
    table.raw_set("flush", lua.create_function(flush)?)
}

fn add_orders(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    let shared = SharedHost::clone(host);
    let order = move |_: &Lua, (handle, order): (UserDataRef<Handle>, LuaString)| {
        if shared.loading.get() {
            return Ok(Some(format!("conn:{}: {WHILE_LOADING}", order.to_string_lossy())));
        }
        match &*order.as_bytes() {
            b"close" => handle.0.close(),
            b"reset" => handle.0.reset(),
            _ => handle.0.shutdown(),
        }
        Ok(None)
    };
    table.raw_set("order", lua.create_function(order)?)
}

fn field(lua: &Lua, conn: &Conn, key: &Value) -> mlua::Result<(Value, Option<String>)> {
    let key = match key {
        Value::String(key) => key.to_string_lossy(),
        other => format!("[{}]", other.type_name()),
    };
    let text = |text: &str| Ok((Value::String(lua.create_string(text)?), None));
    match key.as_str() {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 connections")]
        "id" => Ok((Value::Number(conn.id as f64), None)),
        "transport" => text(conn.transport.name()),
        "peer" => text(&printable(&conn.peer)),
        "peer_ip" => conn.peer.ip().map_or(Ok((Value::Nil, None)), |ip| text(&ip.to_string())),
        "peer_port" => {
            Ok((conn.peer.port().map_or(Value::Nil, |port| Value::Number(port.into())), None))
        }
        "local_addr" => text(&printable(&conn.local)),
        "listener" => text(conn.listener.label()),
        unknown => Ok((Value::Nil, Some(unknown_field(unknown)))),
    }
}

/// An address as text without control bytes; paths may hold any.
fn printable(address: &Endpoint) -> String {
    Printable(address.to_string().as_bytes()).to_string()
}

fn unknown_field(key: &str) -> String {
    let hint = match nearest(key, FIELDS.into_iter().chain(["state"])) {
        Some(near) => format!("did you mean conn.{near}?"),
        None => "your own values belong in conn.state".to_owned(),
    };
    format!("conn has no field '{key}'; {hint}")
}
