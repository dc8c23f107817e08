//! `hex`, `base64`, `hash` and `random`, by the vectors of their standards.

use crate::support::Server;
use crate::table::expect;
use crate::talk::ask;

#[test]
fn hex_is_written_in_lower_case_and_read_in_any() {
    expect(&[
        ("hex.encode('')", ""),
        ("hex.encode('\\0\\1\\xfe\\xff az')", "0001feff20617a"),
        ("hex.decode('') == ''", "true"),
        ("hex.decode('0001fEfF20617A') == '\\0\\1\\xfe\\xff az'", "true"),
        ("hex.decode('48 65 6c\\n6C 6f')", "Hello"),
        ("hex.decode('4')", "nil,an odd number of digits"),
        ("hex.decode('4g')", "nil,no hexadecimal digit at byte 2"),
        ("hex.decode('0x48')", "nil,no hexadecimal digit at byte 2"),
        ("#hex.encode(string.rep('x', 1000000))", "2000000"),
        ("hex.decode(hex.encode(string.rep('x\\0', 70000))) == string.rep('x\\0', 70000)", "true"),
    ]);
}

#[test]
fn a_dump_has_offsets_bytes_and_text() {
    let row = "00000000  48 65 6c 6c 6f 0d 0a                              |Hello..|";
    expect(&[
        ("hex.dump('Hello\\r\\n')", row),
        ("hex.dump('')", ""),
        ("select(2, hex.dump(string.rep('x', 33)):gsub('\\n', ''))", "2"),
        (
            "#hex.dump(string.rep('x', 65520)), select(2, hex.dump(string.rep('x', 65520)):gsub('\\n', ''))",
            "323504,4094",
        ),
        ("hex.dump(string.rep('x', 70000)):sub(-17)", "… (70000 bytes)"),
    ]);
}

/// RFC 4648, section 10.
#[test]
fn base64_is_that_of_the_standard() {
    expect(&[
        ("base64.encode('')", ""),
        ("base64.encode('f')", "Zg=="),
        ("base64.encode('fo')", "Zm8="),
        ("base64.encode('foo')", "Zm9v"),
        ("base64.encode('foobar')", "Zm9vYmFy"),
        ("base64.encode('\\xfb\\xff')", "+/8="),
        ("base64.decode('Zm9vYmE=')", "fooba"),
        ("base64.decode('Zm9vYmE')", "fooba"),
        ("base64.decode('Zm9v\\r\\nYmFy\\r\\n')", "foobar"),
        ("base64.decode('-_8=')", "nil,no character of base64 at byte 1"),
        ("base64.decode('Z')", "nil,cut short at byte 1"),
        ("base64.decode('Zg=')", "nil,1 padding characters where 2 belong"),
        (
            "base64.decode(base64.encode(string.rep('\\0\\xff', 5001))) == string.rep('\\0\\xff', 5001)",
            "true",
        ),
    ]);
}

