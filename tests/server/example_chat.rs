//! The chat of the examples, in which two people talk with nc.

use std::io::Write;
use std::process::{Child, ChildStdin, Stdio};

use crate::examples::text;
use crate::support::{Lines, Server, Tool, wait_until};

/// A person at a terminal: nc, and what it has printed.
struct Person {
    nc: Child,
    input: Option<ChildStdin>,
    output: Lines,
}

impl Person {
    /// Connects.
    fn new(tool: &Tool, server: &Server) -> Self {
        let address = server.tcp_addr();
        let mut command = tool.command();
        command.args(["-N", &address.ip().to_string(), &address.port().to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut nc = command.spawn().unwrap();
        let (input, output) = (nc.stdin.take(), Lines::collect(nc.stdout.take().unwrap()));
        Self { nc, input, output }
    }

    /// Connects, and takes a name.
    #[track_caller]
    fn named(tool: &Tool, server: &Server, name: &str) -> Self {
        let mut person = Self::new(tool, server);
        person.reads("* /help lists the commands");
        person.types(&format!("/name {name}"));
        person.reads(&format!("* you are {name}"));
        person
    }

    #[track_caller]
    fn types(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits for a line.
    #[track_caller]
    fn reads(&self, line: &str) {
        let found = self.output.wait(|lines| lines.iter().any(|one| one == line).then_some(()));
        if let Err(why) = found {
            panic!("no line {line:?}: {why}; there are\n{}", self.output.text());
        }
    }

    /// Types no more, and waits until nc has ended by itself.
    #[track_caller]
    fn leaves(&mut self) {
        self.input.take();
        let ended = wait_until("nc should end", || self.nc.try_wait().unwrap());
        assert!(ended.success(), "{ended}");
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        // Fails only where it has ended by itself.
        let _ = self.nc.kill();
        let _ = self.nc.wait();
    }
}

fn start(more: &[&str]) -> Server {
    let mut builder = Server::builder().listen("tcp://127.0.0.1:0");
    for file in ["handler.lua", "rooms.lua"] {
        builder = builder.file(file, &text(&format!("chat/{file}")));
    }
    builder.args(["--script", "handler.lua"]).args(more.iter().copied()).start()
}

#[test]
fn two_people_talk_in_rooms() {
    let Some(tool) = Tool::find("nc", "netcat-openbsd") else { return };
    let server = start(&[]);
    let mut ada = Person::named(&tool, &server, "ada");
    let mut bob = Person::named(&tool, &server, "bob");
    ada.types("hello bob");
    bob.reads("ada: hello bob");
    bob.types("hello ada");
    ada.reads("bob: hello ada");
    bob.types("/join red");
    ada.reads("* bob has gone to red");
    bob.reads("* you are bob, in red");
    ada.types("anybody here?");
    ada.types("/tell bob come back");
    bob.reads("ada to you: come back");
    assert!(!bob.output.text().contains("anybody"), "{}", bob.output.text());
    bob.types("/name ada");
    bob.reads("* ada is taken");
    ada.types("/rooms");
    ada.reads("* lobby: 1");
    ada.reads("* red: 1");
    server.assert_no_log("handler fault");
}

#[test]
fn who_leaves_gives_the_name_back_whichever_way() {
    let Some(tool) = Tool::find("nc", "netcat-openbsd") else { return };
    let server = start(&[]);
    let ada = Person::named(&tool, &server, "ada");
    let mut bob = Person::named(&tool, &server, "bob");
    bob.types("/quit");
    bob.reads("* goodbye");
    ada.reads("* bob has left");
    bob.leaves();
    // The end of what is typed, and a crash.
    Person::named(&tool, &server, "bob").leaves();
    drop(Person::named(&tool, &server, "eve"));
    ada.reads("* eve has left");
    let mut again = Person::named(&tool, &server, "eve");
    again.types("/who");
    again.reads("* ada, eve");
}

#[test]
fn people_on_different_workers_meet() {
    let Some(tool) = Tool::find("nc", "netcat-openbsd") else { return };
    let server = start(&["--workers", "3"]);
    let names: Vec<_> = (0..8).map(|number| format!("person{number}")).collect();
    let mut people: Vec<_> = names.iter().map(|name| Person::named(&tool, &server, name)).collect();
    people[0].types("hello all");
    for person in &people[1..] {
        person.reads("person0: hello all");
    }
    people[7].types("/who");
    people[7].reads(&format!("* {}", names.join(", ")));
    people[3].types("/name person7");
    people[3].reads("* person7 is taken");
}

#[test]
fn a_save_leaves_everybody_where_they_are() {
    let Some(tool) = Tool::find("nc", "netcat-openbsd") else { return };
    let server = start(&[]);
    let mut ada = Person::named(&tool, &server, "ada");
    let bob = Person::named(&tool, &server, "bob");
    server
        .save("handler.lua", &text("chat/handler.lua").replace("name}: {msg}", "name} says {msg}"));
    server.wait_log("generation 2 is live");
    ada.types("hello");
    bob.reads("ada says hello");
    ada.types("/who");
    ada.reads("* ada, bob");
}
