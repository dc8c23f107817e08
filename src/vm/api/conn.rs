//! What stands behind the methods and fields of `conn`.

use std::rc::Rc;
use std::time::Duration;

use mlua::{FromLua, Function, Lua, LuaString, Table, Value};

use crate::conn::{Conn, IdleLimit, Reading, SendError};
use crate::handler::Wait;
use crate::net::Endpoint;
use crate::net::option::{Knob, KnobValue, OptionError};
use crate::text::{Printable, nearest};
use crate::vm::framing::{Maker, ReadSpec};
use crate::vm::host::{LONGEST_TIME, SHORTEST_TIMEOUT, SharedHost};
use crate::vm::raw::Pinned;
use crate::vm::raw::method::{self, Method, Reaction};

/// What a conn table holds: the connection itself, so that its fields outlive it.
pub(super) struct Handle(pub(super) Rc<Conn>);

impl FromLua for Handle {
    fn from_lua(value: Value, lua: &Lua) -> mlua::Result<Self> {
        let conn = method::conn_of(lua, &value)?;
        conn.map(Self).ok_or_else(|| mlua::Error::runtime("no connection"))
    }
}

/// The fields of `conn` beside `state`.
pub(in crate::vm) const FIELDS: [&str; 7] =
    ["id", "transport", "peer", "peer_ip", "peer_port", "local_addr", "listener"];

/// The methods of `conn`.
const METHODS: [&str; 12] = [
    "close",
    "flush",
    "option",
    "read",
    "reset",
    "send",
    "send_raw",
    "set_framing",
    "set_idle_timeout",
    "shutdown",
    "subscribe",
    "unsubscribe",
];

pub(super) fn add(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    add_methods(lua, table, host)?;
    add_read(lua, table, host)?;
    add_settings(lua, table, host)?;
    add_topics(lua, table, host)?;
    add_orders(lua, table)?;
    let shared = SharedHost::clone(host);
    let keep = move |lua: &Lua, (handle, object): (Handle, Table)| {
        let object = Rc::new(Pinned::new(lua, object)?);
        shared.objects.borrow_mut().insert(handle.0.id, object);
        Ok(())
    };
    table.raw_set("keep_object", lua.create_function(keep)?)?;
    let field =
        lua.create_function(|lua, (handle, key): (Handle, Value)| field(lua, &handle.0, &key))?;
    table.raw_set("field", field)?;
    let describe = lua.create_function(|_, handle: Handle| Ok(handle.0.to_string()))?;
    table.raw_set("describe", describe)
}

/// What a method gives the prelude: its value and, where that is nil, a problem; or `"raise"` and
/// the text of an error.
type Answer = (Value, Option<String>);

const DONE: Answer = (Value::Boolean(true), None);

/// What a method that may wait gives where it is to: no word, which would be made for each wait.
const WAIT: Answer = (Value::Boolean(false), None);

fn raised(lua: &Lua, text: String) -> mlua::Result<Answer> {
    Ok((Value::String(lua.create_string("raise")?), Some(text)))
}

/// Whether the connection is closed or closing.
fn is_closed(conn: &Conn) -> bool {
    !conn.is_open() && !conn.is_half_closing()
}

fn refused(problem: &str) -> Answer {
    (Value::Nil, Some(problem.to_owned()))
}

const CLOSED: &str = "closed";

/// Names that a script got wrong are shown to this many bytes.
const LONGEST_NAME: usize = 64;

/// The methods that are on the way of messages.
static SEND: Method =
    Method { name: "conn:send", run: |host, call| send(host, call, Conn::send), repeats: true };
static SEND_RAW: Method = Method {
    name: "conn:send_raw",
    run: |host, call| send(host, call, Conn::send_raw),
    repeats: true,
};
static FLUSH: Method = Method { name: "conn:flush", run: flush, repeats: false };
static READ: Method = Method { name: "conn:read", run: read, repeats: false };

