//! Network addresses as Caddy writes them: `tcp/host:port`, `:80-90`, `unix//run/x.sock` (listeners.go).
//!
//! In: a text. Out: its parts. Invariant: no name is looked up; a host that is no address is none.

use std::net::IpAddr;

/// A network address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A socket file, or a file descriptor: not to be reached over the network.
    Local(String),
    /// A host, which may be empty, and ports.
    Network {
        /// The host, without brackets.
        host: String,
        /// The first port.
        first: u16,
        /// The last port.
        last: u16,
    },
}

impl Address {
    /// Takes an address apart. `None`: it is none.
    pub fn parse(text: &str) -> Option<Address> {
        let (network, rest) = match text.split_once('/') {
            Some((network, rest)) => (network.trim().to_ascii_lowercase(), rest),
            None => (String::new(), text),
        };
        if network.starts_with("unix") || network.starts_with("fd") {
            return Some(Address::Local(text.to_owned()));
        }
        let (host, ports) = match split(rest) {
            Some(parts) => parts,
            None => (rest.trim_matches(['[', ']']), "0"),
        };
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let (first, last) = (if first.is_empty() { "0" } else { first }, last);
        let (first, last) = (first.parse().ok()?, if last.is_empty() { 0 } else { last.parse().ok()? });
        (first <= last).then(|| Address::Network { host: host.to_owned(), first, last })
    }

    /// `host:port`, as Go dials it; a host that is missing is this machine.
    pub fn dialed(&self) -> String {
        match self {
            Address::Local(text) => text.clone(),
            Address::Network { host, first, .. } => join(host, *first),
        }
    }
}

/// `net.JoinHostPort`.
pub(super) fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// `net.SplitHostPort`.
fn split(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(inner) => Some((inner.strip_suffix(']')?, port)),
        None => (!host.contains([':', '[', ']'])).then_some((host, port)),
    }
}

/// The address that a host names to bind to; a name that isn't known stands for all.
pub(super) fn bound(host: &str) -> IpAddr {
    match host {
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        host => host.split('%').next().and_then(|host| host.parse().ok()).unwrap_or(IpAddr::from([0, 0, 0, 0])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_apart() {
        let network = |host: &str, first, last| Some(Address::Network { host: host.to_owned(), first, last });
        assert_eq!(Address::parse(":80"), network("", 80, 80));
        assert_eq!(Address::parse("tcp/127.0.0.1:80-90"), network("127.0.0.1", 80, 90));
        assert_eq!(Address::parse("[::1]:8080"), network("::1", 8080, 8080));
        assert_eq!(Address::parse("::1"), network("::1", 0, 0));
        assert_eq!(Address::parse("localhost"), network("localhost", 0, 0));
        assert_eq!(Address::parse("unix//run/x"), Some(Address::Local("unix//run/x".to_owned())));
        assert_eq!(Address::parse(":x"), None);
        assert_eq!(Address::parse("[::1]:1").map(|address| address.dialed()).as_deref(), Some("[::1]:1"));
    }
}
