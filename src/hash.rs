//! Hashes and checksums, by the names that people know them by. Pure: from bytes, in pieces of any
//! size, to bytes or numbers.

use std::path::Path;

use crc::{CRC_16_ARC, CRC_16_IBM_3740, CRC_16_MODBUS, CRC_16_XMODEM, CRC_32_ISO_HDLC, Crc, Table};
use hmac::digest::KeyInit;
use hmac::{EagerHash, Hmac, Mac as _};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// FIPS 180-4, 32 bytes.
    Sha256,
    /// FIPS 180-4, 20 bytes; broken, for old protocols only.
    Sha1,
    /// RFC 1321, 16 bytes; broken, for old protocols only.
    Md5,
}

impl Algorithm {
    /// The one that scripts call `name`.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"sha256" => Some(Self::Sha256),
            b"sha1" => Some(Self::Sha1),
            b"md5" => Some(Self::Md5),
            _ => None,
        }
    }

    /// The hash of `data`.
    #[must_use]
    pub fn digest<'a>(self, data: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        match self {
            Self::Sha256 => digest::<Sha256>(data),
            Self::Sha1 => digest::<Sha1>(data),
            Self::Md5 => digest::<Md5>(data),
        }
    }

    /// The keyed hash of `data`, RFC 2104.
    #[must_use]
    pub fn hmac<'a>(self, key: &[u8], data: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        match self {
            Self::Sha256 => hmac::<Sha256>(key, data),
            Self::Sha1 => hmac::<Sha1>(key, data),
            Self::Md5 => hmac::<Md5>(key, data),
        }
    }
}

fn digest<'a, D: Digest>(data: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut hash = D::new();
    data.for_each(|piece| hash.update(piece));
    hash.finalize().to_vec()
}

fn hmac<'a, D: EagerHash>(key: &[u8], data: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "an HMAC takes keys of every length")]
    let mut mac = <Hmac<D> as KeyInit>::new_from_slice(key).expect("any key will do");
    data.for_each(|piece| mac.update(piece));
    mac.finalize().into_bytes().to_vec()
}

/// CRC-32 as in zip, gzip, PNG and Ethernet.
#[must_use]
pub fn crc32<'a>(data: impl Iterator<Item = &'a [u8]>) -> u32 {
    static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);
    let mut digest = CRC.digest();
    data.for_each(|piece| digest.update(piece));
    digest.finalize()
}

/// One of the sixteen-bit checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crc16 {
    /// Modbus; sent low byte first.
    Modbus,
    /// CCITT with the initial value 0xFFFF, "CCITT-FALSE".
    Ccitt,
    /// XMODEM: CCITT's polynomial with the initial value 0.
    Xmodem,
    /// ARC, "CRC-16/IBM".
    Arc,
}

impl Crc16 {
    /// The one that scripts call `name`.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"modbus" => Some(Self::Modbus),
            b"ccitt" => Some(Self::Ccitt),
            b"xmodem" => Some(Self::Xmodem),
            b"arc" => Some(Self::Arc),
            _ => None,
        }
    }

    /// The checksum of `data`.
    #[must_use]
    pub fn checksum<'a>(self, data: impl Iterator<Item = &'a [u8]>) -> u16 {
        static MODBUS: Crc<u16> = Crc::<u16>::new(&CRC_16_MODBUS);
        static CCITT: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_3740);
        static XMODEM: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);
        static ARC: Crc<u16> = Crc::<u16>::new(&CRC_16_ARC);
        let crc = match self {
            Self::Modbus => &MODBUS,
            Self::Ccitt => &CCITT,
            Self::Xmodem => &XMODEM,
            Self::Arc => &ARC,
        };
        let mut digest = crc.digest();
        data.for_each(|piece| digest.update(piece));
        digest.finalize()
    }
}

/// The SHA-256 of a row of fields: each is hashed with its length, so that no two rows hash the
/// same bytes.
#[derive(Default)]
pub struct Fields(Sha256);

impl Fields {
    /// One more field.
    pub fn field(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Two more fields: what a path is for, and the path.
    pub fn path(&mut self, kind: &str, path: &Path) {
        self.field(kind.as_bytes());
        self.field(path.as_os_str().as_encoded_bytes());
    }

    /// The hash of all fields.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(data: &[u8]) -> impl Iterator<Item = &[u8]> {
        std::iter::once(data)
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    #[test]
    fn hashes_are_those_of_the_standards() {
        for (algorithm, of_nothing, of_abc) in [
            (
                Algorithm::Sha256,
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                Algorithm::Sha1,
                "da39a3ee5e6b4b0d3255bfef95601890afd80709",
                "a9993e364706816aba3e25717850c26c9cd0d89d",
            ),
            (
                Algorithm::Md5,
                "d41d8cd98f00b204e9800998ecf8427e",
                "900150983cd24fb0d6963f7d28e17f72",
            ),
        ] {
            assert_eq!(hex(&algorithm.digest(once(b""))), of_nothing);
            assert_eq!(hex(&algorithm.digest(once(b"abc"))), of_abc);
            assert_eq!(hex(&algorithm.digest(b"abc".chunks(1))), of_abc);
        }
    }

    /// Test case 2 of RFC 2202 and RFC 4231, and one with a key that is longer than a block.
    #[test]
    fn keyed_hashes_are_those_of_the_standards() {
        let data = b"what do ya want for nothing?";
        for (algorithm, mac) in [
            (Algorithm::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (Algorithm::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (Algorithm::Md5, "750c783e6ab0b503eaa86e310a5db738"),
        ] {
            assert_eq!(hex(&algorithm.hmac(b"Jefe", data.chunks(5))), mac);
        }
        let data = b"Test Using Larger Than Block-Size Key - Hash Key First";
        let mac = Algorithm::Sha256.hmac(&[0xaa; 131], once(data));
        assert_eq!(hex(&mac), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    /// The check values of the catalogue at reveng.sourceforge.io/crc-catalogue.
    #[test]
    fn checksums_are_those_of_the_catalogue() {
        let data = || b"123456789".chunks(2);
        assert_eq!(crc32(data()), 0xcbf4_3926);
        assert_eq!(Crc16::Modbus.checksum(data()), 0x4b37);
        assert_eq!(Crc16::Ccitt.checksum(data()), 0x29b1);
        assert_eq!(Crc16::Xmodem.checksum(data()), 0x31c3);
        assert_eq!(Crc16::Arc.checksum(data()), 0xbb3d);
        assert_eq!(crc32(once(b"")), 0);
        assert_eq!(Crc16::Modbus.checksum(once(b"")), 0xffff);
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let hash = |fields: &[&str]| {
            let mut hash = Fields::default();
            for field in fields {
                hash.field(field.as_bytes());
            }
            hash.finish()
        };
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["a", ""]), hash(&["a"]));
    }
}
