//! Many small Lua expressions in one server: each is evaluated in a callback of its own.

use crate::support::Server;
use crate::talk::read_line;

/// Evaluates each of `expressions` in the server that `script` around them makes; `%s` in it is
/// their list.
fn run(server: &Server, count: usize) -> Vec<String> {
    let mut client = server.tcp();
    let mut ask = |index: usize| {
        client.send(index.to_string().as_bytes());
        read_line(&mut client)
    };
    (1..=count).map(&mut ask).collect()
}

/// The line of the first expression in the script of [`script`].
pub const FIRST_LINE: usize = 2;

/// A handler that answers the number of an expression with its values, joined by commas, or with
/// its error; one expression a line.
pub fn script<T: AsRef<str>>(expressions: &[T]) -> String {
    let rows = expressions.iter().map(AsRef::as_ref).fold(String::new(), |rows, expression| {
        assert!(!expression.contains('\n'), "an expression of one line: {expression:?}");
        rows + &format!("function() return {expression} end,\n")
    });
    format!("local rows = {{\n{rows}")
        + "}
local function shown(ok, ...)
  local parts = {}
  for i = 1, select(\"#\", ...) do
    parts[i] = tostring((select(i, ...)))
  end
  return (if ok then \"\" else \"error: \") .. table.concat(parts, \",\") .. \"\\n\"
end
return function(msg)
  return shown(pcall(rows[tonumber(msg)]))
end
"
}

/// What each of `expressions` gives.
pub fn evaluate<T: AsRef<str>>(expressions: &[T]) -> Vec<String> {
    let server = Server::builder().script(&script(expressions)).start();
    let answers = run(&server, expressions.len());
    server.assert_no_log("handler fault");
    answers
}

/// Each expression gives what stands beside it.
#[track_caller]
pub fn expect(rows: &[(&str, &str)]) {
    assert!(!rows.is_empty());
    let expressions: Vec<_> = rows.iter().map(|row| row.0).collect();
    for ((expression, expected), got) in rows.iter().zip(evaluate(&expressions)) {
        assert_eq!(got, *expected, "{expression}");
    }
}

/// Each expression raises an error at its own line, of the text beside it.
#[track_caller]
pub fn expect_errors(rows: &[(&str, &str)]) {
    assert!(!rows.is_empty());
    let expressions: Vec<_> = rows.iter().map(|row| row.0).collect();
    for (index, got) in evaluate(&expressions).iter().enumerate() {
        let (expression, expected) = rows[index];
        let line = FIRST_LINE + index;
        assert_eq!(*got, format!("error: handler.lua:{line}: {expected}"), "{expression}");
    }
}
