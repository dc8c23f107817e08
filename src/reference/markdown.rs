//! The tables in `reference.md`. Each stands behind `<!-- table: NAME -->` and before
//! `<!-- end -->`; what is around them is written by hand.

use super::callbacks::{CALLBACKS, SETTINGS};
use super::framing::{FUNCTION, Framing, KEYS, KINDS, LENGTHS, READ_KEYS};
use super::globals::{FILES, FUNCTIONS, LOG, LUAU, SERVER, SHARED};
use super::objects::{CONN, HANDLE, OPTIONS};
use super::toolbox::{BASE64, HASH, HEX, JSON, RANDOM};
use super::words::{CONNECT_PROBLEMS, PROBLEMS, RAISED, REASONS, TRANSPORTS};
use super::{Function, Gives, Kind, MODULES, Module, Type, Value, Word};

const BEGIN: &str = "<!-- table: ";
const CLOSE: &str = " -->";
const END: &str = "<!-- end -->";

/// The document with every table made anew.
pub(super) fn document(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        let Some(name) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(CLOSE)) else {
            continue;
        };
        out += &["\n", &table(name, text), "\n"].concat();
        assert!(lines.any(|line| line == END), "the table {name} has no end");
        out.push_str(END);
        out.push('\n');
    }
    out
}

/// The second headings of a document, with the anchors that they get.
pub(super) fn headings(text: &str) -> Vec<(&str, String)> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        let heading = line.trim_start_matches('#').strip_prefix(' ');
        if let Some(heading) = heading.filter(|_| !is_code && line.starts_with("##")) {
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            let anchor = kept.collect::<String>().to_lowercase().replace(' ', "-");
            found.push((line, anchor));
        }
    }
    found
}

fn table(name: &str, text: &str) -> String {
    match name {
        "contents" => contents(text),
        "callbacks" => callbacks(),
        "settings" => rows(
            &["key", "type", "default", "meaning"],
            SETTINGS.iter().map(|key| {
                let Value { name, ty, text } = key.value;
                vec![code(name), named(ty), key.default.into(), text.into()]
            }),
        ),
        "conn fields" => fields(&CONN),
        "conn methods" => functions(&[&CONN, &HANDLE]),
        "options" => rows(
            &["name", "value", "transports", ""],
            OPTIONS.iter().map(|option| {
                vec![
                    quoted(option.name),
                    option.values.into(),
                    option.transports.into(),
                    option.text.into(),
                ]
            }),
        ),
        "server fields" => fields(&SERVER),
        "server" => functions(&[&SERVER]),
        "shared" => functions(&[&SHARED]),
        "tasks" => functions(&[&FUNCTIONS]),
        "log and files" => functions(&[&LOG, &FILES]),
        "toolbox" => functions(&[&JSON, &HEX, &BASE64, &HASH, &RANDOM]),
        "luau" => LUAU.map(code).join(" ") + "\n",
        "waits" => waits(),
        "framing" => framing(),
        "framing strings" => rows(
            &["string", "table"],
            KINDS.iter().chain([&FUNCTION]).map(|kind| {
                let strings: Vec<String> = kind.strings.iter().map(|text| code(text)).collect();
                let strings = if strings.is_empty() { "none".into() } else { strings.join(", ") };
                let table = kind.table;
                vec![strings, if table.contains('`') { table.into() } else { code(table) }]
            }),
        ),
        "lengths" => LENGTHS.map(code).join(" ") + "\n",
        "framing keys" => keys(&KEYS),
        "read keys" => keys(&READ_KEYS),
        "reasons" => words("reason", &REASONS, quoted),
        "transports" => words("transport", &TRANSPORTS, quoted),
        "problems" => words("word", &PROBLEMS, quoted),
        "connect problems" => rows(
            &["text", "code", "meaning"],
            CONNECT_PROBLEMS.iter().map(|(problem, symbol)| {
                vec![quoted(problem.word), quoted(symbol), problem.text.into()]
            }),
        ),
        "raised" => words("error", &RAISED, code),
        unknown => panic!("there is no table '{unknown}'"),
    }
}

fn contents(text: &str) -> String {
    let mut out = String::new();
    for (line, anchor) in headings(text) {
        let indent = if line.starts_with("###") { "  " } else { "" };
        let heading = line.trim_start_matches(['#', ' ']);
        out += &[indent, "- [", heading, "](#", &anchor, ")\n"].concat();
    }
    out
}

fn rows(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    let mut out = line(&head) + &"|---".repeat(head.len()) + "|\n";
    for row in rows {
        assert_eq!(row.len(), head.len(), "a row of another length: {row:?}");
        let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        out += &line(&cells);
    }
    out
}

fn callbacks() -> String {
    rows(
        &["callback", "when", "may wait", "returns"],
        CALLBACKS.iter().map(|callback| {
            let params: Vec<&str> = callback.params.iter().map(|param| param.name).collect();
            vec![
                code(&format!("{}({})", callback.name, params.join(", "))),
                callback.when.into(),
                callback.waits.into(),
                callback.returns.into(),
            ]
        }),
    )
}