/// `methods(read_by)`: those methods by their names, where `read_by` serves a read that asks for
/// more than a message; and `index(methods, other)`, the `__index` of connections.
fn add_methods(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    method::prepare(lua)?;
    table.raw_set("handle_key", method::key())?;
    let shared = SharedHost::clone(host);
    let methods = move |lua: &Lua, read_by: Function| {
        let methods = lua.create_table()?;
        methods.raw_set("send", method::function(lua, &SEND, &shared, None)?)?;
        methods.raw_set("send_raw", method::function(lua, &SEND_RAW, &shared, None)?)?;
        methods.raw_set("flush", method::function(lua, &FLUSH, &shared, None)?)?;
        methods.raw_set("read", method::function(lua, &READ, &shared, Some(read_by))?)?;
        Ok(methods)
    };
    table.raw_set("methods", lua.create_function(methods)?)?;
    let index = |lua: &Lua, (methods, other): (Table, Function)| {
        method::index_function(lua, &methods, &other)
    };
    table.raw_set("index", lua.create_function(index)?)
}

/// As the prelude says it of its own methods.
#[cold]
fn without_colon(name: &str) -> Reaction {
    Reaction::Raised(format!("call it with a colon: {name}(...)"))
}

#[inline]
fn send(
    host: &SharedHost,
    call: &method::Call<'_>,
    send: impl Fn(&Rc<Conn>, &[u8]) -> Result<(), SendError>,
) -> Reaction {
    let Some(conn) = call.conn() else { return without_colon(call.name) };
    let Some(data) = call.bytes(2) else {
        let got = call.type_name(2);
        return Reaction::Raised(format!("{} expects a string, got {got}", call.name));
    };
    if let Some(problem) = host.forbidden(call.name) {
        return Reaction::Raised(problem);
    }
    match send(conn, data) {
        Ok(()) => Reaction::Done,
        Err(SendError::Full) if host.serves(conn) => {
            let wait = Wait::Room(Rc::clone(conn));
            match host.wait(call.name, call.coroutine(), call.can_yield(), wait) {
                None => Reaction::Waits,
                Some(_) => Reaction::Refused(SendError::Full.as_str()),
            }
        }
        Err(problem) => Reaction::Refused(problem.as_str()),
    }
}

fn flush(host: &SharedHost, call: &method::Call<'_>) -> Reaction {
    let Some(conn) = call.conn() else { return without_colon(call.name) };
    if let Some(problem) = host.forbidden(call.name) {
        return Reaction::Raised(problem);
    }
    if conn.is_gone() {
        return Reaction::Refused(CLOSED);
    }
    if conn.is_flushed() {
        return Reaction::Done;
    }
    let wait = Wait::Flushed(Rc::clone(conn));
    match host.wait(call.name, call.coroutine(), call.can_yield(), wait) {
        None => Reaction::Waits,
        Some(problem) => Reaction::Raised(problem),
    }
}

/// A read of a message by the framing in force, or by one that is known by its text; one that asks
/// for more is the prelude's.
fn read(host: &SharedHost, call: &method::Call<'_>) -> Reaction {
    let framing = match call.bytes(2) {
        Some(text) => host.known_framings.borrow().get(text).cloned(),
        None => None,
    };
    let by_itself = framing.as_ref().map_or(call.is_nil(2), |framing| !framing.takes_nothing());
    if !by_itself || !call.is_nil(3) {
        return Reaction::Other;
    }
    let Some(conn) = call.conn() else { return without_colon(call.name) };
    if let Some(problem) = host.cannot_wait(call.name, call.coroutine(), call.can_yield()) {
        return Reaction::Raised(problem);
    }
    if conn.read_at_once(framing.as_ref(), |message| call.give(message)) {
        // As every message that a read waits for.
        host.budget.borrow().renew();
        return Reaction::Given;
    }
    match begin_read(host, conn, ReadSpec { framing, timeout: None }) {
        Ok(()) => Reaction::Waits,
        Err(NoRead::Over(word)) => Reaction::Refused(word),
        Err(NoRead::Problem(problem)) => Reaction::Raised(problem),
    }
}

