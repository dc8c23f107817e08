//! What the tests of handlers, reloads and runaways share beyond the harness: one line asked and
//! answered, a save that is waited for, the place of a line in a script.

use crate::support::{Client, Server, printable};

/// Reads until the answer so far ends with a line feed; gives it without that.
pub fn read_line(client: &mut Client) -> String {
    let mut all = Vec::new();
    while !all.ends_with(b"\n") {
        let some = client.read_once();
        assert!(!some.is_empty(), "end of stream after {}", printable(&all));
        all.extend(some);
    }
    all.pop();
    String::from_utf8(all).unwrap()
}

/// Sends `message` and reads an answer of one line.
pub fn ask(client: &mut Client, message: &str) -> String {
    client.send(message.as_bytes());
    read_line(client)
}

/// Saves the handler and waits until it is live as `generation`.
pub fn reload(server: &Server, script: &str, generation: usize) {
    server.save("handler.lua", script);
    server.wait_log(&format!("generation {generation} is live"));
}

/// Saves a handler that must not go live, while generation 1 is; waits until the log says so.
pub fn reload_refused(server: &Server, script: &str) {
    server.save("handler.lua", script);
    server.wait_log("reload failed, generation 1 stays live");
}

/// The number of the first line of `script` that contains `mark`, as `handler.lua:7`.
pub fn place_of(script: &str, mark: &str) -> String {
    let index = script.lines().position(|line| line.contains(mark));
    format!("handler.lua:{}", index.unwrap_or_else(|| panic!("no {mark:?} in the script")) + 1)
}

/// A handler that answers everything with `word` and a line feed.
pub fn answering(word: &str) -> String {
    format!("return function() return \"{word}\\n\" end\n")
}