#[test]
fn hashes_are_those_of_the_standards() {
    expect(&[
        (
            "hex.encode(hash.sha256('abc'))",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        ("hex.encode(hash.sha1('abc'))", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("hex.encode(hash.md5('abc'))", "900150983cd24fb0d6963f7d28e17f72"),
        ("hex.encode(hash.md5(''))", "d41d8cd98f00b204e9800998ecf8427e"),
        ("`{#hash.sha256('')} {#hash.sha1('')} {#hash.md5('')}`", "32 20 16"),
        // A million times "a", FIPS 180's third example.
        (
            "hex.encode(hash.sha1(string.rep('a', 1000000)))",
            "34aa973cd4c4daa4f61eeb2bdbad27316534016f",
        ),
    ]);
}

/// RFC 4231 and RFC 2202, test case 2.
#[test]
fn keyed_hashes_are_those_of_the_standards() {
    expect(&[
        (
            "hex.encode(hash.hmac('sha256', 'Jefe', 'what do ya want for nothing?'))",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            "hex.encode(hash.hmac('sha1', 'Jefe', 'what do ya want for nothing?'))",
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
        ),
        (
            "hex.encode(hash.hmac('md5', 'Jefe', 'what do ya want for nothing?'))",
            "750c783e6ab0b503eaa86e310a5db738",
        ),
    ]);
}

/// The check values of the catalogue at reveng.sourceforge.io/crc-catalogue.
#[test]
fn checksums_are_those_of_the_catalogue() {
    expect(&[
        ("hash.crc32('123456789') == 0xcbf43926", "true"),
        ("hash.crc32('')", "0"),
        ("hash.crc16('123456789') == 0x4b37", "true"),
        ("hash.crc16('123456789', 'modbus') == 0x4b37", "true"),
        ("hash.crc16('123456789', 'ccitt') == 0x29b1", "true"),
        ("hash.crc16('123456789', 'xmodem') == 0x31c3", "true"),
        ("hash.crc16('123456789', 'arc') == 0xbb3d", "true"),
    ]);
}

#[test]
fn random_bytes_differ() {
    expect(&[
        ("#random.bytes(0)", "0"),
        ("#random.bytes(1)", "1"),
        ("#random.bytes(1048576)", "1048576"),
        ("random.bytes(16) == random.bytes(16)", "false"),
        ("#random.bytes(-0)", "0"),
    ]);
}

/// A Modbus frame, as a script of this server would answer it.
#[test]
fn the_parts_fit_together() {
    let script = "
        local frame = hex.decode('01 03 00 00 00 0A')
        return function()
          return hex.encode(frame .. string.pack('<I2', hash.crc16(frame))) .. '\\n'
        end\n";
    let server = Server::builder().script(script).start();
    assert_eq!(ask(&mut server.tcp(), "x"), "01030000000ac5cd");
}

#[test]
fn what_finds_no_memory_fails_its_call_alone() {
    for expression in [
        "hex.encode(string.rep('x', 20 * 2^20))",
        "base64.encode(string.rep('x', 30 * 2^20))",
        "json.decode('[' .. string.rep('[],', 2^20) .. '[]]')",
        "json.encode(string.rep('x', 15 * 2^20)) .. json.encode(string.rep('y', 15 * 2^20))",
    ] {
        let script = format!(
            "return function(msg)
               if msg == 'fill' then pcall(function() return {expression} end) end
               return 'fine\\n'
             end\n"
        );
        let server =
            Server::builder().script(&script).args(["--memory", "32MiB", "--budget", "5s"]).start();
        let mut client = server.tcp();
        client.send(b"fill");
        server.wait_log("not enough memory");
        assert_eq!(ask(&mut client, "x"), "fine", "{expression}");
        server.assert_no_log("rebuilt");
    }
}

/// What takes long is ended by the budget as a loop would be.
#[test]
fn what_takes_long_is_under_the_budget() {
    let ended = [
        "hash.sha256(string.rep('x', 100 * 2^20))",
        "hash.hmac('md5', 'k', string.rep('x', 100 * 2^20))",
        "hash.crc16(string.rep('x', 100 * 2^20))",
        "hex.encode(string.rep('x', 60 * 2^20)) .. base64.encode(string.rep('x', 60 * 2^20))",
        "json.encode(bomb)",
        "json.decode('[' .. string.rep('[],', 4 * 2^20) .. '[]]')",
    ];
    for expression in ended {
        let script = format!(
            "local bomb = {{}}
             for _ = 1, 100 do bomb = {{bomb, bomb}} end
             return function(msg)
               if msg == 'long' then
                 pcall(function() return {expression} end)
                 server.state.went_on = true
               end
               return tostring(server.state.went_on) .. '\\n'
             end\n"
        );
        let server = Server::builder()
            .script(&script)
            .args(["--memory", "1GiB", "--budget", "10ms"])
            .start();
        let mut client = server.tcp();
        client.send(b"long");
        let line = server.wait_log("the call was ended: it ran for");
        let time = line.split("it ran for ").nth(1).and_then(|rest| rest.split(' ').next());
        // The bomb alone would take a second.
        assert!(time.unwrap().parse::<u64>().unwrap() < 500, "{expression}: {line}");
        assert_eq!(ask(&mut client, "x"), "nil", "{expression}");
    }
}
