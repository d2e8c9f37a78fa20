//! Addresses and networks as Traefik's configuration has them.
//!
//! In: texts. Out: networks, host and port. Invariant: what Go's `net` refuses is refused.

use std::net::IpAddr;

use ipnet::IpNet;

/// The networks that a list of addresses and networks names. Errors: the first that is neither, or that there is none.
pub fn networks(texts: &[impl AsRef<str>]) -> Result<Vec<IpNet>, String> {
    if texts.is_empty() {
        return Err("no address is listed".to_owned());
    }
    let one = |text: &str| {
        let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
        address.or_else(|_| text.parse::<IpNet>()).map_err(|_| format!("`{text}` is no address and no network"))
    };
    texts.iter().map(|text| one(text.as_ref()).map(|network| network.trunc())).collect()
}

/// Host and port of an authority (Go's `net.SplitHostPort`): brackets gone. `None`: no port, or too many colons.
pub fn host_port(text: &str) -> Option<(&str, &str)> {
    match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            let port = rest.strip_prefix(':')?;
            (!port.contains([':', '[', ']'])).then_some((host, port))
        }
        None => {
            let (host, port) = text.split_once(':')?;
            (!port.contains([':', '[', ']']) && !host.contains(['[', ']'])).then_some((host, port))
        }
    }
}
