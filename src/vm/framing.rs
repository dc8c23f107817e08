//! Framings as scripts write them: text, a table, or a function of the script, which is called
//! here under the budget.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::{Function, Table, Value};

use super::fault::Fault;
use super::generation::Generation;
use super::host::{LONGEST_TIME, Origin};
use super::machine::Machine;
use super::raw::{Argument, Given, Pinned};
use super::reply::LONGEST_REASON;
use super::trouble::Trouble;
use super::value::kind;
use crate::frame::{Field, Framing, Spec, Split, Splitter};
use crate::script::Bundle;
use crate::text::Printable;
use crate::turn::Turn;

/// Framings of reads that are remembered by their text.
const MOST_KNOWN: usize = 64;

/// What a read asks for.
#[derive(Default)]
pub(super) struct ReadSpec {
    /// Else the framing in force.
    pub(super) framing: Option<Rc<Framing>>,
    pub(super) timeout: Option<Duration>,
}

/// What a framing value of a script says.
enum Written {
    Spec(Spec),
    Function(Function, Option<usize>),
}

/// Makes framings for one version of a script.
pub(super) struct Maker<'a> {
    pub(super) machine: &'a Rc<Machine>,
    origin: &'a Rc<Origin>,
    bundle: &'a Arc<Bundle>,
    /// Kept alive by a framing that may outlive it.
    generation: Option<Rc<Generation>>,
}

impl<'a> Maker<'a> {
    /// For framings of the script itself, which live no longer than it.
    pub(super) fn own(generation: &'a Generation) -> Self {
        let Generation { machine, origin, bundle, .. } = generation;
        Self { machine, origin, bundle, generation: None }
    }

    /// For framings of a connection, which may outlive the generation.
    pub(super) fn outliving(generation: &'a Rc<Generation>) -> Self {
        Self { generation: Some(Rc::clone(generation)), ..Self::own(generation) }
    }

    /// The framing that `value` says, to stay in force; the text says what is wrong with it.
    pub(super) fn standing(&self, value: &Value) -> Result<Rc<Framing>, String> {
        let max_message = self.machine.host.framing_rules.max_message;
        match written(value)? {
            Written::Spec(spec) => spec.standing(max_message).map(Rc::new),
            Written::Function(function, max) => self.custom(&function, max),
        }
    }

    /// What a `conn:read(value)` asks for that has a value.
    pub(super) fn read(&self, value: &Value) -> Result<ReadSpec, String> {
        match value {
            Value::String(text) => {
                let framing = Some(self.known(&text.as_bytes())?);
                Ok(ReadSpec { framing, timeout: None })
            }
            Value::Table(table) => {
                let mut entries = entries(table)?;
                let timeout = entries.iter().position(|(name, _)| name == "timeout");
                let timeout = timeout.map(|at| seconds(&entries.swap_remove(at).1)).transpose()?;
                let framing = if entries.is_empty() {
                    None
                } else {
                    Some(self.once(written_table(&mut entries)?)?)
                };
                Ok(ReadSpec { framing, timeout })
            }
            other => {
                let framing = Some(self.once(written(other)?)?);
                Ok(ReadSpec { framing, timeout: None })
            }
        }
    }

    fn once(&self, written: Written) -> Result<Rc<Framing>, String> {
        match written {
            Written::Spec(spec) => Ok(Rc::new(spec.once(self.max_message()))),
            Written::Function(function, max) => self.custom(&function, max),
        }
    }

    fn max_message(&self) -> usize {
        self.machine.host.framing_rules.max_message
    }

    /// A framing by its text, made once.
    fn known(&self, text: &[u8]) -> Result<Rc<Framing>, String> {
        let host = &self.machine.host;
        if let Some(framing) = host.known_framings.borrow().get(text) {
            return Ok(Rc::clone(framing));
        }
        let spec = Spec::parse(&String::from_utf8_lossy(text))?;
        let framing = Rc::new(spec.once(self.max_message()));
        let mut known = host.known_framings.borrow_mut();
        if known.len() < MOST_KNOWN {
            known.insert(text.to_vec(), Rc::clone(&framing));
        }
        Ok(framing)
    }

    fn custom(&self, function: &Function, max: Option<usize>) -> Result<Rc<Framing>, String> {
        let function =
            Pinned::new(&self.machine.lua, function).map_err(|error| error.to_string())?;
        let splitter = FunctionFraming {
            machine: Rc::clone(self.machine),
            origin: Rc::clone(self.origin),
            bundle: Arc::clone(self.bundle),
            _generation: self.generation.clone(),
            function,
            turn: Cell::new(Turn::begin()),
        };
        let max = max.unwrap_or(self.max_message());
        Ok(Rc::new(Framing::custom(Rc::new(splitter), max)))
    }
}

fn written(value: &Value) -> Result<Written, String> {
    match value {
        Value::String(text) => Spec::parse(&text.to_string_lossy()).map(Written::Spec),
        Value::Function(function) => Ok(Written::Function(function.clone(), None)),
        Value::Table(table) => written_table(&mut entries(table)?),
        other => {
            let got = if other.is_nil() { "nil" } else { kind(other) };
            Err(format!("a framing is a string, a table or a function, got {got}"))
        }
    }
}

