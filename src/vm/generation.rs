//! A generation: one version of the script, compiled and run in an environment of its own, with
//! the callbacks it returned checked. Several may be alive in a VM; which one is live is the
//! module root's business.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::{Function, Table, Value};

use super::api::environment_key;
use super::compile::compile;
use super::fault::Fault;
use super::framing::Maker;
use super::host::{LONGEST_TIME, Label, Origin, SHORTEST_TIMEOUT};
use super::machine::{Machine, Place};
use super::raw::{self, Pinned};
use super::tasks::Owner;
use super::trouble::Trouble;
use super::value::kind;
use crate::conn::Framings;
use crate::frame::Framing;
use crate::handler::{Kind, Rules};
use crate::script::Bundle;
use crate::text::nearest;

/// A callback, by what it is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Load,
    Unload,
    Connect,
    Message,
    Session,
    Eof,
    Idle,
    Reload,
    Error,
    Close,
}

impl Name {
    pub(super) const ALL: [Self; 10] = [
        Self::Load,
        Self::Unload,
        Self::Connect,
        Self::Message,
        Self::Session,
        Self::Eof,
        Self::Idle,
        Self::Reload,
        Self::Error,
        Self::Close,
    ];

    /// As a script spells it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Load => "on_load",
            Self::Unload => "on_unload",
            Self::Connect => "on_connect",
            Self::Message => "on_message",
            Self::Session => "on_session",
            Self::Eof => "on_eof",
            Self::Idle => "on_idle",
            Self::Reload => "on_reload",
            Self::Error => "on_error",
            Self::Close => "on_close",
        }
    }
}

impl From<Kind> for Name {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Connect => Self::Connect,
            Kind::Message => Self::Message,
            Kind::Session => Self::Session,
            Kind::Eof => Self::Eof,
            Kind::Idle => Self::Idle,
            Kind::Reload => Self::Reload,
            Kind::Error => Self::Error,
            Kind::Close => Self::Close,
        }
    }
}

/// The keys of a script's table that are no callbacks.
const SETTINGS: [&str; 4] = ["framing", "reply_framing", "idle_timeout", "peer_timeout"];

/// What sessions go by unless the script says otherwise.
const DEFAULT_RULES: Rules = Rules { idle_timeout: None, peer_timeout: Duration::from_secs(60) };

/// A function of the script that is called for some event.
pub(super) struct Callback {
    pub(super) function: Pinned,
    /// How many arguments it names; more are not passed.
    pub(super) parameters: u8,
}

/// See the module.
pub struct Generation {
    pub(super) origin: Rc<Origin>,
    pub(super) bundle: Arc<Bundle>,
    /// The VM that its functions belong to.
    pub(super) machine: Rc<Machine>,
    /// There once its body has run.
    contents: OnceCell<Contents>,
    /// What it owned has ended, and so does what a call of it still makes.
    ended: Cell<bool>,
}

/// What the body of a script returned.
struct Contents {
    rules: Rules,
    framing: Option<Rc<Framing>>,
    reply_framing: Option<Rc<Framing>>,
    callbacks: [Option<Callback>; Name::ALL.len()],
}

/// Takes over what a body returned.
struct Taker<'a> {
    maker: Maker<'a>,
    contents: Contents,
}

impl Generation {
    /// Compiles and runs `bundle` as generation `number`, and checks what it returns.
    pub(super) fn build(
        machine: &Rc<Machine>,
        bundle: &Arc<Bundle>,
        number: u64,
        place: Place,
    ) -> Result<Rc<Self>, Box<Fault>> {
        let label = Label { number, hash: bundle.digest().to_string().into() };
        let origin = Rc::new(Origin { label: label.clone(), serial: machine.next_serial() });
        let fault = |trouble| Box::new(Fault::loading(trouble, &label, bundle));
        let generation = Rc::new(Self {
            origin: Rc::clone(&origin),
            bundle: Arc::clone(bundle),
            machine: Rc::clone(machine),
            contents: OnceCell::new(),
            ended: Cell::new(false),
        });
        let host = &machine.host;
        host.bundles.borrow_mut().insert(number, Arc::clone(bundle));
        host.generations.borrow_mut().insert(origin.serial, Rc::downgrade(&generation));
        let returned = generation.run_body(place).map_err(fault)?;
        let contents = Taker::new(&generation).take(&returned);
        let contents = contents.map_err(|text| fault(Trouble::raised(text)))?;
        // Empty until here.
        let _ = generation.contents.set(contents);
        Ok(generation)
    }

