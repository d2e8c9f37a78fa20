//! Published ports: `8080:80`, `127.0.0.1:8080:80/udp`, `3000-3005:3000-3005`, `80`, `[::1]:8080:80`, and the long form.
//!
//! In: the text or map. Out: one [`Port`] for each port of the container. Invariant: as docker/go-connections 0.5 (nat.go) and compose-go
//! 2.9.1; what Compose refuses is an error.

use std::collections::HashMap;
use std::net::IpAddr;

use super::super::document::NodeId;
use super::load::Loader;
use super::model::{Port, Protocol, Text};

/// A port as it is written, without its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The host's address.
    pub address: Option<IpAddr>,
    /// The host's port, or a range of which it is one.
    pub published: Option<(u16, u16)>,
    /// The container's port.
    pub target: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

/// The ports of a short form. Errors: what is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Mapping>, String> {
    let (front, container) = text.rsplit_once(':').unwrap_or(("", text));
    let (address, host) = match text.matches(':').count() {
        0 | 1 => ("", front),
        _ => front.rsplit_once(':').unwrap_or(("", front)),
    };
    let (container, protocol) = match container.split_once('/') {
        Some(("", _)) => ("", Protocol::Tcp),
        Some((container, name)) => (container, protocol(name)?),
        None => (container, Protocol::Tcp),
    };
    if container.is_empty() {
        return Err("no port of the container is named".to_owned());
    }
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
    let address = match bare {
        "" => None,
        _ => Some(bare.parse().map_err(|_| format!("`{bare}` is no address"))?),
    };
    let (first, last) = range(container)?;
    let host = if host.is_empty() { None } else { Some(range(host)?) };
    if let Some((host_first, host_last)) = host
        && host_last - host_first != last - first
        && last != first
    {
        return Err("the ranges are not of the same length".to_owned());
    }
    let one = |target: u16| {
        let published = host.map(|(host_first, host_last)| match first == last {
            true => (host_first, host_last),
            false => (host_first + (target - first), host_first + (target - first)),
        });
        Mapping { address, published, target, protocol }
    };
    Ok((first..=last).map(one).collect())
}

fn protocol(name: &str) -> Result<Protocol, String> {
    match name.to_ascii_lowercase().as_str() {
        "" | "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Ok(Protocol::Sctp),
        _ => Err(format!("`{name}` is no protocol: tcp, udp or sctp")),
    }
}

/// A port, or the first and last of a range.
fn range(text: &str) -> Result<(u16, u16), String> {
    let port = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u16>().map_err(|_| format!("`{text}` is no port")),
        false => Err(format!("`{text}` is no port")),
    };
    match text.split_once('-') {
        Some((first, last)) => {
            let (first, last) = (port(first)?, port(last)?);
            if first <= last { Ok((first, last)) } else { Err(format!("`{text}` ends before it begins")) }
        }
        None => port(text).map(|port| (port, port)),
    }
}

impl Loader<'_> {
    /// The published ports of a service; of two for the same address, port and target the last counts.
    pub(super) fn ports(&mut self, service: NodeId) -> Vec<Port> {
        let Some(list) = self.get(service, "ports") else { return Vec::new() };
        let items: Vec<NodeId> = self.at(list).items().map(|item| item.id).collect();
        let mut out: Vec<Port> = Vec::new();
        let mut seen = HashMap::new();
        for item in items {
            let place = self.place(item);
            let found = match self.text(item) {
                Some(text) => parse(&text.text).map(|found| (found, text.unknown)),
                None => self.long_port(item),
            };
            match found {
                Ok((mappings, unknown)) => {
                    for Mapping { address, published, target, protocol } in mappings {
                        let port = Port { address, published, target, protocol, place, unknown: unknown.clone() };
                        let key = (port.address, port.published, port.target, port.protocol);
                        match seen.get(&key) {
                            Some(&at) => out[at] = port,
                            None => {
                                seen.insert(key, out.len());
                                out.push(port);
                            }
                        }
                    }
                }
                // A variable that isn't known may stand where the port is missing.
                Err(_) if self.hangs(item).is_some() => {
                    let name = self.hangs(item).unwrap_or_default();
                    let message = format!("the port hangs on the variable `{name}`, which isn't known: it is not read");
                    self.problem(crate::diag::Severity::Warning, Some(place), message);
                }
                Err(reason) => self.error(place, &reason),
            }
        }
        out
    }

    /// The variable that a value, or a value in its map, hangs on.
    fn hangs(&self, id: NodeId) -> Option<String> {
        let values = self.at(id).entries().map(|(_, value)| value.id);
        std::iter::once(id)
            .chain(values)
            .find_map(|id| self.unknown.get(&self.tree.target(id)?).map(|(name, _)| name.to_string()))
    }

    fn long_port(&self, item: NodeId) -> Result<(Vec<Mapping>, Option<String>), String> {
        let part = |key: &str| self.get(item, key).and_then(|id| self.text(id));
        let texts: Vec<Text> = ["target", "published", "host_ip", "protocol"].into_iter().filter_map(part).collect();
        let unknown = texts.iter().find_map(|text| text.unknown.clone());
        let Some(target) = part("target") else {
            return Err("say which port of the container: `target: PORT`".to_owned());
        };
        let target = target.text.parse().map_err(|_| format!("`{}` is no port", target.text))?;
        let published = match part("published").filter(|text| !text.text.is_empty()) {
            Some(text) => Some(range(&text.text)?),
            None => None,
        };
        let address = match part("host_ip").filter(|text| !text.text.is_empty()) {
            Some(text) => Some(text.text.parse().map_err(|_| format!("`{}` is no address", text.text))?),
            None => None,
        };
        let protocol = part("protocol").map_or(Ok(Protocol::Tcp), |text| protocol(&text.text))?;
        Ok((vec![Mapping { address, published, target, protocol }], unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let show = |mapping: &Mapping| {
            let address = mapping.address.map(|address| format!("{address} ")).unwrap_or_default();
            format!("{address}{:?} {} {:?}", mapping.published, mapping.target, mapping.protocol)
        };
        parse(text).map_or_else(|error| error, |found| found.iter().map(show).collect::<Vec<_>>().join("; "))
    }

    /// Measured with Compose 2.40.3.
    #[test]
    fn short_forms() {
        for (text, expected) in [
            ("80", "None 80 Tcp"),
            ("8080:80", "Some((8080, 8080)) 80 Tcp"),
            ("127.0.0.1:1:2/udp", "127.0.0.1 Some((1, 1)) 2 Udp"),
            ("[::1]:1:2", "::1 Some((1, 1)) 2 Tcp"),
            ("::1:1:2", "::1 Some((1, 1)) 2 Tcp"),
            ("127.0.0.1::2", "127.0.0.1 None 2 Tcp"),
            ("1-2:3-4", "Some((1, 1)) 3 Tcp; Some((2, 2)) 4 Tcp"),
            ("10-12:80", "Some((10, 12)) 80 Tcp"),
            ("80-81", "None 80 Tcp; None 81 Tcp"),
            ("0:80", "Some((0, 0)) 80 Tcp"),
            ("1:2/TCP", "Some((1, 1)) 2 Tcp"),
            ("1-2:3-5", "the ranges are not of the same length"),
            ("x:1:2", "`x` is no address"),
            ("1:", "no port of the container is named"),
            ("2-1:80", "`2-1` ends before it begins"),
            ("70000:80", "`70000` is no port"),
            ("1:2/icmp", "`icmp` is no protocol: tcp, udp or sctp"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
