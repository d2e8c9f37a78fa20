//! `listen` → the sockets that nginx binds.
//!
//! In: the `listen` lines of all servers. Out: [`Socket`]s with their servers in file order and the default one. Invariant: a server
//! without `listen` has port 80. Behind the PROXY protocol too the client's address is the peer's, unless `real_ip_header` says otherwise
//! (measured on nginx 1.22.1 and 1.31.3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::gateway::Origin;

use super::Reader;
use super::block::Line;

/// An address and port with the servers behind it.
#[derive(Debug)]
pub struct Socket {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// Whether it takes IPv4 as well (`ipv6only=off`).
    pub both: bool,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Whether a line gave it options such as `backlog`.
    pub options: bool,
    /// Indices of the servers, in file order.
    pub servers: Vec<usize>,
    /// The one with `default_server`.
    pub default: Option<usize>,
    /// Where it is first said.
    pub origin: Origin,
}

/// The parameters of `listen`, and whether each is an option of the socket.
const PARAMETERS: &[(&str, bool)] = &[
    ("default_server", false),
    ("default", false),
    ("ssl", false),
    ("http2", false),
    ("quic", false),
    ("proxy_protocol", false),
    ("bind", true),
    ("setfib", true),
    ("fastopen", true),
    ("backlog", true),
    ("rcvbuf", true),
    ("sndbuf", true),
    ("accept_filter", true),
    ("deferred", true),
    ("ipv6only", true),
    ("reuseport", true),
    ("so_keepalive", true),
    ("multipath", true),
];

/// One `listen`.
struct Listen {
    addresses: Vec<IpAddr>,
    port: u16,
    both: bool,
    tls: bool,
    default: bool,
    /// Options of the socket itself, which only one line may give.
    options: bool,
}

impl<'c> Reader<'c> {
    /// The sockets of these servers: each its lines, and its own line.
    pub fn sockets(&mut self, servers: &[(Vec<Line<'c>>, Option<Line<'c>>)]) -> Vec<Socket> {
        let mut sockets: Vec<Socket> = Vec::new();
        for (index, (lines, own)) in servers.iter().enumerate() {
            let tls = lines.iter().any(|line| line.is("ssl") && line.arg(0) == b"on");
            let mut any = false;
            for line in lines.iter().filter(|line| line.is("listen")) {
                any = true;
                let Some(listen) = self.listen(line) else { continue };
                for &address in &listen.addresses {
                    let found =
                        sockets.iter().position(|socket| (socket.address, socket.port) == (address, listen.port));
                    let at = found.unwrap_or_else(|| {
                        let note = format!("nginx listens on {}", std::net::SocketAddr::new(address, listen.port));
                        let origin = line.origin(note);
                        sockets.push(Socket::new(address, listen.port, origin));
                        sockets.len() - 1
                    });
                    let socket = &mut sockets[at];
                    socket.tls |= listen.tls || tls;
                    socket.both |= listen.both;
                    if socket.servers.last() == Some(&index) {
                        self.error(
                            line,
                            "this server listens on the same address and port twice",
                            "take one `listen` out",
                        );
                    } else {
                        socket.servers.push(index);
                    }
                    if listen.options && std::mem::replace(&mut socket.options, true) {
                        let message = "a second `listen` gives options to the same address and port";
                        self.error(line, message, "write the options in one place");
                    }
                    if listen.default && socket.default.replace(index).is_some_and(|other| other != index) {
                        self.error(
                            line,
                            "a second default server for the same address and port",
                            "take one `default_server` out",
                        );
                    }
                }
            }
            if !any {
                let address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
                let found = sockets.iter().position(|socket| (socket.address, socket.port) == (address, 80));
                let at = found.unwrap_or_else(|| {
                    let note = "a server without `listen` has port 80";
                    let origin = own.as_ref().map(|line| line.origin(note)).unwrap_or_default();
                    sockets.push(Socket::new(address, 80, origin));
                    sockets.len() - 1
                });
                sockets[at].tls |= tls;
                sockets[at].servers.push(index);
            }
        }
        // A connection to an address of its own isn't the wildcard's.
        let ports: Vec<u16> = sockets.iter().map(|one| one.port).collect();
        let first = |port: u16| ports.iter().position(|other| *other == port).unwrap_or(0);
        sockets.sort_by_key(|one| (first(one.port), one.address.is_unspecified()));
        sockets
    }

    fn listen(&mut self, line: &Line<'c>) -> Option<Listen> {
        let word = |word: &str| line.args.iter().skip(1).any(|arg| arg == word.as_bytes());
        let text = line.text(0).into_owned();
        if text.starts_with("unix:") {
            self.warning(line, format!("`{}`: a Unix socket is left out", line.shown()), "");
            return None;
        }
        let Some((addresses, port)) = address(&text) else {
            // A port that is none is refused, a name is resolved where nginx runs.
            let port = text.rsplit_once(':').map_or(text.as_str(), |(_, port)| port);
            let numbered = text.contains(':') || text.bytes().all(|byte| byte.is_ascii_digit());
            if text.contains('$') || (numbered && !port.parse::<u16>().is_ok_and(|port| port > 0)) {
                self.error(
                    line,
                    format!("`{}` is not an address to listen on", text),
                    "write `8080` or `127.0.0.1:8080`",
                );
            } else {
                self.warning(line, format!("`{text}`: which address that is depends on the machine"), "");
            }
            return None;
        };
        let parameters = line.args.iter().skip(1).map(|arg| String::from_utf8_lossy(arg).into_owned());
        let mut options = false;
        for parameter in parameters {
            let name = parameter.split_once('=').map_or(parameter.as_str(), |(name, _)| name);
            match PARAMETERS.iter().find(|(known, _)| *known == name) {
                Some((_, of_socket)) => options |= of_socket,
                None => self.error(line, format!("`{name}` is not a parameter of `listen`"), "take it out"),
            }
        }
        if word("proxy_protocol") {
            self.announced.extend(addresses.iter().map(|address| (*address, port)));
        }
        let both = word("ipv6only=off");
        Some(Listen {
            addresses,
            port,
            both,
            tls: word("ssl"),
            default: word("default_server") || word("default"),
            options,
        })
    }
}

impl Socket {
    fn new(address: IpAddr, port: u16, origin: Origin) -> Socket {
        Socket { address, port, both: false, tls: false, options: false, servers: Vec::new(), default: None, origin }
    }
}

/// Addresses and port of a `listen`.
pub fn address(text: &str) -> Option<(Vec<IpAddr>, u16)> {
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    if let Ok(port) = text.parse::<u16>() {
        return (port > 0).then(|| (vec![any], port));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        let port = if port.is_empty() { 80 } else { port.strip_prefix(':')?.parse().ok()? };
        return Some((vec![IpAddr::V6(address)], port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (text, 80),
    };
    let address = match host {
        "*" => any,
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host => host.parse().ok()?,
    };
    Some((vec![address], port))
}
