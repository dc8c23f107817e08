//! `scriptsock.d.luau`: the definitions in Luau's own words, for luau-lsp.

use std::fmt::Write;

use super::callbacks::{CALLBACKS, SETTINGS};
use super::framing::{KEYS, KINDS, READ_KEYS};
use super::globals::{CONNECT_KEYS, FILES, FUNCTIONS};
use super::objects::{CONN, HANDLE, OPTIONS};
use super::words::{REASONS, TRANSPORTS};
use super::{Function, Gives, Kind, MODULES, Module, Type, Value};

const HEAD: &str = "\
--!strict
-- The API of scriptsock for luau-lsp. Made from the tables in src/reference; do not edit it.
-- For a script: return { on_message = function(msg: string, conn: Conn) ... end } :: Handler
";

/// Global functions that every checker knows already.
pub(super) const KNOWN: [&str; 2] = ["require", "print"];

/// The whole file.
pub(super) fn definitions() -> String {
    let mut out = HEAD.to_owned();
    aliases(&mut out);
    for object in [&CONN, &HANDLE] {
        comment(&mut out, "", object.text);
        let Kind::Object(class) = object.kind else { continue };
        let _ = writeln!(out, "export type {class} = {{");
        members(&mut out, object, "  ", Some(class));
        out.push_str("}\n");
    }
    handler(&mut out);
    for function in FUNCTIONS.functions.iter().chain(FILES.functions) {
        if !KNOWN.contains(&function.name) {
            global(&mut out, function);
        }
    }
    for module in MODULES.iter().filter(|module| module.kind == Kind::Table) {
        if !module.name.contains('.') {
            table(&mut out, module);
        }
    }
    out
}

fn aliases(out: &mut String) {
    let words = |words: Vec<&str>| {
        words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" | ")
    };
    comment(out, "", "Why a connection is gone.");
    let reasons = words(REASONS.iter().map(|reason| reason.word).collect());
    let _ = writeln!(out, "export type CloseReason = {reasons}");
    comment(out, "", "What a connection came over.");
    let transports = words(TRANSPORTS.iter().map(|transport| transport.word).collect());
    let _ = writeln!(out, "export type Transport = {transports}");
    comment(out, "", "What `conn:option` takes.");
    let options = words(OPTIONS.iter().map(|option| option.name).collect());
    let _ = writeln!(out, "export type OptionName = {options}");
    comment(out, "", "What `server.shared` holds.");
    out.push_str("export type Shared = string | number | boolean\n");
    comment(
        out,
        "",
        "A function as framing: returns `consumed, msg`, `consumed`, `nil, need`, or `nil, why`.",
    );
    out.push_str("export type FramingFunction = (buffer: string, eof: boolean) -> ...any\n");
    framing_table(out, "FramingTable", &KEYS);
    comment(out, "", "How bytes become messages.");
    out.push_str("export type Framing = string | FramingTable | FramingFunction\n");
    let read: Vec<Value> = KEYS.iter().chain(&READ_KEYS).copied().collect();
    framing_table(out, "ReadTable", &read);
    comment(out, "", "What `conn:read` takes.");
    out.push_str("export type ReadSpec = string | ReadTable | FramingFunction\n");
    comment(out, "", "What `connect` takes beside the URL.");
    out.push_str("export type ConnectOptions = {\n");
    for key in CONNECT_KEYS {
        field(out, "  ", &key);
    }
    out.push_str("}\n");
}

fn framing_table(out: &mut String, name: &str, keys: &[Value]) {
    comment(out, "", "A kind of framing and what stands beside it, as a table.");
    let _ = writeln!(out, "export type {name} = {{\n  [number]: string | FramingFunction,");
    for kind in KINDS {
        optional(out, &Value::new(kind.kind, kind.value, kind.reads));
    }
    for key in keys {
        optional(out, key);
    }
    out.push_str("}\n");
}

