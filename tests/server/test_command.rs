//! `scriptsock test` as a user runs it: which dialogues it finds, with whom they are held, and what
//! its options do. The folder that dialogues and handlers stand in is for the other tests, too.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A thousand dialogues take some seconds where a machine has other things to do.
const LIMIT: Duration = Duration::from_secs(90);

/// A folder with handlers and dialogues.
pub struct Folder(TempDir);

/// How the command ended.
#[derive(Debug)]
pub struct Finished {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Folder {
    /// An empty one.
    pub fn new() -> Self {
        Self(TempDir::with_prefix("scriptsock-test-").unwrap())
    }

    /// Writes a file, with the folders on its way.
    pub fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The command in it, with arguments that are separated by blanks.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scriptsock"));
        command.current_dir(self.path()).arg("test").args(arguments.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the command in it to its end.
    #[track_caller]
    pub fn test(&self, arguments: &str) -> Finished {
        to_its_end(self.command(arguments))
    }

    /// As [`Folder::test`], with so many KiB of address space and no more.
    #[track_caller]
    pub fn test_within(&self, kibibytes: u32, arguments: &str) -> Finished {
        let mut shell = Command::new("sh");
        shell.current_dir(self.path()).stdin(Stdio::null()).arg("-c");
        shell.arg(format!("ulimit -v {kibibytes}; exec \"$0\" test \"$@\""));
        shell.arg(env!("CARGO_BIN_EXE_scriptsock")).args(arguments.split_whitespace());
        to_its_end(shell)
    }
}

#[track_caller]
fn to_its_end(mut command: Command) -> Finished {
    let begin = Instant::now();
    // Into files: what it prints need not fit a pipe.
    let out = tempfile::tempfile().unwrap();
    let err = tempfile::tempfile().unwrap();
    command.stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        if begin.elapsed() > LIMIT {
            // It may have ended just now.
            let _ = child.kill();
            panic!("the command should end: {command:?}\n{}", content(out));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Finished {
        status: ended.code().expect("an exit status"),
        stdout: content(out),
        stderr: content(err),
        took: begin.elapsed(),
    }
}

fn content(mut file: fs::File) -> String {
    use std::io::{Read, Seek};
    file.rewind().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

impl Finished {
    /// It went well, and printed each of these.
    #[track_caller]
    pub fn goes_well(self, parts: &[&str]) -> Self {
        assert_eq!(self.status, 0, "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stderr, "", "{}", self.stdout);
        self.has(parts)
    }

    /// A dialogue failed, and each of these was printed.
    #[track_caller]
    pub fn goes_wrong(self, parts: &[&str]) -> Self {
        assert_eq!(self.status, 1, "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stderr, "", "{}", self.stdout);
        assert!(self.stdout.contains("FAIL  "), "{}", self.stdout);
        self.has(parts)
    }

    /// It could not begin, and standard error is one line with each of these.
    #[track_caller]
    pub fn could_not(self, parts: &[&str]) -> Self {
        assert_eq!(self.status, 1, "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "", "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in\n{}", self.stderr);
        }
        self
    }

    #[track_caller]
    fn has(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stdout.contains(part), "no {part:?} in\n{}", self.stdout);
        }
        self
    }

    /// The files in the order in which they were told, each with `ok` or `FAIL`.
    pub fn told(&self) -> Vec<String> {
        let told = self
            .stdout
            .lines()
            .filter(|line| line.starts_with("ok  ") || line.starts_with("FAIL  "));
        told.map(|line| {
            let words: Vec<_> = line.split_whitespace().take(2).collect();
            words.join(" ")
        })
        .collect()
    }
}

/// Plays `t.dialogue` with `handler.lua`, and with more arguments.
#[track_caller]
pub fn play_with(handler: &str, dialogue: &str, arguments: &str) -> Finished {
    let folder = Folder::new().file("handler.lua", handler).file("t.dialogue", dialogue);
    folder.test(&format!("t.dialogue --script handler.lua {arguments}"))
}

/// It passes.
#[track_caller]
pub fn passes(handler: &str, dialogue: &str) {
    play_with(handler, dialogue, "").goes_well(&["ok    t.dialogue (", "\n1 dialogue passed in "]);
}

/// It passes, also with streams cut in every way.
#[track_caller]
pub fn passes_cut(handler: &str, dialogue: &str) {
    play_with(handler, dialogue, "--splits").goes_well(&["ok    t.dialogue ("]);
}

/// It fails, and says so with each of these.
#[track_caller]
pub fn fails(handler: &str, dialogue: &str, parts: &[&str]) -> Finished {
    let finished = play_with(handler, dialogue, "").goes_wrong(parts);
    assert!(finished.stdout.contains("\n1 of 1 dialogue failed in "), "{}", finished.stdout);
    finished
}

/// Upper case, line by line.
pub const UPPER: &str =
    "return { framing = 'line', on_message = function(msg) return msg:upper() end }";

const LOWER: &str =
    "return { framing = 'line', on_message = function(msg) return msg:lower() end }";

/// A dialogue that upper case passes.
pub const HELLO: &str = "> Hello\n< HELLO\n";

#[test]
fn a_dialogue_is_held_with_the_handler_that_it_names() {
    let folder = Folder::new()
        .file("handlers/up.lua", UPPER)
        .file("handlers/low.lua", LOWER)
        .file("dialogues/up.dialogue", "@handler ../handlers/up.lua\n> Hello\n< HELLO\n")
        .file("dialogues/low.dialogue", "@handler ../handlers/low.lua\n> Hello\n< hello\n");
    folder
        .test("dialogues")
        .goes_well(&["ok    dialogues/up.dialogue (2 steps)\n", "\n2 dialogues passed in "]);
}

#[test]
fn without_a_name_it_is_the_handler_that_the_server_would_run() {
    let folder =
        Folder::new().file("scripts/handler.lua", LOWER).file("t.dialogue", "> Hello\n< hello\n");
    folder.test("").goes_well(&["ok    t.dialogue"]);
    // Without one, that is the built-in upper.lua.
    Folder::new().file("t.dialogue", HELLO).test("").goes_well(&["ok    t.dialogue"]);
}

#[test]
fn a_built_in_handler_can_be_named() {
    let folder = Folder::new().file("t.dialogue", "@handler echo.lua\n> Hello\n< Hello\n");
    folder.test("").goes_well(&[]);
}

#[test]
fn the_script_of_the_command_line_wins() {
    let folder = Folder::new()
        .file("low.lua", LOWER)
        .file("up.lua", UPPER)
        .file("t.dialogue", "@handler low.lua\n> Hello\n< HELLO\n");
    folder.test("").goes_wrong(&["t.dialogue:3: < HELLO"]);
    folder.test("--script up.lua").goes_well(&[]);
    folder.test("-s up").goes_well(&[]);
}

#[test]
fn a_handler_requires_files_beside_it() {
    let folder = Folder::new()
        .file("lib/words.lua", "return { greeting = 'hi' }")
        .file("h.lua", "local words = require('./lib/words')\nreturn function() return words.greeting .. '\\n' end")
        .file("t.dialogue", "@handler h.lua\n> x\n< hi\n");
    folder.test("").goes_well(&[]);
}

#[test]
fn folders_are_searched_and_files_are_taken_as_they_are() {
    let folder = Folder::new()
        .file("b/2.dialogue", HELLO)
        .file("b/10.dialogue", HELLO)
        .file("b/deep/er/x.dialogue", HELLO)
        .file("a.dialogue", HELLO)
        .file("b/notes.txt", "no dialogue")
        .file(".hidden/h.dialogue", "nonsense")
        .file("target/t.dialogue", "nonsense")
        .file("other.txt", HELLO);
    let all = ["ok a.dialogue", "ok b/10.dialogue", "ok b/2.dialogue", "ok b/deep/er/x.dialogue"];
    assert_eq!(folder.test("").goes_well(&["\n4 dialogues passed"]).told(), all);
    assert_eq!(folder.test("./").goes_well(&[]).told(), all);
    let given = folder.test("other.txt b a.dialogue").goes_well(&[]);
    let order = [
        "ok other.txt",
        "ok b/10.dialogue",
        "ok b/2.dialogue",
        "ok b/deep/er/x.dialogue",
        "ok a.dialogue",
    ];
    assert_eq!(given.told(), order);
}

#[test]
fn what_is_told_keeps_the_order_of_the_files() {
    // The first one takes the longest.
    let slow = "return { framing = 'line', on_message = function(msg)\n\
                local n = 0; for i = 1, 3000000 do n += i end return msg:upper() end }";
    let mut folder = Folder::new()
        .file("slow.lua", slow)
        .file("00.dialogue", "@handler slow.lua\n> Hello\n< HELLO\n");
    for number in 1..20 {
        folder = folder.file(&format!("{number:02}.dialogue"), HELLO);
    }
    let expected: Vec<_> = (0..20).map(|number| format!("ok {number:02}.dialogue")).collect();
    for jobs in ["1", "8"] {
        let finished = folder.test(&format!("--budget 10s --jobs {jobs}")).goes_well(&[]);
        assert_eq!(finished.told(), expected, "with {jobs}");
    }
}

#[test]
fn a_filter_takes_the_paths_that_hold_a_text() {
    let folder = Folder::new()
        .file("a/one.dialogue", HELLO)
        .file("a/two.dialogue", "> x\n< wrong\n")
        .file("b/one.dialogue", HELLO);
    let finished = folder.test("--filter one").goes_well(&["\n2 dialogues passed"]);
    assert_eq!(finished.told(), ["ok a/one.dialogue", "ok b/one.dialogue"]);
    assert_eq!(
        folder.test("--filter a/").goes_wrong(&["\n1 of 2 dialogues failed"]).told().len(),
        2
    );
    folder.test("--filter three").could_not(&["no dialogue has 'three' in its path"]);
    // Nobody is to take an earlier result for one of this run.
    folder.test("--filter one --junit r.xml").goes_well(&[]);
    folder.test("--filter three --junit r.xml").could_not(&[]);
    let report = fs::read_to_string(folder.path().join("r.xml")).unwrap();
    assert!(report.contains("tests=\"0\""), "{report}");
}

#[test]
fn a_failure_among_many_is_the_status_of_all() {
    let folder = Folder::new()
        .file("1.dialogue", HELLO)
        .file("2.dialogue", "> x\n< wrong\n")
        .file("3.dialogue", HELLO);
    let finished = folder.test("").goes_wrong(&["\n1 of 3 dialogues failed in "]);
    assert_eq!(finished.told(), ["ok 1.dialogue", "FAIL 2.dialogue", "ok 3.dialogue"]);
}

#[test]
fn the_framing_of_the_command_line_is_the_handlers() {
    let count = "return function(msg) return #msg .. ' ' .. msg end";
    let dialogue = "> ab\n< 2 ab\n";
    play_with(count, dialogue, "--framing line").goes_well(&[]);
    // Raw, the end of line is a part of the message, and no part of the reply.
    play_with(count, dialogue, "").goes_wrong(&["< 2 ab"]);
    // A dialogue's own goes before it.
    play_with(count, "@framing crlf\n> ab\n<< \"2 ab\\r\\n\"\n", "-f length:u8").goes_well(&[]);
}

#[test]
fn limits_are_those_of_the_server() {
    let busy = "return { framing = 'line', on_message = function(msg)\n\
                local until_ = tonumber(msg); local n = 0\n\
                for i = 1, until_ do n += i % 7 end return 'done' end }";
    let dialogue = "> 100000000\n!< fault budget\n";
    play_with(busy, dialogue, "--budget 20ms").goes_well(&[]);
    play_with(busy, "> 1000\n< done\n", "--budget 5s").goes_well(&[]);
    let long = "> 0123456789\n!< eof\n";
    play_with(UPPER, long, "--max-message 8").goes_well(&[]);
    play_with(UPPER, long, "").goes_wrong(&["got, and no step expects it: \"0123456789"]);
    let hoard = "local kept = {}\nreturn { framing = 'line', on_message = function()\n\
                 for i = 1, 400 do kept[#kept + 1] = string.rep('x', 65536) .. #kept end\n\
                 return 'ok' end }";
    play_with(hoard, "> x\n< ok\n", "--budget 5s").goes_well(&[]);
    play_with(hoard, "> x\n!< fault memory\n", "--budget 5s --memory 16MiB").goes_well(&[]);
}

#[test]
fn a_mistake_on_the_command_line_is_status_2() {
    let folder = Folder::new().file("t.dialogue", HELLO);
    for arguments in
        ["--jobs 0", "--jobs many", "--framing sideways", "--budget 5", "--frobnicate", "--junit"]
    {
        let finished = folder.test(arguments);
        assert_eq!(finished.status, 2, "{arguments}: {finished:?}");
        assert_eq!(finished.stdout, "", "{arguments}");
        assert!(finished.stderr.starts_with("scriptsock: "), "{arguments}: {}", finished.stderr);
    }
}

#[test]
fn a_thousand_dialogues_are_played_at_once() {
    let mut folder = Folder::new().file("handler.lua", UPPER);
    let mut dialogue = "@handler ../handler.lua\n".to_owned();
    for number in 0..10 {
        writeln!(dialogue, "> message {number}\n< MESSAGE {number}").unwrap();
    }
    for number in 0..1000 {
        let wrong = number == 617;
        let text = if wrong { dialogue.replace("E 7", "E 8") } else { dialogue.clone() };
        folder = folder.file(&format!("many/{number:04}.dialogue"), text);
    }
    let finished = folder.test("many").goes_wrong(&[
        "\n1 of 1000 dialogues failed in ",
        "ok    many/0000.dialogue (20 steps)\n",
        "FAIL  many/0617.dialogue\n",
    ]);
    let told = finished.told();
    assert_eq!(told.len(), 1000);
    assert!(told.is_sorted_by_key(|line| line.split(' ').next_back().map(str::to_owned)));
}
