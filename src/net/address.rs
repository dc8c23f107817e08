//! Addresses as a person writes them: `[NAME=]URL`. Pure; `bind` resolves and opens them.

use std::fmt::{self, Display, Formatter};
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::text::nearest;

/// The schemes there are, with the form of each.
const SCHEMES: [(&str, &str); 4] = [
    ("tcp", "tcp://HOST:PORT"),
    ("udp", "udp://HOST:PORT"),
    ("unix", "unix://PATH"),
    ("unixgram", "unixgram://PATH"),
];

/// One listener that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// What the handler sees as `conn.listener`, in place of the URL.
    pub name: Option<String>,
    /// Where to listen.
    pub address: Address,
}

/// Where a socket is, or shall be. A host is a name or an IP address, without brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `tcp://HOST:PORT`
    Tcp {
        /// Name or IP address.
        host: String,
        /// 0 lets the system choose.
        port: u16,
    },
    /// `udp://HOST:PORT`
    Udp {
        /// Name or IP address.
        host: String,
        /// 0 lets the system choose.
        port: u16,
    },
    /// `unix://PATH`, a stream socket.
    Unix(PathBuf),
    /// `unixgram://PATH`, a datagram socket.
    Unixgram(PathBuf),
}

/// A text that is no address; on one line it names the text, what is wrong and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{value}': {problem}")]
pub struct AddressError {
    /// The text.
    pub value: String,
    /// What is wrong with it, what was expected, and the nearest right spelling.
    pub problem: String,
}

impl Listen {
    /// Reads `[NAME=]URL`. A bare port is TCP and UDP on loopback, `none` is no listener at all.
    ///
    /// # Errors
    /// When the text is none of these.
    pub fn parse(text: &str) -> Result<Vec<Listen>, AddressError> {
        let fail = |problem: String| AddressError { value: text.to_owned(), problem };
        if text == "none" {
            return Ok(Vec::new());
        }
        let (name, url) = split_name(text).map_err(fail)?;
        let addresses = if !url.is_empty() && url.bytes().all(|b| b.is_ascii_digit()) {
            Address::both(parse_port(url).map_err(fail)?).into()
        } else {
            vec![parse_url(url).map_err(fail)?]
        };
        let name = name.map(str::to_owned);
        Ok(addresses.into_iter().map(|address| Listen { name: name.clone(), address }).collect())
    }
}

impl Display for Listen {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name}={}", self.address),
            None => self.address.fmt(f),
        }
    }
}

impl Address {
    /// TCP and UDP on the loopback address and one port.
    #[must_use]
    pub fn both(port: u16) -> [Address; 2] {
        let host = || "127.0.0.1".to_owned();
        [Address::Tcp { host: host(), port }, Address::Udp { host: host(), port }]
    }

    /// Reads what a client is to connect to: a URL, or `HOST:PORT` or a port of loopback, which are
    /// TCP.
    ///
    /// # Errors
    /// When the text is none of these.
    pub fn of_server(text: &str) -> Result<Self, AddressError> {
        let fail = |problem: String| AddressError { value: text.to_owned(), problem };
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            let port = parse_port(text).map_err(fail)?;
            return Ok(Address::Tcp { host: "127.0.0.1".to_owned(), port });
        }
        if text.contains("://") {
            return text.parse();
        }
        match host_port("tcp", text) {
            Ok((host, port)) => Ok(Address::Tcp { host, port }),
            Err(_) => Err(fail(without_scheme(text, "HOST:PORT or a port"))),
        }
    }

    /// Its port is 0: the system chooses one, another for each listener.
    #[must_use]
    pub fn takes_any_port(&self) -> bool {
        matches!(self, Address::Tcp { port: 0, .. } | Address::Udp { port: 0, .. })
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(url: &str) -> Result<Self, AddressError> {
        parse_url(url).map_err(|problem| AddressError { value: url.to_owned(), problem })
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Address::Tcp { host, port } => ("tcp", host, port),
            Address::Udp { host, port } => ("udp", host, port),
            Address::Unix(path) => return write!(f, "unix://{}", path.display()),
            Address::Unixgram(path) => return write!(f, "unixgram://{}", path.display()),
        };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

/// Splits `NAME=` off. A `=` behind the scheme belongs to the path.
fn split_name(text: &str) -> Result<(Option<&str>, &str), String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match text.split_once('=') {
        Some((name, url)) if !name.contains(':') && !name.contains('/') => {
            if name.is_empty() || !name.chars().all(is_name) {
                return Err(format!(
                    "'{name}' is no name for a listener, expected letters, digits, _ and -"
                ));
            }
            Ok((Some(name), url))
        }
        _ => Ok((None, text)),
    }
}