fn written_table(entries: &mut Vec<(String, Value)>) -> Result<Written, String> {
    let function = entries.iter().position(|(name, value)| name.is_empty() && value.is_function());
    let function = function.map(|at| entries.remove(at).1);
    let texts: Vec<_> = entries
        .iter()
        .map(|(_, value)| match value {
            Value::String(text) => Some(text.as_bytes()),
            _ => None,
        })
        .collect();
    let fields = entries.iter().zip(&texts).map(|((name, value), text)| {
        let field = match (value, text) {
            (_, Some(text)) => Field::Text(text),
            (Value::Number(number), _) => Field::Number(*number),
            #[expect(clippy::cast_precision_loss, reason = "far beyond any size")]
            (Value::Integer(number), _) => Field::Number(*number as f64),
            (Value::Boolean(flag), _) => Field::Flag(*flag),
            (other, _) => Field::Other(kind(other)),
        };
        (name.clone(), field)
    });
    let fields: Vec<_> = fields.collect();
    match function {
        Some(Value::Function(function)) => {
            Ok(Written::Function(function, Spec::custom_max(&fields)?))
        }
        _ => Spec::from_fields(&fields).map(Written::Spec),
    }
}

/// The entries of a framing's table, the positional one under an empty name.
fn entries(table: &Table) -> Result<Vec<(String, Value)>, String> {
    let mut entries = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair.map_err(|error| error.to_string())?;
        let name = match &key {
            Value::String(key) => key.to_string_lossy(),
            Value::Integer(1) => String::new(),
            #[expect(clippy::float_cmp, reason = "a key is exactly 1 or another one")]
            Value::Number(key) if *key == 1.0 => String::new(),
            Value::Integer(key) => return Err(format!("a framing has no field [{key}]")),
            Value::Number(key) => return Err(format!("a framing has no field [{key}]")),
            // By its type alone: `__tostring` is code of the script, which mlua would call, and
            // through whose frames no call can be ended.
            other => return Err(format!("a framing has no field [{}]", kind(other))),
        };
        entries.push((name, value));
    }
    // The order of a table is by chance, and errors are to be the same each time.
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(entries)
}

fn seconds(value: &Value) -> Result<Duration, String> {
    let number = match value {
        Value::Number(number) => *number,
        #[expect(clippy::cast_precision_loss, reason = "seconds beyond 2^53 are out of range")]
        Value::Integer(number) => *number as f64,
        other => return Err(format!("timeout is a number of seconds, got {}", kind(other))),
    };
    if number.is_nan() || number < 0.0 {
        return Err(format!("timeout is a number of seconds, 0 or more, got {number}"));
    }
    Ok(Duration::from_secs_f64(number.min(LONGEST_TIME)))
}

/// A framing function of a script.
struct FunctionFraming {
    machine: Rc<Machine>,
    origin: Rc<Origin>,
    bundle: Arc<Bundle>,
    _generation: Option<Rc<Generation>>,
    function: Pinned,
    /// Of those who look for a message.
    turn: Cell<Turn>,
}

impl Splitter for FunctionFraming {
    fn begin(&self) {
        self.turn.set(Turn::begin());
    }

    fn is_long(&self) -> bool {
        self.turn.get().is_over()
    }

    fn split(&self, offered: &[u8], eof: bool) -> Result<Split, String> {
        let arguments = [Argument::Bytes(offered), Argument::Boolean(eof)];
        let ran = self.machine.run_framing(&self.origin, &self.function, &arguments);
        let split = match ran {
            Ok(coroutine) => {
                let split = understood(&coroutine.result(1), &coroutine.result(2));
                self.machine.put_back(coroutine);
                split.map_err(Trouble::raised)
            }
            Err(trouble) => Err(trouble),
        };
        split.map_err(|trouble| {
            let fault = self.fault(trouble, offered);
            self.machine.host.reporter.report(&fault);
            fault.text()
        })
    }

    fn blame(&self, problem: &str, offered: &[u8]) {
        let fault = self.fault(Trouble::raised(problem), offered);
        self.machine.host.reporter.report(&fault);
    }
}

impl FunctionFraming {
    fn fault(&self, trouble: Trouble, offered: &[u8]) -> Fault {
        Fault::callback("framing", trouble, &self.origin.label, &self.bundle)
            .about(None, Some(offered))
    }
}

/// What a framing function's results mean; the numbers are for `frame` to judge.
fn understood(first: &Given<'_>, second: &Given<'_>) -> Result<Split, String> {
    match (first, second) {
        (Given::Nothing, Given::Nothing) => Ok(Split::More { need: None }),
        (Given::Nothing, Given::Number(need)) => {
            Ok(Split::More { need: Some(whole("a number of bytes needed", *need)?) })
        }
        (Given::Nothing, Given::Bytes(why)) => {
            Ok(Split::Malformed(format!("{:.LONGEST_REASON$}", Printable(why))))
        }
        (Given::Nothing, _) => {
            Err(format!("{EXPECTED}: the second value is neither a number nor a string"))
        }
        (Given::Number(consumed), Given::Nothing) => {
            Ok(Split::Skip(whole("a number of bytes consumed", *consumed)?))
        }
        (Given::Number(consumed), Given::Bytes(message)) => Ok(Split::Message {
            consumed: whole("a number of bytes consumed", *consumed)?,
            message: message.to_vec(),
        }),
        (Given::Number(_), _) => Err(format!("{EXPECTED}: the message is no string")),
        _ => Err(format!("{EXPECTED}: the first value is neither a number nor nil")),
    }
}

const EXPECTED: &str = "a framing function returns consumed, message; consumed alone; nil and perhaps the bytes \
     needed; or nil and why the bytes are malformed";

fn whole(what: &str, number: f64) -> Result<usize, String> {
    // Beyond what a buffer can hold, and exact below.
    const MOST: f64 = 9_007_199_254_740_992.0;
    if number.fract() != 0.0 || !(0.0..=MOST).contains(&number) {
        return Err(format!("{EXPECTED}: {number} is not {what}"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(number as usize)
}