    fn run_body(&self, place: Place) -> Result<Value, Trouble> {
        let host_error = |error: mlua::Error| Trouble::raised(error.to_string());
        let machine = &self.machine;
        let main = self.bundle.main();
        let number = self.number();
        let sources: Vec<&str> = self.bundle.files().map(crate::script::File::shown).collect();
        let environment =
            machine.environment(number, place, main.shown(), &sources).map_err(host_error)?;
        let key = environment_key(number);
        self.machine.lua.set_named_registry_value(&key, &environment).map_err(host_error)?;
        let body = compile(&self.machine.lua, main.shown(), main.content(), environment)
            .map_err(Trouble::raised)?;
        let body = Pinned::new(&self.machine.lua, body).map_err(host_error)?;
        let coroutine = machine.run_body(&self.origin, &body)?;
        coroutine.keep_first();
        let returned = coroutine.pop(&self.machine.lua).map_err(host_error)?;
        machine.put_back(coroutine);
        Ok(returned)
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.origin.label.number
    }

    /// Its number and hash.
    pub(super) fn label(&self) -> &Label {
        &self.origin.label
    }

    /// What sessions go by.
    pub(super) fn rules(&self) -> Rules {
        self.contents.get().map_or(DEFAULT_RULES, |contents| contents.rules)
    }

    /// The framings of its connections: `--framing` goes before the script's.
    pub(super) fn framings(&self) -> Framings {
        let rules = &self.machine.host.framing_rules;
        // The command line has checked it.
        let forced = rules.forced.as_ref().map(|spec| Rc::new(spec.once(rules.max_message)));
        let (own, reply) = match self.contents.get() {
            Some(contents) => (contents.framing.clone(), contents.reply_framing.clone()),
            None => (None, None),
        };
        let read = forced.or(own).unwrap_or_else(|| Rc::new(Framing::raw()));
        let reply = reply.unwrap_or_else(|| Rc::clone(&read));
        Framings { read, reply }
    }

    /// The callback of that name, if the script has it.
    pub(super) fn callback(&self, name: Name) -> Option<&Callback> {
        self.contents.get()?.callbacks[name as usize].as_ref()
    }

    /// Whether `owner` has ended with it, so that whatever it makes ends at once.
    pub(super) fn has_ended_for(&self, owner: Owner) -> bool {
        self.ended.get() && owner == Owner::Generation(self.origin.serial)
    }

    /// Whether it was retired or refused.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Ends the timers, tasks and connections that it made.
    pub(super) fn end(&self) {
        self.ended.set(true);
        self.machine.host.tasks.end(Owner::Generation(self.origin.serial));
    }
}

impl<'a> Taker<'a> {
    fn new(generation: &'a Generation) -> Self {
        let contents = Contents {
            rules: DEFAULT_RULES,
            framing: None,
            reply_framing: None,
            callbacks: Default::default(),
        };
        Self { maker: Maker::own(generation), contents }
    }

    /// Takes over what the body returned: a function, or a table of callbacks and settings.
    fn take(mut self, returned: &Value) -> Result<Contents, String> {
        match returned {
            Value::Function(function) => self.set(Name::Message, function)?,
            Value::Table(table) => self.take_table(table)?,
            Value::Nil => {
                return Err("the script returns nothing; it must end with the handler: \
                            return function(msg) ... end, or a table of callbacks"
                    .into());
            }
            other => {
                return Err(format!(
                    "the script returns a {}; a function or a table of callbacks was expected",
                    kind(other)
                ));
            }
        }
        let has = |name: Name| self.contents.callbacks[name as usize].is_some();
        if has(Name::Message) && has(Name::Session) {
            return Err("the script has both on_message and on_session; a connection can have \
                        only one of them: conn:read() also works in on_message"
                .into());
        }
        Ok(self.contents)
    }

