//! The shapes of the data: what a function, a value and a type are, before anyone writes them
//! down in a language.

/// A type, in words that every checker has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// By its name: `string`, `number`, `integer`, `boolean`, `true`, `any`, `table`, `Conn`.
    Name(&'static str),
    /// One of these strings.
    Words(&'static [&'static str]),
    /// This, or nil; as the type of a parameter or a key: it may be left out.
    Maybe(&'static Type),
    /// An array.
    List(&'static Type),
    /// One of these types.
    Either(&'static [Type]),
    /// A function with these parameters, that may return anything.
    Call(&'static [Value]),
}

impl Type {
    /// Bytes.
    pub const STRING: Self = Self::Name("string");
    /// Any number.
    pub const NUMBER: Self = Self::Name("number");
    /// A whole number.
    pub const INTEGER: Self = Self::Name("integer");
    /// True or false.
    pub const BOOLEAN: Self = Self::Name("boolean");
    /// Only true.
    pub const TRUE: Self = Self::Name("true");
    /// Whatever.
    pub const ANY: Self = Self::Name("any");
    /// A table.
    pub const TABLE: Self = Self::Name("table");
    /// A connection.
    pub const CONN: Self = Self::Name("Conn");
    /// What `after`, `every` and `spawn` return.
    pub const HANDLE: Self = Self::Name("Handle");
    /// A function of the script.
    pub const FUNCTION: Self = Self::Call(&[Value::new("...", Self::ANY, "")]);

    /// The type less `Maybe`, and whether that was there.
    #[must_use]
    pub fn unwrapped(self) -> (Self, bool) {
        match self {
            Self::Maybe(inner) => (*inner, true),
            other => (other, false),
        }
    }
}

/// A parameter, a field or a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// Its name; `...` for any number of values.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// What it is.
    pub text: &'static str,
}

impl Value {
    /// A parameter, a field or a key.
    #[must_use]
    pub const fn new(name: &'static str, ty: Type, text: &'static str) -> Self {
        Self { name, ty, text }
    }
}

/// What a function returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// Nothing.
    Nothing,
    /// A value of this type.
    Always(Type),
    /// A value of this type, or nil.
    OrNil(Type),
    /// A value, or nil and one of these words.
    OrWord(Type, &'static [&'static str]),
    /// A value, or nil and a text for people.
    OrText(Type),
    /// A value, or nil, a text and the symbolic name of a system error.
    OrSystem(Type),
}

/// A function or a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// Its name, without that of its module.
    pub name: &'static str,
    /// What it takes.
    pub params: &'static [Value],
    /// What it returns.
    pub gives: Gives,
    /// What it waits for, if it may wait.
    pub waits: Option<&'static str>,
    /// What it does.
    pub text: &'static str,
}

impl Function {
    /// A function that never waits.
    #[must_use]
    pub const fn new(
        name: &'static str,
        params: &'static [Value],
        gives: Gives,
        text: &'static str,
    ) -> Self {
        Self { name, params, gives, waits: None, text }
    }

    /// The same function, as one that waits for this.
    #[must_use]
    pub const fn waiting(mut self, what: &'static str) -> Self {
        self.waits = Some(what);
        self
    }
}

/// How the members of a module are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They are global names.
    Global,
    /// `module.name`.
    Table,
    /// `object:name`; the class has this name.
    Object(&'static str),
}

/// Functions and fields that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Module {
    /// As a script writes it: `server.shared`. Global functions have a name for the tables only.
    pub name: &'static str,
    /// How its members are reached.
    pub kind: Kind,
    /// What it is.
    pub text: &'static str,
    /// Its fields.
    pub fields: &'static [Value],
    /// Its functions.
    pub functions: &'static [Function],
}

/// A word and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The word, as a script sees or writes it.
    pub word: &'static str,
    /// What it says.
    pub text: &'static str,
}

/// A key of a table that a script writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name, type and meaning.
    pub value: Value,
    /// Where it is left out.
    pub default: &'static str,
}
