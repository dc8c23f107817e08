//! Hints for habits of Lua 5.4 that Luau does not share, and for common slips. Pure.

/// What a line of source, or an error's text, holds; and what to write instead.
struct Habit {
    /// Found in the line at fault, outside of strings and comments.
    written: &'static str,
    /// Found in the error's text; empty: any.
    error: &'static str,
    hint: &'static str,
}

const fn habit(written: &'static str, error: &'static str, hint: &'static str) -> Habit {
    Habit { written, error, hint }
}

const NIL: &str = "nil";

/// In order: the first that fits is given.
const HABITS: &[Habit] = &[
    habit("<const>", "", "Luau has no attributes: write const x = 1, or local x = 1"),
    habit(
        "<close>",
        "",
        "Luau has no to-be-closed variables: release it in on_close, or after a pcall",
    ),
    habit("goto ", "", "Luau has no goto: use continue, break, or a loop with a condition"),
    habit("::", "got '::'", "Luau has no labels: use continue, break, or a loop with a condition"),
    habit("<<", "", "Luau has no bit operators: write bit32.lshift(a, n)"),
    habit(">>", "", "Luau has no bit operators: write bit32.rshift(a, n)"),
    habit("&", "", "Luau has no bit operators: write bit32.band(a, b); for logic, and"),
    habit("|", "got '|'", "Luau has no bit operators: write bit32.bor(a, b); for logic, or"),
    habit("~", "got '~'", "Luau has no bit operators: write bit32.bxor(a, b) or bit32.bnot(a)"),
    habit("!=", "", "unequal is ~= in Lua"),
    habit(
        "io.",
        NIL,
        "scripts cannot reach the machine, so there is no io: log.info writes to the log, \
         require reads modules",
    ),
    habit(
        "os.",
        NIL,
        "scripts cannot reach the machine: of os there are clock, date, difftime and time",
    ),
    habit("math.type", NIL, "Luau has one number type: compare x % 1 == 0 to tell an integer"),
    habit("math.tointeger", NIL, "Luau has one number type: use math.floor"),
    habit("math.ult", NIL, "use bit32, or the integer library for 64 bits"),
    habit("string.dump", NIL, "bytecode is neither written nor read"),
    habit("loadstring", NIL, "scripts load no text as code; put it into a file and require that"),
    habit("load(", NIL, "scripts load no text as code; put it into a file and require that"),
    habit("dofile", NIL, "write require(\"./file\")"),
    habit("package.", NIL, "there is no package: require(\"./file\") looks beside the script"),
    habit("collectgarbage", NIL, "scripts cannot steer the collector; --memory sets its limit"),
    habit("newproxy", NIL, "for a value that is like no other write {}"),
    habit("getfenv", NIL, "environments cannot be changed; _G holds the script's globals"),
    habit("setfenv", NIL, "environments cannot be changed; _G holds the script's globals"),
    habit("server.shared.", "readonly", "write server.shared.set(key, value)"),
    habit("server.", "readonly", "server itself is fixed; keep values in fields of server.state"),
    habit("", "readonly", "libraries are read-only; write a function of your own"),
    habit("", "returned a number", "a reply is a string: return tostring(n)"),
    habit("", "is a number (", "a reply is a string: use tostring(n)"),
    habit("", "returned false", "for no answer return nothing; to reject, return nil, \"why\""),
];

/// The hint for an error with this text at this line of source.
pub(super) fn hint(error: &str, line: &str) -> Option<&'static str> {
    let code = code_of(line);
    let fits = |habit: &&Habit| {
        code.contains(habit.written)
            && error.contains(habit.error)
            && (!habit.error.is_empty() || is_syntax(error))
    };
    HABITS.iter().find(fits).map(|habit| habit.hint)
}

/// Whether an error is about what is written, not about what it does.
fn is_syntax(error: &str) -> bool {
    ["Expected", "Incomplete", "Unexpected", "expected", "Malformed", "got '"]
        .iter()
        .any(|word| error.contains(word))
}

/// A line without its strings and its comment, so that what they say is not taken for code.
fn code_of(line: &str) -> String {
    let mut code = String::with_capacity(line.len());
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match quote {
            Some(_) if c == '\\' => {
                chars.next();
            }
            Some(end) if c == end => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' || c == '`' => quote = Some(c),
            None if c == '-' && chars.peek() == Some(&'-') => break,
            None => code.push(c),
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn habits_of_lua_5_4_are_known() {
        let syntax = "Expected identifier when parsing expression, got '<'";
        let said = |error, line| hint(error, line).unwrap_or_default();
        assert!(said(syntax, "return 1 << 2").contains("bit32.lshift"));
        assert!(said(syntax, "local x <const> = 1").contains("const x = 1"));
        assert!(
            said("Incomplete statement: expected assignment", "goto done").contains("continue")
        );
        assert!(said("attempt to index nil with 'open'", "io.open('x')").contains("log.info"));
    }

    #[test]
    fn strings_and_comments_are_not_code() {
        assert_eq!(hint("Expected 'end'", "return \"a & b\" -- goto x"), None);
        assert_eq!(code_of(r#"f("a\"b", 'c') -- d"#), "f(, ) ");
    }

    #[test]
    fn an_unrelated_error_has_no_hint() {
        assert_eq!(hint("boom", "error('boom') if a & b"), None);
        assert_eq!(hint("attempt to index nil with 'x'", "return a.x"), None);
    }
}
