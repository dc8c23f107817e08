//! Tests of the options, on real sockets.

use std::time::Instant;

use tokio::net::TcpListener;

use super::*;
use Knob::{Broadcast, KeepAlive, Linger, NoDelay, RecvBuffer, SendBuffer, Ttl};
use KnobValue::{Flag, Number};

async fn tcp(host: &str) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(format!("{host}:0")).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// Sets each value and has it back.
fn keeps(socket: &dyn Options, knob: Knob, values: &[KnobValue]) {
    for value in values {
        socket.set_option(knob, *value).unwrap();
        assert_eq!(socket.option(knob).unwrap(), *value, "{}", knob.name());
    }
}

/// Its buffers are at least as large as was asked for; Linux doubles.
fn has_buffers(socket: &dyn Options) {
    for knob in [RecvBuffer, SendBuffer] {
        socket.set_option(knob, Number(20_000.0)).unwrap();
        let Number(small) = socket.option(knob).unwrap() else { panic!("no number") };
        socket.set_option(knob, Number(40_000.0)).unwrap();
        let Number(large) = socket.option(knob).unwrap() else { panic!("no number") };
        assert!(small >= 20_000.0 && large >= small + 20_000.0, "{small} {large}");
    }
}

fn lacks(socket: &dyn Options, knobs: &[Knob]) {
    for knob in knobs {
        let value = if *knob == Ttl { Number(1.0) } else { Flag(false) };
        let set = socket.set_option(*knob, value);
        assert!(matches!(set, Err(OptionError::NotSupported)), "{}", knob.name());
        let got = socket.option(*knob);
        assert!(matches!(got, Err(OptionError::NotSupported)), "{}", knob.name());
    }
}

#[tokio::test]
async fn tcp_has_all_but_broadcast() {
    for host in ["127.0.0.1", "[::1]"] {
        let (client, _server) = tcp(host).await;
        keeps(&client, NoDelay, &[Flag(true), Flag(false)]);
        keeps(&client, KeepAlive, &[Flag(true), Flag(false)]);
        keeps(&client, Ttl, &[Number(1.0), Number(255.0)]);
        keeps(&client, Linger, &[Number(0.0), Number(65535.0), Flag(false)]);
        has_buffers(&client);
        lacks(&client, &[Broadcast]);
    }
}

#[tokio::test]
async fn a_hop_limit_is_that_of_the_family() {
    let (v4, _server) = tcp("127.0.0.1").await;
    v4.set_option(Ttl, Number(7.0)).unwrap();
    assert_eq!(SockRef::from(&v4).ttl_v4().unwrap(), 7);
    let (v6, _server) = tcp("[::1]").await;
    v6.set_option(Ttl, Number(7.0)).unwrap();
    assert_eq!(SockRef::from(&v6).unicast_hops_v6().unwrap(), 7);
}

#[tokio::test]
async fn udp_has_broadcast_ttl_and_buffers() {
    for host in ["127.0.0.1", "[::1]"] {
        let socket = UdpSocket::bind(format!("{host}:0")).await.unwrap();
        keeps(&socket, Broadcast, &[Flag(true), Flag(false)]);
        keeps(&socket, Ttl, &[Number(1.0), Number(64.0)]);
        has_buffers(&socket);
        lacks(&socket, &[NoDelay, KeepAlive, Linger]);
    }
}

#[tokio::test]
async fn unix_streams_have_linger_and_buffers() {
    let (socket, _peer) = UnixStream::pair().unwrap();
    keeps(&socket, Linger, &[Number(3.0), Flag(false)]);
    has_buffers(&socket);
    lacks(&socket, &[NoDelay, KeepAlive, Ttl, Broadcast]);
}

#[tokio::test]
async fn unix_datagrams_have_buffers() {
    let (socket, _peer) = UnixDatagram::pair().unwrap();
    has_buffers(&socket);
    lacks(&socket, &[NoDelay, KeepAlive, Ttl, Broadcast, Linger]);
}

#[tokio::test]
async fn a_wrong_value_says_what_was_expected_on_any_socket() {
    let (tcp, _server) = tcp("127.0.0.1").await;
    let (unixgram, _peer) = UnixDatagram::pair().unwrap();
    let (duplex, _other) = tokio::io::duplex(8);
    let sockets: [&dyn Options; 3] = [&tcp, &unixgram, &duplex];
    let nonsense = [-1.0, 0.5, f64::NAN, f64::INFINITY, -f64::INFINITY, 1e300, 4_294_967_296.0];
    for socket in sockets {
        for knob in Knob::ALL {
            let refused = |value: KnobValue| match socket.set_option(knob, value) {
                Err(OptionError::BadValue(expected)) => assert_eq!(expected, knob.expected()),
                other => panic!("{} {value:?}: {other:?}", knob.name()),
            };
            let beyond: &[f64] = match knob {
                NoDelay | KeepAlive | Broadcast => &[0.0, 1.0],
                Ttl => &[0.0, 256.0],
                RecvBuffer | SendBuffer => &[0.0, 2_147_483_648.0],
                Linger => &[65536.0],
            };
            for number in nonsense.iter().chain(beyond) {
                refused(Number(*number));
            }
            if !matches!(knob, NoDelay | KeepAlive | Broadcast) {
                refused(Flag(true));
            }
        }
    }
}

#[test]
fn every_option_has_a_name_of_its_own() {
    for knob in Knob::ALL {
        assert_eq!(Knob::from_name(knob.name()), Some(knob));
    }
    assert_eq!(Knob::from_name("no_delay"), None);
    assert_eq!(Knob::from_name(""), None);
}

#[tokio::test]
async fn a_linger_does_not_hold_the_worker_up() {
    let (client, _server) = tcp("127.0.0.1").await;
    client.set_option(Linger, Number(20.0)).unwrap();
    // The peer does not read: as much as there is room for stays behind.
    client.writable().await.unwrap();
    while client.try_write(&[0; 4096]).is_ok() {}
    client.close_without_waiting();
    let began = Instant::now();
    drop(client);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());

    let (client, _server) = tcp("127.0.0.1").await;
    client.set_option(Linger, Number(0.0)).unwrap();
    client.close_without_waiting();
    assert_eq!(client.option(Linger).unwrap(), Number(0.0), "that is a reset, and stays");
}
