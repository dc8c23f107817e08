//! A mail drop for POP3 in one file: a conversation with a greeting, states, answers of several
//! lines, and a lockout.

use crate::support::{Client, Server, wait_until};
use crate::talk::{ask, read_line, reload};

const DROP: &str = include_str!("protocols/pop3.lua");

const GREETING: &[u8] = b"+OK the drop is open\r\n";
const GIVEN: &str = "+OK and the password?\r\n";
const WRONG: &str = "-ERR wrong name or password\r\n";

fn start() -> Server {
    Server::builder().script(DROP).start()
}

/// A server whose script has `from` replaced by `to`.
fn start_with(from: &str, to: &str) -> Server {
    assert!(DROP.contains(from), "no {from:?} in the script");
    Server::builder().script(&DROP.replace(from, to)).start()
}

fn greeted(server: &Server) -> Client {
    let mut client = server.tcp();
    client.expect(GREETING);
    client
}

fn ann(server: &Server) -> Client {
    let mut client = greeted(server);
    client.exchange(b"USER ann\r\n", GIVEN.as_bytes());
    let answer = ask(&mut client, "PASS secret\r\n");
    assert!(answer.starts_with("+OK "), "{answer}");
    client
}

/// Ends a session in order.
fn quit(mut client: Client) {
    client.exchange(b"QUIT\r\n", b"+OK bye\r\n");
    client.expect_eof();
}

const SESSION: &[u8] =
    b"user ann\r\npass secret\r\nSTAT\r\nLIST\r\nUIDL 2\r\nRETR 1\r\nTOP 2 1\r\n\
    DELE 1\r\nLIST\r\nRSET\r\nNOOP\r\nQUIT\r\n";

const ANSWERS: &str = "+OK the drop is open\r\n+OK and the password?\r\n\
    +OK 2 messages (91 octets)\r\n+OK 2 91\r\n+OK 2 messages\r\n1 42\r\n2 49\r\n.\r\n+OK 2 a2\r\n\
    +OK 42 octets\r\nSubject: one\r\n\r\nhello ann\r\n..\r\n...two dots\r\n.\r\n\
    +OK\r\nSubject: two\r\nFrom: bob\r\n\r\nfirst\r\n.\r\n\
    +OK message 1 is deleted\r\n+OK 1 messages\r\n2 49\r\n.\r\n+OK\r\n+OK\r\n+OK bye\r\n";

#[test]
fn a_whole_session_is_the_same_at_every_split() {
    let server = start();
    for cut in 0..SESSION.len() {
        let mut client = server.tcp();
        client.send(&SESSION[..cut]);
        std::thread::sleep(std::time::Duration::from_millis(1));
        client.send(&SESSION[cut..]);
        let answers = String::from_utf8(client.read_to_end()).unwrap();
        assert_eq!(answers, ANSWERS, "cut at {cut}");
    }
    server.assert_no_log("handler fault");
}

#[test]
fn what_is_deleted_is_gone_after_quit() {
    let server = start();
    let mut client = ann(&server);
    client.exchange(b"DELE 1\r\nSTAT\r\n", b"+OK message 1 is deleted\r\n+OK 1 49\r\n");
    client.exchange(b"RETR 1\r\nDELE 1\r\n", b"-ERR no such message\r\n-ERR no such message\r\n");
    quit(client);
    let mut client = ann(&server);
    client.exchange(
        b"LIST\r\nUIDL\r\n",
        b"+OK 1 messages\r\n1 49\r\n.\r\n+OK 1 messages\r\n1 a2\r\n.\r\n",
    );
    client.exchange(b"DELE 1\r\nLIST\r\n", b"+OK message 1 is deleted\r\n+OK 0 messages\r\n.\r\n");
    quit(client);
    quit(ann(&server));
}

#[test]
fn what_is_deleted_stays_where_the_session_ends_without_quit() {
    let server = start();
    for end in [drop as fn(Client), Client::reset] {
        let mut client = ann(&server);
        client.exchange(
            b"DELE 1\r\nDELE 2\r\nSTAT\r\n",
            b"+OK message 1 is deleted\r\n+OK message 2",
        );
        end(client);
        let mut client = wait_until("the drop should be free", || {
            let mut client = greeted(&server);
            client.exchange(b"USER ann\r\n", GIVEN.as_bytes());
            ask(&mut client, "PASS secret\r\n").starts_with("+OK").then_some(client)
        });
        client.exchange(b"STAT\r\n", b"+OK 2 91\r\n");
        quit(client);
    }
    server.assert_no_log("handler fault");
}

#[test]
fn a_drop_is_open_in_one_session_at_a_time() {
    let server = start();
    let first = ann(&server);
    let mut second = greeted(&server);
    let in_use = format!("{GIVEN}-ERR [IN-USE] the drop is open in another session\r\n");
    second.exchange(b"USER ann\r\nPASS secret\r\n", in_use.as_bytes());
    let empty = format!("{GIVEN}+OK 0 messages (0 octets)\r\n");
    second.exchange(b"USER bob\r\nPASS hunter2\r\n", empty.as_bytes());
    second.exchange(b"USER ann\r\n", b"-ERR what?\r\n");
    quit(first);
    quit(ann(&server));
}

