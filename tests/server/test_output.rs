//! What `scriptsock test` prints and writes: for a person, and for a build server.

use crate::support::Tool;
use crate::test_command::{Folder, HELLO, UPPER, fails, play_with};

#[test]
fn a_line_for_each_that_passes_and_one_for_all() {
    let folder = Folder::new().file("1.dialogue", HELLO).file("2.dialogue", "!> connect\n");
    let finished = folder.test("").goes_well(&[]);
    let lines: Vec<_> = finished.stdout.lines().collect();
    assert_eq!(lines[..3], ["ok    1.dialogue (2 steps)", "ok    2.dialogue (1 step)", ""]);
    let sum =
        lines[3].strip_prefix("2 dialogues passed in ").and_then(|rest| rest.strip_suffix(" s"));
    assert!(sum.is_some_and(|time| time.parse::<f64>().is_ok()), "{lines:?}");
    assert_eq!(lines.len(), 4);
}

#[test]
fn a_failure_shows_its_step_and_the_difference() {
    let finished = fails(UPPER, "> one\n< ONE\n> two\n< TWO!\n", &[]);
    let lines: Vec<_> = finished.stdout.lines().map(str::trim_end).collect();
    assert_eq!(lines[0], "FAIL  t.dialogue");
    assert_eq!(lines[1], "      t.dialogue:4: < TWO!");
    assert!(lines[2].contains("expected"), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("TWO!\\n")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("TWO\\n")), "{lines:#?}");
    assert!(lines.last().unwrap().starts_with("1 of 1 dialogue failed in "), "{lines:#?}");
}

#[test]
fn bytes_that_are_no_text_are_shown_in_hex() {
    let handler = "return function() return '\\x00\\xfe\\x80' end";
    fails(handler, "> a\n<x 00 ff 80\n", &["00 ff 80", "00 fe 80"]);
    fails(handler, "> a\n<< \"\\x00\\xff\\x80\"\n", &["00 ff 80", "00 fe 80"]);
}

#[test]
fn the_handlers_log_is_shown_with_a_failure_only() {
    let handler = "return { framing = 'line', on_message = function(msg)\n\
        print('saw', msg); log.error('bad', { code = 7 })\n\
        if msg == 'no' then return nil, 'refused' end\n\
        if msg == 'crash' then error('it broke') end\n\
        return msg end }";
    fails(
        handler,
        "> a\n< b\n",
        &["the handler's log:\n", "\n        info saw\\ta\n", "\n        error bad code=7\n"],
    );
    fails(handler, "> no\n", &["rejected: refused"]);
    fails(handler, "> crash\n", &["it broke", "handler.lua:4"]);
    let fine = play_with(handler, "> a\n< a\n", "").goes_well(&[]);
    assert!(!fine.stdout.contains("saw"), "{}", fine.stdout);
}

#[test]
fn of_a_long_log_the_end_is_shown() {
    let handler = "return { framing = 'line', on_message = function()\n\
        for i = 1, 500 do print('line ' .. i) end end }";
    let finished =
        fails(handler, "> a\n< b\n", &["(480 lines before)", "info line 481\n", "info line 500\n"]);
    assert!(!finished.stdout.contains("line 480\n"), "{}", finished.stdout);
    let flood = handler.replace("500", "5000");
    fails(&flood, "> a\n< b\n", &["(4980 lines before)", "info line 5000\n"]);
}

#[test]
fn nothing_that_a_handler_says_can_fake_a_line_or_a_colour() {
    let handler = "return { framing = 'line', on_message = function(msg, conn)\n\
        print('\\27[31mred\\nok    fake.dialogue'); log.warn('\\r\\7')\n\
        if msg == 'crash' then error('\\27[31mred\\nok    fake.dialogue') end\n\
        if msg == 'no' then return nil, '\\27[31mred\\nok    fake.dialogue' end\n\
        conn:send_raw('\\27[31mred\\nok    fake.dialogue') end }";
    for dialogue in
        ["> crash\n", "> no\n", "> a\n", "> a\n< b\n", "> a\n<~ x\n", "> a\n!< silence 1s\n"]
    {
        let finished = fails(handler, dialogue, &[]);
        let stdout = &finished.stdout;
        assert!(!stdout.bytes().any(|byte| byte.is_ascii_control() && byte != b'\n'), "{stdout:?}");
        assert!(!stdout.lines().any(|line| line.starts_with("ok")), "{stdout}");
        let folder = Folder::new().file("handler.lua", handler).file("t.dialogue", dialogue);
        folder.test("--script handler.lua --junit r.xml").goes_wrong(&[]);
        cases(&folder, "r.xml");
    }
    let broken = Folder::new().file("t\u{1b}.dialogue", "nonsense \u{1b}[31m\n");
    let finished = broken.test("").goes_wrong(&[]);
    assert!(!finished.stdout.contains('\u{1b}'), "{:?}", finished.stdout);
    let loads = fails("error('\\27[31mred')", HELLO, &["before the first step"]);
    assert!(!loads.stdout.contains('\u{1b}'), "{:?}", loads.stdout);
}