fn handler(out: &mut String) {
    comment(out, "", "What a script returns, where it is no function.");
    out.push_str("export type Handler = {\n");
    for setting in SETTINGS {
        optional(out, &setting.value);
    }
    for callback in CALLBACKS {
        optional(out, &Value::new(callback.name, Type::Call(callback.params), callback.when));
    }
    out.push_str("}\n");
}

fn table(out: &mut String, module: &Module) {
    comment(out, "", module.text);
    let _ = writeln!(out, "declare {}: {{", module.name);
    members(out, module, "  ", None);
    let inside = format!("{}.", module.name);
    for (inner, name) in
        MODULES.iter().filter_map(|inner| Some((inner, inner.name.strip_prefix(&inside)?)))
    {
        comment(out, "  ", inner.text);
        let _ = writeln!(out, "  {name}: {{");
        members(out, inner, "    ", None);
        out.push_str("  },\n");
    }
    out.push_str("}\n");
}

fn members(out: &mut String, module: &Module, indent: &str, class: Option<&str>) {
    for value in module.fields {
        field(out, indent, value);
    }
    for function in module.functions {
        comment(out, indent, function.text);
        let own = class.map(|class| format!("self: {class}"));
        let params: Vec<String> =
            own.into_iter().chain(function.params.iter().map(parameter)).collect();
        let _ = writeln!(
            out,
            "{indent}{}: ({}) -> {},",
            function.name,
            params.join(", "),
            returns(&function.gives)
        );
    }
}

fn global(out: &mut String, function: &Function) {
    comment(out, "", function.text);
    let declared = |param: &Value| match param.name {
        "..." => format!("...: {}", written(param.ty)),
        _ => parameter(param),
    };
    let params: Vec<String> = function.params.iter().map(declared).collect();
    let gives = returns(&function.gives);
    let _ = writeln!(out, "declare function {}({}): {gives}", function.name, params.join(", "));
}

fn field(out: &mut String, indent: &str, value: &Value) {
    comment(out, indent, value.text);
    let _ = writeln!(out, "{indent}{}: {},", value.name, written(value.ty));
}

/// A key that may be left out.
fn optional(out: &mut String, value: &Value) {
    comment(out, "  ", value.text);
    let _ = writeln!(out, "  {}: {},", value.name, maybe(value.ty));
}

fn comment(out: &mut String, indent: &str, text: &str) {
    let _ = writeln!(out, "{indent}--- {text}");
}

fn parameter(param: &Value) -> String {
    match param.name {
        "..." => format!("...{}", written(param.ty)),
        name => format!("{name}: {}", written(param.ty)),
    }
}

fn returns(gives: &Gives) -> String {
    match gives {
        Gives::Nothing => "()".into(),
        Gives::Always(ty) => written(*ty),
        Gives::OrNil(ty) => maybe(*ty),
        Gives::OrWord(ty, words) => format!("({}, {})", maybe(*ty), maybe(Type::Words(words))),
        Gives::OrText(ty) => format!("({}, string?)", maybe(*ty)),
        Gives::OrSystem(ty) => format!("({}, string?, string?)", maybe(*ty)),
    }
}

/// The type or nil.
fn maybe(ty: Type) -> String {
    match ty {
        Type::Maybe(_) | Type::Name("any") => written(ty),
        Type::Call(_) | Type::Either(_) => format!("({})?", written(ty)),
        Type::Words(words) if words.len() > 1 => format!("({})?", written(ty)),
        _ => format!("{}?", written(ty)),
    }
}

fn written(ty: Type) -> String {
    match ty {
        Type::Name("integer") => "number".into(),
        Type::Name("table") => "{ [any]: any }".into(),
        Type::Name(name) => name.into(),
        Type::Words(words) => {
            words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" | ")
        }
        Type::Maybe(inner) => maybe(*inner),
        Type::List(inner) => format!("{{ {} }}", written(*inner)),
        Type::Either(types) => types.iter().map(|ty| written(*ty)).collect::<Vec<_>>().join(" | "),
        Type::Call(params) => {
            let params: Vec<String> = params.iter().map(parameter).collect();
            format!("({}) -> ...any", params.join(", "))
        }
    }
}