#[test]
fn what_is_wrong_is_told_and_the_session_goes_on() {
    let server = start();
    let mut client = greeted(&server);
    for line in ["", "STAT", "RETR 1", "12", "USERann", "LIST 1"] {
        client.exchange(format!("{line}\r\n").as_bytes(), b"-ERR what?\r\n");
    }
    client.exchange(b"PASS x\r\nUSER\r\n", b"-ERR USER first\r\n-ERR who?\r\n");
    client
        .exchange(b"CAPA\r\n", b"+OK what there is\r\nUSER\r\nTOP\r\nUIDL\r\nPIPELINING\r\n.\r\n");
    client.exchange(b"USER ann\r\nPASS secret\r\n", GIVEN.as_bytes());
    client.expect(b"+OK 2 messages (91 octets)\r\n");
    for line in ["RETR", "RETR 0", "RETR 3", "RETR x", "RETR 1.5", "LIST 9", "TOP 3 1"] {
        client.exchange(format!("{line}\r\n").as_bytes(), b"-ERR no such message\r\n");
    }
    client.exchange(b"TOP 1\r\n", b"-ERR TOP takes a message and a number of lines\r\n");
    client.exchange(b"TOP 1 0\r\n", b"+OK\r\nSubject: one\r\n\r\n.\r\n");
    client.exchange(
        b"top 1 99\r\n",
        b"+OK\r\nSubject: one\r\n\r\nhello ann\r\n..\r\n...two dots\r\n.\r\n",
    );
    quit(client);
    server.assert_no_log("handler fault");
}

#[test]
fn three_wrong_passwords_end_the_session_and_lock_the_address_out() {
    let server = start_with("LOCKED_FOR = 60", "LOCKED_FOR = 2");
    let mut witness = greeted(&server);
    let mut client = greeted(&server);
    for name in ["ann", "nobody"] {
        let wrong = format!("{GIVEN}{WRONG}");
        client.exchange(format!("USER {name}\r\nPASS guess\r\n").as_bytes(), wrong.as_bytes());
    }
    client.send(b"USER ann\r\nPASS guess\r\nUSER ann\r\nPASS secret\r\n");
    let end = format!("{GIVEN}-ERR too many attempts\r\n");
    assert_eq!(client.read_to_end(), end.as_bytes());
    // Neither a new session nor one that was open gets in, with the right password either.
    assert_eq!(server.tcp().read_to_end(), b"-ERR locked out, try again later\r\n");
    witness.send(b"USER ann\r\nPASS secret\r\n");
    assert_eq!(witness.read_to_end(), end.as_bytes());
    wait_until("the lock should end", || {
        let greeting = read_line(&mut server.tcp());
        greeting.starts_with("+OK").then_some(())
    });
    quit(ann(&server));
}

#[test]
fn a_right_password_forgives_the_wrong_ones() {
    let server = start();
    for _ in 0..3 {
        let mut client = greeted(&server);
        for _ in 0..2 {
            client.exchange(b"USER ann\r\nPASS x\r\n", format!("{GIVEN}{WRONG}").as_bytes());
        }
        client.exchange(b"USER ann\r\nPASS secret\r\n", GIVEN.as_bytes());
        client.expect(b"+OK 2 messages (91 octets)\r\n");
        quit(client);
    }
}

#[test]
fn a_line_without_an_end_is_told_and_ends_the_session() {
    let server = start();
    let mut client = greeted(&server);
    client.send(&[b'x'; 3000]);
    assert_eq!(client.read_to_end(), b"-ERR the line is too long\r\n");
    server.wait_log("message over the limit of 255 bytes");
    quit(ann(&server));
}

#[test]
fn a_silent_session_ends_and_deletes_nothing() {
    let server = start_with("idle_timeout = 600", "idle_timeout = 0.3");
    let mut client = ann(&server);
    client.exchange(b"DELE 1\r\n", b"+OK message 1 is deleted\r\n");
    client.expect_eof();
    let mut client = ann(&server);
    client.exchange(b"STAT\r\n", b"+OK 2 91\r\n");
}

#[test]
fn a_save_disturbs_no_session_and_keeps_the_mail() {
    let server = start();
    let mut open = ann(&server);
    open.exchange(b"DELE 2\r\n", b"+OK message 2 is deleted\r\n");
    for save in 1..=20 {
        reload(&server, &DROP.replace("+OK bye", &format!("+OK bye {save}")), save + 1);
        open.exchange(b"STAT\r\n", b"+OK 1 42\r\n");
    }
    // The drop is still held for the session of the old generation.
    let mut second = greeted(&server);
    second.exchange(b"USER ann\r\nPASS secret\r\n", format!("{GIVEN}-ERR [IN-USE]").as_bytes());
    quit(open);
    let mut client = ann(&server);
    client.exchange(b"STAT\r\nQUIT\r\n", b"+OK 1 42\r\n+OK bye 20\r\n");
}