/// Why a read does not begin.
enum NoRead {
    /// There is nothing more to read, and why.
    Over(&'static str),
    /// It is a mistake, of which this is the error.
    Problem(String),
}

/// The running call, which can wait, is to wait for a message.
fn begin_read(host: &SharedHost, conn: &Rc<Conn>, spec: ReadSpec) -> Result<(), NoRead> {
    let ReadSpec { framing, timeout } = spec;
    // Without a wait, so that a loop that takes no notice comes to the end of its budget.
    if let Some(end) = conn.reads_over() {
        return Err(NoRead::Over(end.as_str()));
    }
    let Some(reading) = Reading::begin(conn, framing) else {
        return Err(NoRead::Problem(format!("conn:read: {conn} is already being read")));
    };
    *host.pending.borrow_mut() = Some(Wait::Read(reading, timeout));
    Ok(())
}

fn add_read(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    let shared = SharedHost::clone(host);
    let read = move |lua: &Lua, (handle, spec, can_yield): (Handle, Value, bool)| {
        let conn = &handle.0;
        let state = lua.current_thread().state() as usize;
        if let Some(problem) = shared.cannot_wait("conn:read", state, can_yield) {
            return raised(lua, problem);
        }
        let spec = if spec.is_nil() {
            ReadSpec::default()
        } else {
            let Some(generation) = shared.generation() else { return Ok(refused(CLOSED)) };
            match Maker::outliving(&generation).read(&spec) {
                Ok(spec) => spec,
                Err(problem) => return raised(lua, format!("conn:read: {problem}")),
            }
        };
        if spec.framing.as_ref().is_some_and(|framing| framing.takes_nothing()) {
            return Ok((Value::String(lua.create_string("")?), None));
        }
        match begin_read(&shared, conn, spec) {
            Ok(()) => Ok(WAIT),
            Err(NoRead::Over(word)) => Ok(refused(word)),
            Err(NoRead::Problem(problem)) => raised(lua, problem),
        }
    };
    table.raw_set("read", lua.create_function(read)?)
}

fn add_settings(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    let shared = SharedHost::clone(host);
    let set_framing = move |lua: &Lua, (handle, spec): (Handle, Value)| {
        let conn = &handle.0;
        let is_closed = is_closed(conn);
        let Some(generation) = shared.generation() else { return Ok(refused(CLOSED)) };
        if spec.is_nil() {
            let entered = shared.entered_generation(conn).unwrap_or(generation);
            conn.drop_own_framing(entered.framings());
        } else {
            match Maker::outliving(&generation).standing(&spec) {
                Ok(framing) => conn.set_own_framing(&framing),
                Err(problem) => return raised(lua, format!("conn:set_framing: {problem}")),
            }
        }
        Ok(if is_closed { refused(CLOSED) } else { DONE })
    };
    table.raw_set("set_framing", lua.create_function(set_framing)?)?;

    let set_idle_timeout = |_: &Lua, (handle, seconds): (Handle, Option<f64>)| {
        if is_closed(&handle.0) {
            return Ok(refused(CLOSED));
        }
        handle.0.set_idle_limit(match seconds {
            None => IdleLimit::Rule,
            Some(0.0) => IdleLimit::Own(None),
            Some(seconds) => {
                let seconds = seconds.clamp(SHORTEST_TIMEOUT, LONGEST_TIME);
                IdleLimit::Own(Some(Duration::from_secs_f64(seconds)))
            }
        });
        Ok(DONE)
    };
    table.raw_set("set_idle_timeout", lua.create_function(set_idle_timeout)?)?;

    let option = |lua: &Lua, args: (Handle, LuaString, Value)| {
        let (handle, name, value) = args;
        let name = name.to_string_lossy();
        let Some(knob) = Knob::from_name(&name) else {
            let near = nearest(&name, Knob::ALL.into_iter().map(Knob::name));
            let hint = match near {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are {}", Knob::ALL.map(Knob::name).join(", ")),
            };
            let name = Printable(name.as_bytes());
            let text = format!("conn:option: there is no option '{name:.LONGEST_NAME$}'; {hint}");
            return raised(lua, text);
        };
        let Some(options) = handle.0.options().filter(|_| !is_closed(&handle.0)) else {
            return Ok(refused(CLOSED));
        };
        let done = match &value {
            Value::Nil => options.option(knob).map(|value| match value {
                KnobValue::Flag(flag) => Value::Boolean(flag),
                KnobValue::Number(number) => Value::Number(number),
            }),
            value => match knob_value(value) {
                Some(value) => options.set_option(knob, value).map(|()| Value::Boolean(true)),
                None => Err(OptionError::BadValue("a boolean or a number")),
            },
        };
        match done {
            Ok(value) => Ok((value, None)),
            Err(OptionError::BadValue(expected)) => {
                let got = match &value {
                    Value::Integer(number) => number.to_string(),
                    Value::Number(number) => number.to_string(),
                    other => other.type_name().to_owned(),
                };
                raised(lua, format!("conn:option: {name} expects {expected}, got {got}"))
            }
            Err(other) => Ok(refused(&other.to_string())),
        }
    };
    table.raw_set("option", lua.create_function(option)?)
}

fn knob_value(value: &Value) -> Option<KnobValue> {
    match value {
        Value::Boolean(flag) => Some(KnobValue::Flag(*flag)),
        #[expect(clippy::cast_precision_loss, reason = "far beyond any option's range")]
        Value::Integer(number) => Some(KnobValue::Number(*number as f64)),
        Value::Number(number) => Some(KnobValue::Number(*number)),
        _ => None,
    }
}

fn add_topics(lua: &Lua, table: &Table, host: &SharedHost) -> mlua::Result<()> {
    let shared = SharedHost::clone(host);
    let subscribe = move |_: &Lua, (handle, topic): (Handle, LuaString)| {
        let Some(site) = &shared.site else { return Ok(DONE) };
        if !handle.0.is_open() {
            return Ok(refused(CLOSED));
        }
        let subscribed = site.roster.subscribe(&handle.0, &topic.as_bytes());
        Ok(if subscribed.is_ok() { DONE } else { refused("limit") })
    };
    table.raw_set("subscribe", lua.create_function(subscribe)?)?;
    let shared = SharedHost::clone(host);
    let unsubscribe = move |_: &Lua, (handle, topic): (Handle, LuaString)| {
        let Some(site) = &shared.site else { return Ok(DONE) };
        if !handle.0.is_open() {
            return Ok(refused(CLOSED));
        }
        site.roster.unsubscribe(&handle.0, &topic.as_bytes());
        Ok(DONE)
    };
    table.raw_set("unsubscribe", lua.create_function(unsubscribe)?)
}

fn add_orders(lua: &Lua, table: &Table) -> mlua::Result<()> {
    let order = |_: &Lua, (handle, order): (Handle, LuaString)| {
        match &*order.as_bytes() {
            b"close" => handle.0.close(),
            b"reset" => handle.0.reset(),
            _ => handle.0.shutdown(),
        }
        Ok(())
    };
    table.raw_set("order", lua.create_function(order)?)
}

fn field(lua: &Lua, conn: &Conn, key: &Value) -> mlua::Result<(Value, Option<String>)> {
    let key = match key {
        Value::String(key) => key.to_string_lossy(),
        other => format!("[{}]", other.type_name()),
    };
    let text = |text: &str| Ok((Value::String(lua.create_string(text)?), None));
    let nothing = Ok((Value::Nil, None));
    match key.as_str() {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 connections")]
        "id" => Ok((Value::Number(conn.id as f64), None)),
        "transport" => text(conn.transport.name()),
        "peer" => text(&printable(&conn.peer)),
        "peer_ip" => conn.peer.ip().map_or(nothing, |ip| text(&ip.to_string())),
        "peer_port" => {
            Ok((conn.peer.port().map_or(Value::Nil, |port| Value::Number(port.into())), None))
        }
        "local_addr" => text(&printable(&conn.local)),
        "listener" => conn.listener.as_ref().map_or(nothing, |known| text(known.label())),
        unknown => Ok((Value::Nil, Some(unknown_field(unknown)))),
    }
}

/// An address as text without control bytes; paths may hold any.
fn printable(address: &Endpoint) -> String {
    Printable(address.to_string().as_bytes()).to_string()
}

fn unknown_field(key: &str) -> String {
    let hint = match nearest(key, FIELDS.into_iter().chain(["state"]).chain(METHODS)) {
        Some(near) if METHODS.contains(&near) => format!("did you mean conn:{near}(...)?"),
        Some(near) => format!("did you mean conn.{near}?"),
        None => "your own values belong in conn.state".to_owned(),
    };
    format!("conn has no field '{:.LONGEST_NAME$}'; {hint}", Printable(key.as_bytes()))
}
