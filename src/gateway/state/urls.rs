//! What is known about the parts of a URL, and about values of which a part is known.
//!
//! In: the state of one request. Out: bytes, or nothing. Invariant: as in [`super`].

use std::net::IpAddr;

use super::State;
use crate::gateway::*;

impl State<'_> {
    pub(super) fn change_path(&mut self, change: &ChangePath, path: &[u8]) -> Option<Vec<u8>> {
        let change = match change {
            ChangePath::Prefix(prefix) => url::PathChange::Prefix(self.value(prefix)?),
            ChangePath::Suffix(suffix) => url::PathChange::Suffix(self.value(suffix)?),
            ChangePath::Text(find, with, most) => url::PathChange::Text(self.value(find)?, self.value(with)?, *most),
            ChangePath::Pattern(pattern, with) => {
                let with = self.value(with)?;
                return match pattern.as_ref() {
                    Pattern::Regular(regex) => Some(url::changed(path, &|path| {
                        regex.replace_all(&url::lossy(path), with.as_slice()).into_owned()
                    })),
                    Pattern::Fancy(_) => self.unknown("depends on a replacement with look-around"),
                    Pattern::Opaque(why) => self.unknown(why.clone()),
                };
            }
        };
        Some(change.apply(path))
    }

    pub(super) fn change_query(&mut self, changes: &[QueryChange], query: &[u8]) -> Option<Vec<u8>> {
        let (mut pairs, _) = url::parse_query(query);
        for change in changes {
            match change {
                QueryChange::Rename(from, to) => {
                    let (from, to) = (self.value(from)?, self.value(to)?);
                    if from != to && !to.is_empty() && pairs.iter().any(|(key, _)| *key == from) {
                        pairs.retain(|(key, _)| *key != to);
                        pairs.iter_mut().filter(|(key, _)| *key == from).for_each(|(key, _)| key.clone_from(&to));
                    }
                }
                QueryChange::Set(name, value) | QueryChange::Add(name, value) => {
                    let (name, value) = (self.value(name)?, self.value(value)?);
                    if matches!(change, QueryChange::Set(..)) && !name.is_empty() {
                        pairs.retain(|(key, _)| *key != name);
                    }
                    pairs.extend(Some((name, value)).filter(|(name, _)| !name.is_empty()));
                }
                QueryChange::Delete(name) => {
                    let name = self.value(name)?;
                    pairs.retain(|(key, _)| *key != name || name.is_empty());
                }
            }
        }
        Some(url::write_query(pairs))
    }

    /// The decoded values of a query argument, and whether the whole query is well formed.
    pub(super) fn parameters(&self, name: &[u8]) -> Option<(Vec<Vec<u8>>, bool)> {
        let (pairs, well) = url::parse_query(self.query.as_deref()?);
        Some((pairs.into_iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect(), well))
    }

    /// Whether a value is this. One that can't be known isn't, where a part of it that is known stands elsewhere.
    pub(super) fn same(&mut self, value: &Value, bytes: &[u8]) -> Option<bool> {
        if let Value::Concat(parts) = value {
            let mut rest = bytes;
            for part in parts {
                let Value::Literal(start) = part else { break };
                match rest.strip_prefix(start.as_ref()) {
                    Some(behind) => rest = behind,
                    None => return Some(false),
                }
            }
        }
        Some(self.value(value)? == bytes)
    }
}

/// The client in a list of addresses: the first, or with trusted networks the last that is in none of them.
pub(super) fn forwarded_for(list: &[u8], trusted: Option<&[ipnet::IpNet]>) -> Vec<u8> {
    let address = |part: &[u8]| {
        let host = std::str::from_utf8(url::without_port(part)).ok()?.trim();
        host.split('%').next()?.parse::<IpAddr>().ok()
    };
    let mut all = list.split(|&byte| byte == b',').filter_map(address);
    let found = match trusted {
        None => all.next(),
        Some(trusted) => all.filter(|address| !trusted.iter().any(|network| network.contains(address))).last(),
    };
    found.map(|address| address.to_string().into_bytes()).unwrap_or_default()
}