    fn take_table(&mut self, table: &Table) -> Result<(), String> {
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair.map_err(|error| error.to_string())?;
            let Value::String(key) = &key else { continue };
            self.take_entry(&key.to_string_lossy(), &value)?;
        }
        Ok(())
    }

    fn take_entry(&mut self, key: &str, value: &Value) -> Result<(), String> {
        if let Some(name) = Name::ALL.into_iter().find(|name| name.as_str() == key) {
            return match value {
                Value::Function(function) => self.set(name, function),
                other => Err(format!("{key} is a {}; a function was expected", kind(other))),
            };
        }
        let framing =
            || self.maker.standing(value).map(Some).map_err(|why| format!("{key}: {why}"));
        match key {
            "framing" => self.contents.framing = framing()?,
            "reply_framing" => self.contents.reply_framing = framing()?,
            "idle_timeout" => {
                let limit = seconds(key, value, true)?;
                self.contents.rules.idle_timeout = Some(limit).filter(|limit| !limit.is_zero());
            }
            "peer_timeout" => self.contents.rules.peer_timeout = seconds(key, value, false)?,
            unknown => refuse_unknown(unknown)?,
        }
        Ok(())
    }

    fn set(&mut self, name: Name, function: &Function) -> Result<(), String> {
        let lua = &self.maker.machine.lua;
        let parameters = raw::parameters(lua, function).map_err(|error| error.to_string())?;
        let function = Pinned::new(lua, function).map_err(|error| error.to_string())?;
        self.contents.callbacks[name as usize] = Some(Callback { function, parameters });
        Ok(())
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let host = &self.machine.host;
        host.generations.borrow_mut().remove(&self.origin.serial);
        // One that was refused may end after the next with its number has begun.
        let mut bundles = host.bundles.borrow_mut();
        let own = bundles.get(&self.number()).is_some_and(|known| Arc::ptr_eq(known, &self.bundle));
        if !own {
            return;
        }
        bundles.remove(&self.number());
        drop(bundles);
        // Without an entry there is nothing to remove.
        let _ = self.machine.lua.unset_named_registry_value(&environment_key(self.number()));
    }
}

/// A time in seconds; `or_zero` where 0 switches it off.
fn seconds(key: &str, value: &Value, or_zero: bool) -> Result<Duration, String> {
    let number = match value {
        Value::Number(number) => *number,
        #[expect(clippy::cast_precision_loss, reason = "seconds beyond 2^53 are out of range")]
        Value::Integer(number) => *number as f64,
        other => {
            return Err(format!("{key} is a {}; a number of seconds was expected", kind(other)));
        }
    };
    if number.is_nan() || (number < SHORTEST_TIMEOUT && !(or_zero && number == 0.0)) {
        let zero = if or_zero { ", or 0 for never" } else { "" };
        return Err(format!(
            "{key} is {number}; it must be {SHORTEST_TIMEOUT} seconds or more{zero}"
        ));
    }
    Ok(Duration::from_secs_f64(number.min(LONGEST_TIME)))
}

/// An unknown callback is an error; another unknown key only where it looks like a slip.
fn refuse_unknown(key: &str) -> Result<(), String> {
    let names = Name::ALL.into_iter().map(Name::as_str);
    let near = nearest(key, names.chain(SETTINGS));
    match near {
        Some(near) => Err(format!("there is no '{key}'; did you mean {near}?")),
        None if key.starts_with("on_") => {
            let known: Vec<_> = Name::ALL.into_iter().map(Name::as_str).collect();
            Err(format!("there is no callback '{key}'; there are {}", known.join(", ")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Name, SETTINGS};
    use crate::reference::callbacks;

    #[test]
    fn the_reference_has_every_callback() {
        let mut known = Name::ALL.map(Name::as_str);
        let mut documented = callbacks::CALLBACKS.map(|callback| callback.name);
        known.sort_unstable();
        documented.sort_unstable();
        assert_eq!(&documented[..], &known[..]);
    }

    #[test]
    fn the_reference_has_every_setting() {
        assert_eq!(callbacks::SETTINGS.map(|setting| setting.value.name), SETTINGS);
    }
}
