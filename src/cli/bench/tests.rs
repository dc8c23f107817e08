//! The options of `scriptsock bench` as they are typed.

use std::ffi::OsString;

use super::super::usage::Stop;
use super::super::{Cli, Command};
use super::*;

fn read(line: &str) -> Result<Plan, String> {
    let args = format!("scriptsock bench {line}");
    match Cli::read(args.split_whitespace().map(OsString::from)) {
        Ok(Cli { command: Some(Command::Bench(options)), .. }) => {
            options.plan().map_err(|error| error.to_string())
        }
        Ok(cli) => panic!("no bench: {cli:?}"),
        Err(Stop::Usage(error)) => Err(error.to_string()),
        Err(Stop::Show(text)) => panic!("shows {text}"),
    }
}

fn plan(line: &str) -> Plan {
    read(line).unwrap()
}

fn mistake(line: &str) -> String {
    let mistake = read(line).unwrap_err();
    assert!(!mistake.contains('\n'), "{mistake}");
    mistake
}

#[test]
fn a_port_is_enough() {
    let plan = plan("7890");
    assert_eq!(plan.server.to_string(), "tcp://127.0.0.1:7890");
    assert_eq!((plan.mode, plan.connections, plan.depth), (Mode::Exchange, 64, 1));
    assert_eq!(plan.content, Content::Letters(32));
    assert_eq!((plan.framing.to_string().as_str(), plan.expect), ("raw", Expect::Auto));
    assert_eq!((plan.rate, plan.count, plan.warmup), (None, None, Duration::ZERO));
    assert_eq!((plan.duration, plan.timeout), (Some(DURATION), TIMEOUT));
}

#[test]
fn every_option_arrives() {
    let plan = plan(
        "unix://s -c 3 --depth 4 --rate 5 -d 6s -n 7 --warmup 8ms --timeout 9s --size 1KiB \
         --framing line --expect upper --json -q",
    );
    assert_eq!(plan.server.to_string(), "unix://s");
    assert_eq!((plan.connections, plan.depth, plan.rate, plan.count), (3, 4, Some(5), Some(7)));
    assert_eq!(plan.duration, Some(Duration::from_secs(6)));
    assert_eq!(plan.warmup, Duration::from_millis(8));
    assert_eq!(plan.timeout, Duration::from_secs(9));
    assert_eq!(plan.content, Content::Letters(1024));
    assert_eq!((plan.framing.to_string().as_str(), plan.expect), ("line", Expect::Upper));
}

#[test]
fn defaults_follow_from_the_rest() {
    assert_eq!(plan("80 --mode bulk").content, Content::Letters(64 * 1024));
    assert_eq!(plan("udp://h:80").timeout, DATAGRAM_TIMEOUT);
    assert_eq!(plan("80 -n 5").duration, None);
    assert_eq!(plan(r"80 --message PING\r\n").framing, Spec::line());
    assert_eq!(plan(r"80 --message PING\r").framing, Spec::raw());
    assert_eq!(plan(r"80 --message PING\n --framing raw").framing, Spec::raw());
}

#[test]
fn escapes_of_a_message_are_read() {
    assert_eq!(plan(r"80 --message a\x00\\n").content, Content::Text(b"a\0\\n".to_vec()));
    assert_eq!(plan("80 --message -5").content, Content::Text(b"-5".to_vec()));
    assert!(mistake(r"80 --message a\q").contains("behind a backslash"));
}

#[test]
fn a_file_is_the_message() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("message");
    std::fs::write(&path, b"\\n\xff\n").unwrap();
    let line = format!("80 --message-file {}", path.display());
    assert_eq!(plan(&line).content, Content::Text(b"\\n\xff\n".to_vec()));
    assert_eq!(plan(&line).framing, Spec::line());
    std::fs::write(&path, b"").unwrap();
    assert!(mistake(&line).contains("the file is empty"));
    assert!(mistake("80 --message-file /nowhere").contains("No such file"));
}

#[test]
fn mistakes_say_what_was_expected() {
    assert_eq!(mistake(""), "<URL> is missing (scriptsock bench --help shows how)");
    assert_eq!(
        mistake("tpc://x:1"),
        "invalid value 'tpc://x:1' for '<URL>': unknown scheme tpc://, expected tcp://HOST:PORT, \
         udp://HOST:PORT, unix://PATH, unixgram://PATH; did you mean tcp://"
    );
    assert_eq!(
        mistake("80 --dept 3"),
        "unknown option '--dept'; did you mean '--depth'? (scriptsock bench --help lists all)"
    );
    assert_eq!(
        mistake("80 --mode chrun"),
        "invalid value 'chrun' for '--mode': expected exchange, churn, bulk, idle; \
         did you mean 'churn'?"
    );
    assert_eq!(
        mistake("80 --depth 0"),
        "invalid value '0' for '--depth': expected a number from 1 to 65536"
    );
    assert!(mistake("80 --framing lime").contains("did you mean line"));
    assert!(mistake("80 --size 65MiB").contains("64MiB at most"));
    assert!(mistake("80 81").starts_with("unexpected argument '81'"));
}

#[test]
fn contradictions_are_refused() {
    assert!(mistake("80 --size 3 --message x").contains("cannot be used with"));
    assert!(mistake("80 --message x --message-file y").contains("cannot be used with"));
    assert!(mistake("udp://h:80 --mode churn").contains("--mode churn needs connections"));
    assert!(mistake("unixgram://s --mode bulk").contains("--mode bulk needs connections"));
    assert!(mistake("80 --mode churn --depth 2").contains("--depth is for --mode exchange"));
    assert!(mistake("80 --mode bulk --rate 2").contains("--rate is for"));
    assert!(mistake("80 --mode idle -n 2").contains("--count is for"));
    assert!(mistake("0").contains("no server has port 0"));
}

#[test]
fn the_options_of_the_server_are_not_those_of_a_command() {
    assert!(mistake("80 --script x").starts_with("unknown option '--script'"));
    let args = ["scriptsock", "--once", "bench", "80"].map(OsString::from);
    let Err(Stop::Usage(error)) = Cli::read(args) else { panic!("options of both are mixed") };
    assert_eq!(
        error.to_string(),
        "'bench' cannot be used with '--once': options before a command are the server's"
    );
}
