//! `examples/dns`, driven by dig.

use crate::support::{Server, Tool};

const HANDLER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/dns/handler.lua");

/// The files of the example, as a copy of it needs them.
const FILES: [(&str, &str); 4] = [
    ("handler.lua", include_str!("../../examples/dns/handler.lua")),
    ("zone.lua", include_str!("../../examples/dns/zone.lua")),
    ("lib/records.lua", include_str!("../../examples/dns/lib/records.lua")),
    ("lib/wire.lua", include_str!("../../examples/dns/lib/wire.lua")),
];

fn start() -> Server {
    Server::builder()
        .args(["--script", HANDLER])
        .listen("tcp://127.0.0.1:0")
        .listen("udp://127.0.0.1:0")
        .start()
}

/// What dig prints, asked over UDP, or over TCP where `args` say so.
#[track_caller]
fn dig(server: &Server, args: &[&str]) -> Option<String> {
    let dig = Tool::find("dig", "bind9-dnsutils")?;
    let is_tcp = args.contains(&"+tcp") || args.contains(&"AXFR");
    let port = if is_tcp { server.tcp_addr().port() } else { server.udp_addr().port() }.to_string();
    let all = ["@127.0.0.1", "-p", &port, "+tries=1", "+time=10"];
    let printed = dig.run(all.into_iter().chain(args.iter().copied()));
    server.assert_no_log("handler fault");
    // A transfer that is refused is a failure to dig.
    Some(if args.contains(&"AXFR") { printed.out } else { printed.ok() })
}

/// The records of an answer, one a line, sorted.
#[track_caller]
fn short(server: &Server, args: &[&str]) -> Option<String> {
    let printed = dig(server, &[args, &["+short"]].concat())?;
    let mut lines: Vec<_> = printed.lines().collect();
    lines.sort_unstable();
    Some(lines.join("\n"))
}

/// The status of an answer and its flags.
#[track_caller]
fn verdict(server: &Server, args: &[&str]) -> Option<(String, String)> {
    let printed = dig(server, args)?;
    let between = |before: &str, after: &str| {
        let rest = printed.split_once(before).unwrap_or_else(|| panic!("{printed}")).1;
        rest.split_once(after).unwrap().0.to_owned()
    };
    Some((between("status: ", ","), between(";; flags: ", ";")))
}

const CASES: &[(&[&str], &str)] = &[
    (&["example.test", "A"], "192.0.2.1"),
    (&["example.test", "AAAA"], "2001:db8::1"),
    (&["ns1.example.test", "AAAA"], "2001:db8::53"),
    (&["example.test", "MX"], "10 mail.example.test.\n20 backup.example.org."),
    (&["example.test", "TXT"], "\"two strings \" \"of one record\"\n\"v=spf1 mx -all\""),
    (&["example.test", "NS"], "ns1.example.test.\nns2.example.test."),
    (
        &["example.test", "SOA"],
        "ns1.example.test. hostmaster.example.test. 2026010101 7200 900 1209600 60",
    ),
    (&["mail.example.test", "A"], "192.0.2.25\n192.0.2.26"),
    (&["_sip._tcp.example.test", "SRV"], "10 60 5060 mail.example.test."),
    (&["ftp.example.test", "A"], "192.0.2.1\nexample.test.\nwww.example.test."),
    (&["ftp.example.test", "CNAME"], "www.example.test."),
    (&["elsewhere.example.test", "A"], "www.example.org."),
    (&["round.example.test", "A"], "round.example.test.\ntrip.example.test."),
    (&["-x", "192.0.2.25"], "mail.example.test."),
    (&["WWW.eXample.Test", "AAAA"], "2001:db8::1\neXample.Test."),
    (&["mail.example.test", "AAAA"], ""),
];

#[test]
fn dig_finds_records_over_both_transports() {
    let server = start();
    for (args, expected) in CASES {
        for more in [&[][..], &["+tcp"], &["+noedns"]] {
            let Some(found) = short(&server, &[args, more].concat()) else { return };
            assert_eq!(found, *expected, "{args:?} {more:?}");
        }
    }
}

#[test]
fn dig_is_told_what_there_is_not() {
    let server = start();
    let own = "qr aa rd".to_owned();
    let Some(verdict_of_none) = verdict(&server, &["nothere.example.test"]) else { return };
    assert_eq!(verdict_of_none, ("NXDOMAIN".to_owned(), own.clone()));
    let printed = dig(&server, &["nothere.example.test", "+noall", "+authority"]).unwrap();
    let soa = "example.test. 60 IN SOA ns1.example.test. hostmaster.example.test. 2026010101";
    let printed: Vec<_> = printed.split_whitespace().collect();
    assert!(printed.join(" ").starts_with(soa), "{printed:?}");
    for no_data in [["mail.example.test", "AAAA"], ["deep.example.test", "A"]] {
        let found = verdict(&server, &no_data).unwrap();
        assert_eq!(found, ("NOERROR".to_owned(), own.clone()), "{no_data:?}");
    }
}