fn parse_url(url: &str) -> Result<Address, String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(without_scheme(url, "a port or none"));
    };
    match scheme {
        "tcp" => host_port(scheme, rest).map(|(host, port)| Address::Tcp { host, port }),
        "udp" => host_port(scheme, rest).map(|(host, port)| Address::Udp { host, port }),
        "unix" => path(scheme, rest).map(Address::Unix),
        "unixgram" => path(scheme, rest).map(Address::Unixgram),
        _ => Err(unknown_scheme(scheme)),
    }
}

fn unknown_scheme(scheme: &str) -> String {
    let known = SCHEMES.iter().map(|(known, _)| *known);
    let hint = match nearest(&scheme.to_lowercase(), known) {
        Some(known) => format!("; did you mean {known}://"),
        None => String::new(),
    };
    format!("unknown scheme {scheme}://, expected {}{hint}", forms())
}

/// What to say about a text without `://`, where `others` are taken too; an address that lacks only
/// its scheme gets it.
fn without_scheme(text: &str, others: &str) -> String {
    let hint = match text.rsplit_once(':') {
        Some(("", port)) if parse_port(port).is_ok() => format!("; did you mean {port}"),
        Some(_) if host_port("tcp", text).is_ok() => format!("; did you mean tcp://{text}"),
        _ if text.contains('/') => format!("; did you mean unix://{text}"),
        _ => String::new(),
    };
    format!("expected {}, {others}{hint}", forms())
}

fn forms() -> String {
    SCHEMES.map(|(_, form)| form).join(", ")
}

fn path(scheme: &str, path: &str) -> Result<PathBuf, String> {
    if path.is_empty() || path.contains('\0') || path.ends_with('/') {
        return Err(format!("expected a file, {scheme}:///run/some.sock or {scheme}://some.sock"));
    }
    Ok(PathBuf::from(path))
}

fn host_port(scheme: &str, rest: &str) -> Result<(String, u16), String> {
    let expected =
        || format!("expected {scheme}://HOST:PORT, for example {scheme}://127.0.0.1:7890");
    let (host, port) = rest.rsplit_once(':').ok_or_else(expected)?;
    if let Some(host) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let (address, _zone) = host.split_once('%').unwrap_or((host, ""));
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(format!("'{host}' is no IPv6 address, expected one as in [::1]"));
        }
        return Ok((host.to_owned(), parse_port(port)?));
    }
    if rest.parse::<Ipv6Addr>().is_ok() || host.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("an IPv6 address needs brackets, {scheme}://[::1]:7890"));
    }
    let is_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.is_empty() || !host.chars().all(is_host) {
        return Err(expected());
    }
    Ok((host.to_owned(), parse_port(port)?))
}

