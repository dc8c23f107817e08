//! Servers in other environments, as their communities would write them. Those that are on this
//! machine join the comparison; they are in `tests/bench/peers`.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::process::Command;

use crate::process::{Server, server_core, tempdir};
use crate::workloads::Need;

/// A server in another environment.
pub struct Peer {
    /// What it is called in tables.
    pub name: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    /// What it is made of: name and text. `PORT` in a text is a free port.
    files: &'static [(&'static str, &'static str)],
    /// What it can do.
    pub able: &'static [Need],
    /// Whether it says where it listens; else it is on `PORT`.
    announces: bool,
    /// What a person installs to have it.
    pub from: &'static str,
}

/// What an echo of everything can do.
pub const ALL: &[Need] = &[Need::Lines, Need::Bytes, Need::Datagrams];

/// Uppercase echo.
pub const ECHO: [Peer; 7] = [
    Peer {
        name: "luv",
        program: "luajit",
        arguments: &["echo.lua"],
        files: &[("echo.lua", include_str!("peers/echo.lua"))],
        able: ALL,
        announces: true,
        from: "LuaJIT with luv (Debian: luajit lua-luv)",
    },
    Peer {
        name: "uvloop",
        program: "python3",
        arguments: &["echo.py"],
        files: &[("echo.py", include_str!("peers/echo.py"))],
        able: ALL,
        announces: true,
        from: "Python with uvloop (pip: uvloop)",
    },
    Peer {
        name: "Node",
        program: "node",
        arguments: &["echo.mjs"],
        files: &[("echo.mjs", include_str!("peers/echo.mjs"))],
        able: ALL,
        announces: true,
        from: "Node (Debian: nodejs)",
    },
    Peer {
        name: "Bun",
        program: "bun",
        arguments: &["echo.bun.mjs"],
        files: &[("echo.bun.mjs", include_str!("peers/echo.bun.mjs"))],
        able: ALL,
        announces: true,
        from: "Bun (npm: bun)",
    },
    Peer {
        name: "C",
        program: "sh",
        arguments: &["-c", "cc -O3 -o echo echo.c && exec ./echo"],
        files: &[("echo.c", include_str!("peers/echo.c"))],
        able: ALL,
        announces: true,
        from: "C with epoll (Debian: gcc libc6-dev)",
    },
    // It has no call that reads whatever is there.
    Peer {
        name: "HAProxy",
        program: "haproxy",
        arguments: &["-db", "-f", "haproxy.cfg"],
        files: &[
            ("haproxy.cfg", include_str!("peers/haproxy.cfg")),
            ("haproxy.lua", include_str!("peers/haproxy.lua")),
        ],
        able: &[Need::Lines],
        announces: false,
        from: "HAProxy with Lua (Debian: haproxy)",
    },
    Peer {
        name: "njs",
        program: "nginx",
        arguments: &["-p", ".", "-c", "nginx.conf", "-e", "stderr"],
        files: &[
            ("nginx.conf", include_str!("peers/nginx.conf")),
            ("nginx.js", include_str!("peers/nginx.js")),
        ],
        able: &[Need::Lines, Need::Bytes],
        announces: false,
        from: "nginx with njs (Debian: nginx libnginx-mod-stream libnginx-mod-stream-js)",
    },
];

impl Peer {
    /// Starts it; an error where it is not on this machine.
    pub fn start(&self) -> io::Result<Server> {
        let folder = tempdir();
        // Nobody else is expected to take the port in between.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        for (name, text) in self.files {
            let text = text.replace("PORT", &address.port().to_string());
            fs::write(folder.path().join(name), text)?;
        }
        let mut command = Command::new(self.program);
        command.args(self.arguments);
        if self.announces {
            Server::announced(&mut command, folder, &server_core())
        } else {
            Server::silent(&mut command, folder, address)
        }
    }
}

/// A handler of `tests/bench/handlers` in `LuaJIT`, where that is there with what it needs.
pub fn handler(text: &str) -> Option<Server> {
    let folder = tempdir();
    fs::write(folder.path().join("host.lua"), include_str!("peers/handlers.lua")).ok()?;
    fs::write(folder.path().join("handler.lua"), text).ok()?;
    let mut command = Command::new("luajit");
    let command = command.args(["host.lua", "handler.lua"]);
    Server::announced(command, folder, &server_core()).ok()
}