#[test]
fn dig_is_refused_what_is_not_served() {
    let server = start();
    for args in [["example.org", "A"], [".", "NS"], ["xexample.test", "A"]] {
        let Some(found) = verdict(&server, &args) else { return };
        assert_eq!(found, ("REFUSED".to_owned(), "qr rd".to_owned()), "{args:?}");
    }
    let chaos = verdict(&server, &["version.bind", "CH", "TXT"]).unwrap();
    assert_eq!(chaos.0, "REFUSED");
    assert!(dig(&server, &["example.test", "AXFR"]).unwrap().contains("Transfer failed"));
    let status = verdict(&server, &["example.test", "+opcode=status"]).unwrap();
    assert_eq!(status, ("NOTIMP".to_owned(), "qr rd".to_owned()));
    let garbage = verdict(&server, &["example.test", "+header-only"]).unwrap();
    assert_eq!(garbage.0, "FORMERR");
}

#[test]
fn dig_sees_edns_answered() {
    let server = start();
    let Some(printed) = dig(&server, &["example.test", "+dnssec"]) else { return };
    assert!(printed.contains("; EDNS: version: 0, flags: do; udp: 1232"), "{printed}");
    let printed = dig(&server, &["example.test", "+noedns"]).unwrap();
    assert!(!printed.contains("EDNS"), "{printed}");
    let newer = verdict(&server, &["example.test", "+edns=7", "+noednsneg"]).unwrap();
    assert_eq!(newer.0, "BADVERS");
}

#[test]
fn dig_sees_what_was_cut() {
    let server = start();
    let cut = "qr aa tc rd";
    let cases: [(&[&str], &str); 5] = [
        (&["large.example.test", "TXT", "+noedns", "+ignore"], cut),
        (&["large.example.test", "TXT", "+bufsize=1000", "+ignore"], cut),
        (&["large.example.test", "TXT", "+bufsize=1232"], "qr aa rd"),
        (&["huge.example.test", "TXT", "+bufsize=4096", "+ignore"], cut),
        (&["huge.example.test", "TXT", "+tcp"], "qr aa rd"),
    ];
    for (args, flags) in cases {
        let Some(found) = verdict(&server, args) else { return };
        assert_eq!(found, ("NOERROR".to_owned(), flags.to_owned()), "{args:?}");
    }
}

#[test]
fn dig_asks_again_over_tcp_for_what_was_cut() {
    let Some(dig) = Tool::find("dig", "bind9-dnsutils") else { return };
    // Both on one port: of an address that no other process of tests has.
    let own = std::process::id();
    let address = format!("127.83.{}.{}", own / 250 % 250 + 1, own % 250 + 1);
    let server = Server::builder()
        .args(["--script", HANDLER])
        .listen(format!("tcp://{address}:15353"))
        .listen(format!("udp://{address}:15353"))
        .start();
    let printed = dig.run([&format!("@{address}"), "-p", "15353", "huge.example.test", "TXT"]).ok();
    assert!(printed.contains("Truncated, retrying in TCP mode"), "{printed}");
    assert!(printed.contains("ANSWER: 6,") && printed.contains(&"f".repeat(255)), "{printed}");
    server.assert_no_log("handler fault");
}

#[test]
fn a_zone_that_is_saved_is_served_and_a_wrong_one_is_not() {
    let Some(_) = Tool::find("dig", "bind9-dnsutils") else { return };
    let builder =
        FILES.iter().fold(Server::builder(), |builder, (path, text)| builder.file(path, text));
    let server = builder.args(["--script", "handler.lua"]).listen("udp://127.0.0.1:0").start();
    let ask = || short(&server, &["example.test", "A"]).unwrap();
    assert_eq!(ask(), "192.0.2.1");
    let (path, zone) = FILES[1];
    server.save(path, &zone.replace("\"192.0.2.1\"", "\"192.0.2.300\""));
    server.wait_log("192.0.2.300 is no IPv4 address");
    assert_eq!(ask(), "192.0.2.1");
    server.save(path, &zone.replace("\"192.0.2.1\"", "\"203.0.113.9\""));
    server.wait_log("generation 2 is live");
    assert_eq!(ask(), "203.0.113.9");
}