fn parse_port(text: &str) -> Result<u16, String> {
    // `u16` itself would also take `+80`.
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits => Ok(port),
        _ => Err(format!("'{text}' is no port, expected a number from 0 to 65535")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.to_owned(), port }
    }

    fn one(text: &str) -> Listen {
        let mut listens = Listen::parse(text).unwrap();
        assert_eq!(listens.len(), 1, "{text}");
        listens.remove(0)
    }

    fn problem(text: &str) -> String {
        Listen::parse(text).unwrap_err().problem
    }

    #[test]
    fn urls_are_read() {
        let udp = Address::Udp { host: "localhost".to_owned(), port: 53 };
        assert_eq!(one("tcp://127.0.0.1:7890").address, tcp("127.0.0.1", 7890));
        assert_eq!(one("tcp://[::1]:0").address, tcp("::1", 0));
        assert_eq!(one("tcp://[fe80::1%lo]:80").address, tcp("fe80::1%lo", 80));
        assert_eq!(one("udp://localhost:53").address, udp);
        assert_eq!(one("unix:///run/x.sock").address, Address::Unix("/run/x.sock".into()));
        assert_eq!(one("unix://rel/path").address, Address::Unix("rel/path".into()));
        assert_eq!(one("unixgram:///a b").address, Address::Unixgram("/a b".into()));
    }

    #[test]
    fn display_gives_back_what_was_written() {
        for text in [
            "tcp://127.0.0.1:7890",
            "tcp://[::1]:0",
            "udp://some-host.example:53",
            "unix:///run/x.sock",
            "unix://rel/path",
            "unixgram:///run/a=b",
            "web-1=tcp://0.0.0.0:80",
        ] {
            assert_eq!(one(text).to_string(), text);
        }
    }

    #[test]
    fn a_bare_port_is_tcp_and_udp_on_loopback() {
        let shown = |text| Listen::parse(text).unwrap().iter().map(Listen::to_string).collect();
        let both: Vec<String> = shown("8080");
        assert_eq!(both, ["tcp://127.0.0.1:8080", "udp://127.0.0.1:8080"]);
        let both: Vec<String> = shown("echo=8080");
        assert_eq!(both, ["echo=tcp://127.0.0.1:8080", "echo=udp://127.0.0.1:8080"]);
        assert!(problem("65536").contains("'65536' is no port, expected a number from 0 to 65535"));
    }

    #[test]
    fn none_is_no_listener() {
        assert_eq!(Listen::parse("none"), Ok(Vec::new()));
    }

    #[test]
    fn a_name_stands_before_the_url_and_nowhere_else() {
        assert_eq!(one("web_1=tcp://[::1]:80").name.as_deref(), Some("web_1"));
        assert_eq!(one("unix:///run/a=b").name, None);
        let both = one("x=unix:///run/a=b");
        assert_eq!(both.name.as_deref(), Some("x"));
        assert_eq!(both.address, Address::Unix("/run/a=b".into()));
        assert!(problem("my web=tcp://[::1]:80").contains("'my web' is no name"));
        assert!(problem("=tcp://[::1]:80").contains("'' is no name"));
    }

    #[test]
    fn a_wrong_scheme_gets_the_nearest_right_one() {
        let error = Listen::parse("tpc://127.0.0.1:1").unwrap_err().to_string();
        assert_eq!(
            error,
            "'tpc://127.0.0.1:1': unknown scheme tpc://, expected tcp://HOST:PORT, \
             udp://HOST:PORT, unix://PATH, unixgram://PATH; did you mean tcp://"
        );
        assert!(problem("UDP://x:1").ends_with("did you mean udp://"));
        assert!(problem("unixgramm://x").ends_with("did you mean unixgram://"));
        assert!(problem("gopher://x:70").ends_with("unixgram://PATH"));
    }

    #[test]
    fn a_missing_scheme_is_proposed() {
        assert!(problem("127.0.0.1:80").ends_with("did you mean tcp://127.0.0.1:80"));
        assert!(problem(":8080").ends_with("did you mean 8080"));
        assert!(problem("/run/x.sock").ends_with("did you mean unix:///run/x.sock"));
        assert!(problem("hello").ends_with("a port or none"));
        assert!(problem("").ends_with("a port or none"));
    }

    #[test]
    fn bad_hosts_and_ports_are_told_apart() {
        assert!(problem("tcp://127.0.0.1:70000").starts_with("'70000' is no port"));
        assert!(problem("tcp://127.0.0.1:+80").starts_with("'+80' is no port"));
        assert!(problem("tcp://127.0.0.1:").starts_with("'' is no port"));
        assert!(problem("tcp://[::g]:80").starts_with("'::g' is no IPv6 address"));
        assert!(problem("tcp://::1:80").starts_with("an IPv6 address needs brackets"));
        assert!(problem("tcp://[::1]").starts_with("expected tcp://HOST:PORT"));
        assert!(problem("udp://:53").starts_with("expected udp://HOST:PORT"));
        assert!(problem("tcp://127.0.0.1:80/x").starts_with("'80/x' is no port"));
        assert!(problem("tcp://user@host:80").starts_with("expected tcp://HOST:PORT"));
    }

    #[test]
    fn a_unix_url_needs_a_file() {
        assert!(problem("unix://").starts_with("expected a file, unix:///run/some.sock"));
        assert!(problem("unixgram:///tmp/").starts_with("expected a file, unixgram://"));
    }

    #[test]
    fn a_server_may_be_a_port_or_a_host_and_port() {
        let server = |text| Address::of_server(text).map_err(|error| error.problem);
        assert_eq!(server("8080"), Ok(tcp("127.0.0.1", 8080)));
        assert_eq!(server("example:80"), Ok(tcp("example", 80)));
        assert_eq!(server("[::1]:80"), Ok(tcp("::1", 80)));
        assert_eq!(server("unix://s"), Ok(Address::Unix("s".into())));
        assert!(server("65536").unwrap_err().contains("is no port"));
        assert!(server("tpc://x:1").unwrap_err().ends_with("did you mean tcp://"));
        assert!(server("/run/s").unwrap_err().ends_with("did you mean unix:///run/s"));
        assert!(server("none").unwrap_err().ends_with("HOST:PORT or a port"));
    }

    #[test]
    fn an_address_alone_is_read_too() {
        assert_eq!("tcp://[::1]:7".parse(), Ok(tcp("::1", 7)));
        assert!("x=tcp://[::1]:7".parse::<Address>().is_err());
    }
}
