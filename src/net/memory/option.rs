//! The options of a socket in memory: they are kept, and change nothing.

use std::cell::RefCell;

use crate::net::option::{Kind, Knob, KnobValue, OptionError};

/// See the module.
pub(super) struct Kept {
    kind: Kind,
    values: RefCell<Vec<(Knob, KnobValue)>>,
}

impl Kept {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, values: RefCell::default() }
    }

    pub(super) fn get(&self, knob: Knob) -> Result<KnobValue, OptionError> {
        if !knob.applies_to(self.kind) {
            return Err(OptionError::NotSupported);
        }
        let values = self.values.borrow();
        let known = values.iter().find(|(known, _)| *known == knob);
        Ok(known.map_or(at_first(knob), |(_, value)| *value))
    }

    pub(super) fn set(&self, knob: Knob, value: KnobValue) -> Result<(), OptionError> {
        knob.read(value)?;
        if !knob.applies_to(self.kind) {
            return Err(OptionError::NotSupported);
        }
        let mut values = self.values.borrow_mut();
        values.retain(|(known, _)| *known != knob);
        values.push((knob, value));
        Ok(())
    }
}

/// What a socket of the server has on Linux.
fn at_first(knob: Knob) -> KnobValue {
    match knob {
        Knob::NoDelay => KnobValue::Flag(true),
        Knob::KeepAlive | Knob::Broadcast | Knob::Linger => KnobValue::Flag(false),
        Knob::Ttl => KnobValue::Number(64.0),
        Knob::RecvBuffer | Knob::SendBuffer => KnobValue::Number(212_992.0),
    }
}
