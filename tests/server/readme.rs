//! The Lua of the README: every snippet is a whole handler that the program starts with.

use crate::support::Server;

const README: &str = include_str!("../../README.md");

/// The first line of each Lua block of a document, counted from 1, and its text.
pub fn lua_blocks(document: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut lines = document.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim() == "```lua" {
            let block = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
            blocks.push((number + 2, block.collect::<Vec<_>>().join("\n")));
        }
    }
    blocks
}

#[test]
fn every_snippet_starts() {
    let blocks = lua_blocks(README);
    assert!(blocks.len() >= 2, "not the README's snippets: {blocks:?}");
    for (number, text) in blocks {
        println!("README.md:{number}");
        Server::builder().script(&text).start();
    }
}

#[test]
fn the_first_snippet_is_ten_lines_that_greet_and_count() {
    let (_, text) = lua_blocks(README).swap_remove(0);
    assert_eq!(text.lines().count(), 10);
    let server = Server::builder().script(&text).start();
    let mut client = server.tcp();
    let greeting = format!("hello {}\n", client.local_addr());
    client.expect(greeting.as_bytes());
    client.exchange(b"show me\n", b"1 SHOW ME\n");
    client.exchange(b"again\n", b"2 AGAIN\n");
}
