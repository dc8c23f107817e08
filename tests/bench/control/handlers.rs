//! What the handlers of `tests/bench/handlers` do, natively.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The size of a message that a checksum is made of.
const BLOCK: usize = 1024;

/// A line into the replies, in upper case.
pub fn upper(line: &[u8], replies: &mut Vec<u8>) {
    let begin = replies.len();
    replies.extend_from_slice(line);
    replies[begin..].make_ascii_uppercase();
}

/// `SET key value`, `GET key`, `DEL key`.
pub fn key_value(values: &mut HashMap<Vec<u8>, Vec<u8>>, line: &[u8], replies: &mut Vec<u8>) {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let (command, key) = (words.next(), words.next().unwrap_or_default());
    let known = |known: bool| if known { b"OK".as_slice() } else { b"NONE" };
    replies.extend_from_slice(match command {
        Some(b"SET") => {
            values.insert(key.into(), words.next().unwrap_or_default().into());
            b"OK"
        }
        Some(b"GET") => values.get(key).map_or(b"NONE", Vec::as_slice),
        Some(b"DEL") => known(values.remove(key).is_some()),
        _ => b"ERROR",
    });
}

/// Counts up a field of an object.
pub fn json(line: &[u8], replies: &mut Vec<u8>) {
    let Ok(mut request) = serde_json::from_slice::<Value>(line) else {
        return replies.extend_from_slice(b"ERROR");
    };
    let count = request["count"].as_i64().unwrap_or_default();
    request["count"] = (count + 1).into();
    // A vector takes everything.
    let _ = serde_json::to_writer(replies, &request);
}

/// Answers blocks by their checksum in hexadecimal digits.
pub async fn checksums(mut stream: TcpStream, sum: impl Fn(&[u8]) -> u32) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut block = vec![0; BLOCK];
    let mut reply = Vec::new();
    loop {
        stream.read_exact(&mut block).await?;
        reply.clear();
        write!(reply, "{:08x}", sum(&block))?;
        stream.write_all(&reply).await?;
    }
}

/// Adler-32, a byte at a time.
pub fn adler(block: &[u8]) -> u32 {
    let step = |(a, b): (u32, u32), byte: &u8| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    };
    let (a, b) = block.iter().fold((1, 0), step);
    b << 16 | a
}

/// CRC-32 as in ZIP.
pub fn crc32(block: &[u8]) -> u32 {
    const CRC32: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    CRC32.checksum(block)
}