fn fields(module: &Module) -> String {
    rows(
        &["field", "type", ""],
        module.fields.iter().map(|field| {
            let name = code(&format!("{}.{}", module.name, field.name));
            vec![name, named(field.ty), field.text.into()]
        }),
    )
}

fn functions(modules: &[&Module]) -> String {
    let all = modules.iter().flat_map(|module| module.functions.iter().map(move |f| (module, f)));
    rows(
        &["call", "returns", ""],
        all.map(|(module, function)| {
            let is_said = function.waits.is_none() || function.text.starts_with("Waits");
            let wait = if is_said { "" } else { " May wait." };
            vec![
                code(&signature(module, function)),
                returns(&function.gives),
                format!("{}{wait}", function.text),
            ]
        }),
    )
}

/// `conn:option(name: string [, value: boolean | number])`
fn signature(module: &Module, function: &Function) -> String {
    let mut out = full_name(module, function) + "(";
    let mut open = 0;
    for (place, param) in function.params.iter().enumerate() {
        let (ty, is_optional) = param.ty.unwrapped();
        open += usize::from(is_optional);
        out += match (is_optional, place) {
            (false, 0) => "",
            (false, _) => ", ",
            (true, 0) => "[",
            (true, _) => " [, ",
        };
        out += param.name;
        if param.name != "..." && plain(ty) != "any" {
            out += &[": ", &plain(ty)].concat();
        }
    }
    out + &"]".repeat(open) + ")"
}

fn full_name(module: &Module, function: &Function) -> String {
    match module.kind {
        Kind::Global => function.name.into(),
        Kind::Table => format!("{}.{}", module.name, function.name),
        Kind::Object(_) => format!("{}:{}", module.name, function.name),
    }
}

fn waits() -> String {
    let all = MODULES.iter().flat_map(|module| module.functions.iter().map(move |f| (module, f)));
    rows(
        &["call", "waits for"],
        all.filter_map(|(module, function)| {
            Some(vec![code(&full_name(module, function)), function.waits?.into()])
        }),
    )
}

fn framing() -> String {
    rows(
        &["kind", "reads", "replies", "datagram", "end of stream", "malformed"],
        KINDS.iter().chain([&FUNCTION]).map(|kind: &Framing| {
            vec![
                code(kind.kind),
                kind.reads.into(),
                kind.replies.into(),
                kind.datagram.into(),
                kind.end.into(),
                kind.malformed.into(),
            ]
        }),
    )
}

fn keys(keys: &[Value]) -> String {
    rows(
        &["key", "type", "meaning"],
        keys.iter().map(|key| vec![code(key.name), named(key.ty), key.text.into()]),
    )
}

fn words(head: &str, words: &[Word], shown: fn(&str) -> String) -> String {
    rows(&[head, "meaning"], words.iter().map(|word| vec![shown(word.word), word.text.into()]))
}

fn returns(gives: &Gives) -> String {
    match gives {
        Gives::Nothing => "nothing".into(),
        Gives::Always(ty) => named(*ty),
        Gives::OrNil(ty) => format!("{}, or `nil`", named(*ty)),
        Gives::OrWord(ty, words) => {
            let (last, others) = words.split_last().expect("there are words");
            let others: Vec<String> = others.iter().map(|word| quoted(word)).collect();
            let or = if others.is_empty() { "" } else { " or " };
            format!("{}, or `nil` and {}{or}{}", named(*ty), others.join(", "), quoted(last))
        }
        Gives::OrText(ty) => format!("{}, or `nil` and a text", named(*ty)),
        Gives::OrSystem(ty) => format!("{}, or `nil`, a text and a code", named(*ty)),
    }
}

/// A type in a sentence.
fn named(ty: Type) -> String {
    match ty {
        Type::TRUE => "`true`".into(),
        Type::Maybe(inner) => format!("{} or nil", named(*inner)),
        Type::ANY => "a value".into(),
        Type::Name("Transport") => "a string".into(),
        Type::Name("Framing") => "a framing".into(),
        Type::CONN => "a connection".into(),
        Type::HANDLE => "a handle".into(),
        Type::Name("Shared") => "a string, number or boolean".into(),
        Type::INTEGER => "a whole number".into(),
        Type::List(_) => "an array".into(),
        Type::Words(words) => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", "),
        Type::Either(types) => types.iter().map(|ty| named(*ty)).collect::<Vec<_>>().join(" or "),
        other => format!("a {}", plain(other)),
    }
}

/// A type in a signature.
fn plain(ty: Type) -> String {
    match ty {
        Type::INTEGER => "number".into(),
        Type::Name("Shared") => "any".into(),
        Type::Name("OptionName" | "Transport") | Type::Words(_) => "string".into(),
        Type::Name("ConnectOptions") | Type::List(_) => "table".into(),
        Type::Name("ReadSpec") => "Framing".into(),
        Type::Name(name) => name.into(),
        Type::Maybe(inner) => plain(*inner),
        Type::Either(types) => types.iter().map(|ty| plain(*ty)).collect::<Vec<_>>().join(" | "),
        Type::Call(_) => "function".into(),
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn quoted(text: &str) -> String {
    format!("`\"{text}\"`")
}
