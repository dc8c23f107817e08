//! `scriptsock.meta.lua`: the definitions as annotations for the Lua language server (LuaLS).

use std::fmt::Write;

use super::callbacks::{CALLBACKS, SETTINGS};
use super::framing::{KEYS, KINDS, READ_KEYS};
use super::globals::CONNECT_KEYS;
use super::luau::KNOWN;
use super::objects::OPTIONS;
use super::words::{REASONS, TRANSPORTS};
use super::{Function, Gives, Kind, MODULES, Module, Type, Value};

const HEAD: &str = "\
---@meta
-- The API of scriptsock for LuaLS. Made from the tables in src/reference; do not edit it.
-- For a script: write ---@type Handler above the table that it returns.
";

/// What a callback may return; each value may be left out.
const RETURNED: &str = "(reply: any?, reason: string?, instead: any?)";

/// The whole file.
pub(super) fn definitions() -> String {
    let mut out = HEAD.to_owned();
    aliases(&mut out);
    for (name, keys) in [
        ("FramingTable", KEYS.to_vec()),
        ("ReadTable", KEYS.iter().chain(&READ_KEYS).copied().collect()),
    ] {
        class(&mut out, name, "A kind of framing and what stands beside it, as a table.");
        out.push_str("---@field [integer] string|FramingFunction\n");
        for kind in KINDS {
            field(&mut out, &Value::new(kind.kind, kind.value, kind.reads), true);
        }
        for key in keys {
            field(&mut out, &key, true);
        }
    }
    class(&mut out, "ConnectOptions", "What `connect` takes beside the URL.");
    for key in CONNECT_KEYS {
        field(&mut out, &key, false);
    }
    class(&mut out, "Handler", "What a script returns, where it is no function.");
    for setting in SETTINGS {
        field(&mut out, &setting.value, true);
    }
    for callback in CALLBACKS {
        let ty = Type::Call(callback.params);
        field(&mut out, &Value::new(callback.name, ty, callback.when), true);
    }
    for item in MODULES {
        module(&mut out, item);
    }
    out
}

fn aliases(out: &mut String) {
    let mut alias = |name: &str, ty: String| {
        let _ = writeln!(out, "\n---@alias {name} {ty}");
    };
    let quoted =
        |words: Vec<&str>| words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join("|");
    alias("CloseReason", quoted(REASONS.iter().map(|reason| reason.word).collect()));
    alias("Transport", quoted(TRANSPORTS.iter().map(|transport| transport.word).collect()));
    alias("OptionName", quoted(OPTIONS.iter().map(|option| option.name).collect()));
    alias("Shared", "string|number|boolean".into());
    alias("FramingFunction", "fun(buffer: string, eof: boolean): integer?, any?".into());
    alias("Framing", "string|FramingTable|FramingFunction".into());
    alias("ReadSpec", "string|ReadTable|FramingFunction".into());
}

fn class(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, "\n---{text}\n---@class {name}");
}

fn field(out: &mut String, value: &Value, is_optional: bool) {
    let (ty, was_optional) = value.ty.unwrapped();
    let mark = if is_optional || was_optional { "?" } else { "" };
    let _ = writeln!(out, "---@field {}{mark} {} {}", value.name, grouped(ty), value.text);
}

fn module(out: &mut String, module: &Module) {
    let prefix = match module.kind {
        Kind::Global => String::new(),
        Kind::Table => {
            class(out, &format!("scriptsock.{}", module.name), module.text);
            for value in module.fields {
                field(out, value, false);
            }
            let _ = writeln!(out, "{} = {{}}", module.name);
            format!("{}.", module.name)
        }
        Kind::Object(name) => {
            class(out, name, module.text);
            for value in module.fields {
                field(out, value, false);
            }
            let _ = writeln!(out, "local {name} = {{}}");
            format!("{name}:")
        }
    };
    for item in module.functions {
        if module.kind != Kind::Global || !KNOWN.contains(&item.name) {
            function(out, &prefix, item);
        }
    }
}

fn function(out: &mut String, prefix: &str, function: &Function) {
    let _ = writeln!(out, "\n---{}", function.text);
    for param in function.params {
        let (ty, is_optional) = param.ty.unwrapped();
        let mark = if is_optional { "?" } else { "" };
        let _ = writeln!(out, "---@param {}{mark} {} {}", param.name, grouped(ty), param.text);
    }
    for line in returns(&function.gives) {
        let _ = writeln!(out, "---@return {line}");
    }
    let names: Vec<&str> = function.params.iter().map(|param| param.name).collect();
    let _ = writeln!(out, "function {prefix}{}({}) end", function.name, names.join(", "));
}

fn returns(gives: &Gives) -> Vec<String> {
    match gives {
        Gives::Nothing => Vec::new(),
        Gives::Always(ty) => vec![grouped(*ty)],
        Gives::OrNil(ty) => vec![maybe(*ty)],
        Gives::OrWord(ty, words) => {
            vec![maybe(*ty), format!("{} problem", maybe(Type::Words(words)))]
        }
        Gives::OrText(ty) => vec![maybe(*ty), "string? problem".into()],
        Gives::OrSystem(ty) => vec![maybe(*ty), "string? problem".into(), "string? code".into()],
    }
}

fn maybe(ty: Type) -> String {
    match ty {
        Type::Maybe(_) | Type::Name("any") => written(ty),
        _ => format!("{}?", grouped(ty)),
    }
}

/// A type that may have something behind it.
fn grouped(ty: Type) -> String {
    match ty {
        Type::Words([_, _, ..]) | Type::Either(_) | Type::Call(_) => format!("({})", written(ty)),
        _ => written(ty),
    }
}

fn written(ty: Type) -> String {
    match ty {
        Type::Name(name) => name.into(),
        Type::Words(words) => {
            words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join("|")
        }
        Type::Maybe(inner) => maybe(*inner),
        Type::List(inner) => format!("{}[]", grouped(*inner)),
        Type::Either(types) => types.iter().map(|ty| written(*ty)).collect::<Vec<_>>().join("|"),
        Type::FUNCTION => "function".into(),
        Type::Call(params) => {
            let param = |value: &Value| {
                let (ty, is_optional) = value.ty.unwrapped();
                let mark = if is_optional { "?" } else { "" };
                format!("{}{mark}: {}", value.name, grouped(ty))
            };
            let params: Vec<String> = params.iter().map(param).collect();
            format!("fun({}): {RETURNED}", params.join(", "))
        }
    }
}
