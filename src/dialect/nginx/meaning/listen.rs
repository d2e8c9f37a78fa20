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
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Indices of the servers, in file order.
    pub servers: Vec<usize>,
    /// The one with `default_server`.
    pub default: Option<usize>,
    /// Where it is first said.
    pub origin: Origin,
}

/// One `listen`.
struct Listen {
    addresses: Vec<IpAddr>,
    port: u16,
    tls: bool,
    default: bool,
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
                    if !socket.servers.contains(&index) {
                        socket.servers.push(index);
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
        let word = |word: &str| line.args.iter().skip(1).any(|arg| arg.as_ref() == word.as_bytes());
        let text = line.text(0).into_owned();
        if text.starts_with("unix:") {
            self.warning(line, format!("`{}`: a Unix socket is left out", line.shown()), "");
            return None;
        }
        let Some((addresses, port)) = address(&text) else {
            if text.contains('$') || text.is_empty() {
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
        Some(Listen { addresses, port, tls: word("ssl"), default: word("default_server") || word("default") })
    }
}

impl Socket {
    fn new(address: IpAddr, port: u16, origin: Origin) -> Socket {
        Socket { address, port, tls: false, servers: Vec::new(), default: None, origin }
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
