//! Timeouts of a script at both ends of what a number can say.

use crate::support::Server;
use std::time::Duration;

const HUGE: [&str; 4] = ["1e19", "1e300", "math.huge", "1e10"];

fn with(key: &str, value: &str) -> String {
    format!(
        "return {{
           {key} = {value},
           on_message = function(msg) return msg end,
           on_idle = function() log.info(\"idle\") end,
           on_close = function(conn, reason) log.info(`gone {{reason}}`) end,
         }}\n"
    )
}

fn is_never(key: &str) {
    for value in HUGE {
        let server = Server::builder().script(&with(key, value)).start();
        let (mut client, peer) = (server.tcp(), server.udp());
        client.exchange(b"a", b"a");
        peer.exchange(b"a", b"a");
        client.expect_silence(Duration::from_millis(300));
        client.exchange(b"b", b"b");
        peer.exchange(b"b", b"b");
        let other = server.udp();
        other.exchange(b"c", b"c");
        server.assert_no_log("gone");
        server.assert_no_log("idle");
    }
}

#[test]
fn a_huge_peer_timeout_is_never() {
    is_never("peer_timeout");
}

#[test]
fn a_huge_idle_timeout_is_never() {
    is_never("idle_timeout");
}

#[test]
fn a_tiny_or_senseless_timeout_is_refused() {
    for key in ["idle_timeout", "peer_timeout"] {
        for value in ["1e-9", "-1", "0/0", "-math.huge"] {
            let failed = Server::builder()
                .script(&with(key, value))
                .listen("tcp://127.0.0.1:0")
                .start_expecting_failure();
            assert_eq!(failed.status, 1, "{key} = {value}: {failed:?}");
            assert!(failed.stderr.contains(key), "{key} = {value}: {failed:?}");
        }
    }
}
