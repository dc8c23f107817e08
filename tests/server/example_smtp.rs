//! `examples/smtp`, driven by Python's smtplib.

use crate::support::{Server, Tool};

const HANDLER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/smtp/handler.lua");

fn start() -> Server {
    Server::builder().args(["--script", HANDLER]).listen("tcp://127.0.0.1:0").start()
}

/// What a Python program prints that has `s`, a connected `smtplib.SMTP`.
#[track_caller]
fn python(server: &Server, program: &str) -> Option<String> {
    let python = Tool::find("python3", "python3")?;
    let connect = format!(
        "import smtplib\nfrom email.message import EmailMessage\n\
         s = smtplib.SMTP('127.0.0.1', {}, timeout=15)\n",
        server.tcp_addr().port()
    );
    let printed = python.run_with(["-"], &(connect + program)).ok();
    server.assert_no_log("handler fault");
    Some(printed)
}

#[test]
fn smtplib_hands_a_message_over() {
    let server = start();
    let printed = python(
        &server,
        "m = EmailMessage()
m['From'] = 'Ann <ann@example.org>'
m['To'] = 'bob@example.com, carol@example.com'
m['Subject'] = 'dots'
m.set_content('one\\n.\\n..two\\n')
print(s.send_message(m), s.quit())
",
    );
    let Some(printed) = printed else { return };
    assert_eq!(printed, "{} (221, b'2.0.0 sink.example says good bye')\n");
    let line = server
        .wait_log("message 1 from <ann@example.org> to <bob@example.com>, <carol@example.com>");
    assert!(line.contains("subject=dots"), "{line}");
    assert!(line.contains("\\n\\none\\n.\\n..two\""), "{line}");
}

#[test]
fn smtplib_finds_what_the_server_can() {
    let server = start();
    let printed = python(
        &server,
        "print(s.ehlo('me')[0], sorted(s.esmtp_features))
print(s.esmtp_features['size'], s.noop(), s.verify('bob'), s.rset())
print(s.helo('me'), s.expn('all')[0], s.docmd('STARTTLS')[0])
m = EmailMessage()
m['From'], m['To'], m['Subject'] = 'jörg@example.org', 'bob@example.com', 'grüße'
m.set_content('ä')
print(s.send_message(m))
",
    );
    let Some(printed) = printed else { return };
    assert_eq!(
        printed,
        "250 ['8bitmime', 'enhancedstatuscodes', 'help', 'pipelining', 'size', 'smtputf8']\n\
         1048576 (250, b'2.0.0 ok') (252, b'2.1.5 send some mail, and see') (250, b'2.0.0 ok')\n\
         (250, b'sink.example') 502 500\n{}\n"
    );
    let line = server.wait_log("message 1 from <jörg@example.org> to <bob@example.com>");
    assert!(line.contains("Subject: grüße"), "{line}");
}

#[test]
fn smtplib_is_told_what_is_refused() {
    let server = start();
    let printed = python(
        &server,
        "print(s.sendmail('a@example.org', ['b@example.com', 'nobody@example.com'], 'x'))
for to in ['full', 'later', 'nobody']:
    try:
        s.sendmail('a@example.org', [to + '@example.com'], 'x')
    except smtplib.SMTPRecipientsRefused as e:
        print(e.recipients)
try:
    s.sendmail('a@example.org', ['b@example.com'], 'x' * 1048577)
except smtplib.SMTPSenderRefused as e:
    print(e.smtp_code, e.smtp_error)
print(s.docmd('RCPT', 'TO:<b@example.com>'), s.docmd('DATA'))
",
    );
    let Some(printed) = printed else { return };
    assert_eq!(
        printed,
        "{'nobody@example.com': (550, b'5.1.1 there is no such mailbox')}\n\
         {'full@example.com': (452, b'4.2.2 the mailbox is full')}\n\
         {'later@example.com': (451, b'4.7.1 come back later')}\n\
         {'nobody@example.com': (550, b'5.1.1 there is no such mailbox')}\n\
         552 b'5.3.4 a message may have 1048576 bytes'\n\
         (503, b'5.5.1 MAIL first') (503, b'5.5.1 MAIL first')\n"
    );
    server.wait_log("message 1 from <a@example.org> to <b@example.com>");
    server.assert_no_log("message 2 ");
}

#[test]
fn smtplib_learns_of_the_size_behind_the_message_too() {
    let server = start();
    // Without ESMTP a client does not say the size before.
    let printed = python(
        &server,
        "s.helo('me')
most = ('x' * 998 + '\\r\\n') * 1048
for text in [most, most + 'x' * 575, most + 'x' * 574]:
    s.docmd('MAIL FROM:<a@example.org>')
    s.docmd('RCPT TO:<b@example.com>')
    print(s.data(text))
",
    );
    let Some(printed) = printed else { return };
    assert_eq!(
        printed,
        "(250, b'2.0.0 taken as message 1')\n\
         (552, b'5.3.4 a message may have 1048576 bytes')\n\
         (250, b'2.0.0 taken as message 2')\n"
    );
    server.wait_log("bytes=1048576");
}