/// The cases of a report as python's XML reader has them: a name and the failure's message each.
fn cases(folder: &Folder, file: &str) -> Option<Vec<(String, String)>> {
    const READ: &str = "import json, sys, xml.etree.ElementTree as tree\n\
        root = tree.parse(sys.argv[1]).getroot()\n\
        assert root.tag == 'testsuites', root.tag\n\
        suites = list(root)\n\
        assert [s.tag for s in suites] == ['testsuite'], suites\n\
        cases = list(suites[0])\n\
        failures = [c for c in cases if c.find('failure') is not None]\n\
        for counted in [root, suites[0]]:\n\
        \x20   assert int(counted.get('tests')) == len(cases)\n\
        \x20   assert int(counted.get('failures')) == len(failures)\n\
        \x20   assert float(counted.get('time')) >= 0\n\
        for case in cases:\n\
        \x20   assert case.tag == 'testcase' and float(case.get('time')) >= 0\n\
        \x20   failure = case.find('failure')\n\
        \x20   if failure is not None: assert failure.text.strip()\n\
        \x20   message = '' if failure is None else failure.get('message')\n\
        \x20   print(json.dumps([case.get('name'), message]))\n";
    let report = folder.path().join(file);
    let python = Tool::find("python3", "python3")?;
    let text = python.run(["-c", READ, &report.display().to_string()]).ok();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn a_report_is_written_as_build_servers_read_it() {
    let folder = Folder::new()
        .file("a/1.dialogue", HELLO)
        .file("a/2 <&\">.dialogue", "> a\n< <&\">\n")
        .file("a/3.dialogue", "nonsense\n");
    folder.test("a --junit report.xml").goes_wrong(&[]);
    let Some(found) = cases(&folder, "report.xml") else { return };
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a/1.dialogue", "a/2 <&\">.dialogue", "a/3.dialogue"]);
    assert_eq!(found[0].1, "");
    assert_eq!(found[1].1, "a/2 <&\">.dialogue:2: < <&\">");
    assert!(found[2].1.starts_with("a/3.dialogue:1:9: expected a sign"), "{found:?}");
    let text = std::fs::read_to_string(folder.path().join("report.xml")).unwrap();
    assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"), "{text}");
    // A new report takes the place of the old one.
    folder.test("a/1.dialogue --junit report.xml").goes_well(&[]);
    assert_eq!(cases(&folder, "report.xml").unwrap(), [("a/1.dialogue".to_owned(), String::new())]);
}

#[test]
fn a_report_has_the_difference_and_the_log() {
    let handler = "return { framing = 'line', on_message = function(msg) print('<saw>', msg); return msg end }";
    let folder = Folder::new().file("h.lua", handler).file("t.dialogue", "> a\n< b\n");
    folder.test("-s h.lua --junit r.xml").goes_wrong(&[]);
    let text = std::fs::read_to_string(folder.path().join("r.xml")).unwrap();
    assert!(text.contains("&lt;saw&gt;"), "{text}");
    assert!(text.contains("t.dialogue:2: &lt; b"), "{text}");
    assert!(cases(&folder, "r.xml").is_none_or(|found| found.len() == 1));
}

/// The blocks of a language in the README's chapter.
fn blocks(language: &str) -> Vec<&'static str> {
    let readme = include_str!("../../README.md");
    let chapter = readme.split("## Test a handler\n").nth(1).expect("the chapter");
    let chapter = chapter.split("\n## ").next().unwrap();
    let begin = format!("```{language}\n");
    chapter.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_readme_shows_what_is_printed() {
    // It forgets to forget what was cancelled.
    let shop = "local orders = {}\nreturn { framing = 'line', on_message = function(msg)\n\
        local count, what = msg:match('^buy (%d+) (%a+)$')\n\
        if count then orders[#orders + 1] = `order {#orders + 1}: {count} {what}`\n\
          print('new order ' .. #orders); return orders[#orders] end\n\
        if msg:match('^buy') then return nil, 'how many?' end\n\
        local id = msg:match('^cancel (%d+)$')\n\
        if id then return `order {id} cancelled` end\n\
        return table.concat(orders, ', ') end }";
    let texts = blocks("text");
    let [dialogue, failure, cut] = texts[..] else { panic!("three blocks: {texts:?}") };
    let stock = "> list\n<\n".repeat(7);
    let folder = Folder::new()
        .file("shop.lua", shop)
        .file("tests/shop.dialogue", dialogue)
        .file("tests/stock.dialogue", format!("@handler ../shop.lua\n{stock}"));
    let without_time = |text: &str| {
        let mut lines: Vec<_> = text.trim_end().lines().map(str::to_owned).collect();
        let last = lines.last_mut().unwrap();
        *last = last.split(" in ").next().unwrap().to_owned();
        lines
    };
    let shown = folder.test("").goes_wrong(&[]);
    assert_eq!(without_time(&shown.stdout), without_time(failure), "{}", shown.stdout);

    let folder = Folder::new()
        .file("greet.lua", "return function(msg) return msg:upper() .. '.' end")
        .file("tests/greet.dialogue", "@handler ../greet.lua\n\n>> \"hello\"\n<< \"HELLO.\"\n");
    folder.test("tests --splits").goes_wrong(&[cut]);
    // The commands are such as there are.
    let commands: Vec<_> = blocks("sh").into_iter().flat_map(str::lines).collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for command in commands {
        let arguments = command.strip_prefix("scriptsock test").expect("the command");
        let finished = folder.test(arguments);
        assert!(finished.status < 2 && finished.stderr.is_empty(), "{command}: {finished:?}");
    }
}
