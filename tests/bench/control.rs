//! The native control: what a person would write with tokio alone. One thread, a task and a buffer
//! of 64 KiB a connection, `read`, uppercase in place, `write_all`.

use std::io::{self, Write};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime;

const BUFFER: usize = 64 * 1024;

/// Serves TCP and UDP on free ports of loopback until it is killed; ready lines as scriptsock's.
pub fn serve() {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        announce(listener.local_addr().unwrap(), socket.local_addr().unwrap()).unwrap();
        tokio::spawn(answer_datagrams(socket));
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer_stream(stream));
            }
        }
    });
}

fn announce(tcp: SocketAddr, udp: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "tcp://{tcp}\nudp://{udp}")?;
    out.flush()
}

async fn answer_stream(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let message = &mut buffer[..count];
        message.make_ascii_uppercase();
        stream.write_all(message).await?;
    }
}

async fn answer_datagrams(socket: UdpSocket) {
    let mut buffer = vec![0; BUFFER];
    loop {
        // An error is about one peer, whose port is closed.
        let Ok((count, peer)) = socket.recv_from(&mut buffer).await else { continue };
        let message = &mut buffer[..count];
        message.make_ascii_uppercase();
        let _ = socket.send_to(message, peer).await;
    }
}
