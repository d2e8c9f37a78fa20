//! Sites and the addresses that they are served on (Caddy 2.11, httpcaddyfile/addresses.go).
//!
//! In: sites with their keys. Out: [`Pairing`]s: addresses that serve the same sites. Each becomes a server. Invariant: pairings stand in
//! the order of their first addresses.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::dispenser::Fault;
use super::super::token::Token;
use super::Adapter;
use super::address::{self, Address};
use super::pile::Pile;

/// A site: what its directives make, and its keys as they were written.
pub struct Site {
    /// Its keys.
    pub keys: Vec<Token>,
    /// What its directives make.
    pub pile: Pile,
}

/// A key of a site.
#[derive(Debug, Clone)]
pub struct Key {
    /// The token.
    pub token: Token,
    /// Its parts.
    pub address: Address,
}

/// A site on some addresses, with those of its keys that are served there.
#[derive(Debug)]
pub struct Served {
    /// Index of the site.
    pub site: usize,
    /// Its keys.
    pub keys: Vec<Key>,
}

/// Addresses that serve the same sites.
#[derive(Debug, Default)]
pub struct Pairing {
    /// The addresses, each with the key that it comes from.
    pub listen: Vec<(String, Token)>,
    /// The protocols on each; an empty one stands for the usual.
    pub protocols: Vec<Vec<String>>,
    /// The sites.
    pub sites: Vec<Served>,
}

/// Sites on one address and protocol: index of the site and of its keys.
type Members = Vec<(usize, Vec<usize>)>;

impl Adapter<'_> {
    /// Which addresses serve which sites.
    pub(super) fn pairings(&mut self, sites: &[Site]) -> Vec<Pairing> {
        let keys: Vec<Vec<Option<Key>>> =
            sites.iter().map(|site| site.keys.iter().map(|token| self.key(token)).collect()).collect();
        let mut served: BTreeMap<(String, String), Members> = BTreeMap::new();
        for (index, site) in sites.iter().enumerate() {
            let mut own: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
            for (at, key) in keys[index].iter().enumerate() {
                let Some(key) = key else { continue };
                for (listener, protocols) in self.listeners(&site.pile, key) {
                    for protocol in protocols {
                        own.entry((listener.clone(), protocol)).or_default().push(at);
                    }
                }
            }
            for (place, keys) in own {
                served.entry(place).or_default().push((index, keys));
            }
        }
        // Addresses with the same sites, in the order of the first of them.
        let mut order: Vec<Option<Members>> = Vec::new();
        let mut listeners: HashMap<Members, BTreeMap<String, BTreeSet<String>>> = HashMap::new();
        for ((listener, protocol), members) in served {
            match listeners.get_mut(&members) {
                Some(known) => {
                    // A second protocol on the first address leaves Caddy a server without addresses.
                    let again = known.first_key_value().is_some_and(|(first, _)| *first == listener);
                    order.extend(again.then_some(None));
                    known.entry(listener).or_default().insert(protocol);
                }
                None => {
                    order.push(Some(members.clone()));
                    listeners.insert(members, BTreeMap::from([(listener, BTreeSet::from([protocol]))]));
                }
            }
        }
        let key = |site: usize, at: usize| keys[site][at].clone();
        order
            .into_iter()
            .filter_map(|members| {
                let Some(members) = members else { return Some(Pairing::default()) };
                let listen = listeners.remove(&members)?;
                let first = members.first().and_then(|(site, keys)| key(*site, *keys.first()?))?;
                let sites = members
                    .iter()
                    .map(|(site, keys)| Served {
                        site: *site,
                        keys: keys.iter().filter_map(|at| key(*site, *at)).collect(),
                    })
                    .collect();
                let (listen, protocols) = listen
                    .into_iter()
                    .map(|(listener, protocols)| {
                        ((listener, first.token.clone()), protocols.into_iter().collect::<Vec<_>>())
                    })
                    .unzip();
                Some(Pairing { listen, protocols, sites })
            })
            .collect()
    }

    fn key(&mut self, token: &Token) -> Option<Key> {
        match Address::parse(&token.text) {
            Ok(address) => Some(Key { token: token.clone(), address }),
            Err(reason) => {
                let message = format!("the address `{}`: {reason}", &*token.text);
                self.error(Fault { message, place: token.place });
                None
            }
        }
    }

    /// The addresses that a key is served on, and the protocols there.
    fn listeners(&mut self, pile: &Pile, key: &Key) -> BTreeMap<String, BTreeSet<String>> {
        let mut listeners = BTreeMap::new();
        let mut refuse = |message: String| {
            self.problems.push((
                crate::diag::Severity::Error,
                crate::diag::Kind::Other,
                Fault { message, place: key.token.place },
            ))
        };
        let scheme = key.address.scheme.as_str();
        if !matches!(scheme, "" | "http" | "https") {
            let hint = match scheme {
                "ws" => ": write `http://`",
                "wss" => ": write `https://`",
                _ => "",
            };
            refuse(format!("`{scheme}://` isn't a scheme of sites{hint}"));
            return listeners;
        }
        let (http, https) = (self.global.port("http_port", "80"), self.global.port("https_port", "443"));
        let port = match (key.address.port.as_str(), scheme) {
            ("", "http") => &http,
            ("", _) => &https,
            (port, _) => port,
        };
        if (scheme == "http" && *port == https) || (scheme == "https" && *port == http) {
            refuse(format!("`{}`: the scheme and the port don't belong together", &*key.token.text));
            return listeners;
        }
        let binds = if pile.binds.is_empty() { &self.global.binds } else { &pile.binds };
        let mut add = |bind: &str, protocols: &[Token]| match address::listener(bind, port) {
            Ok(listener) => {
                let mut protocols: BTreeSet<String> = protocols.iter().map(|token| token.text.to_string()).collect();
                if protocols.is_empty() {
                    protocols.insert(String::new());
                }
                listeners.insert(listener, protocols);
            }
            Err(reason) => refuse(format!("`{}` can't be listened on: {reason}", &*key.token.text)),
        };
        if binds.is_empty() {
            add("", &[]);
        }
        for bind in binds {
            for address in &bind.addresses {
                add(&address.text, &bind.protocols);
            }
        }
        listeners
    }
}

impl Served {
    /// Its hosts without repetition; none where one key is for any host.
    pub fn hosts(&self) -> Vec<String> {
        if self.any_host() {
            return Vec::new();
        }
        let mut hosts = Vec::new();
        let mut seen = BTreeSet::new();
        for key in &self.keys {
            if seen.insert(&key.address.host) {
                hosts.push(key.address.host.clone());
            }
        }
        hosts
    }

    /// Its hosts as they stand in `Host` headers, unusual ports included.
    pub fn log_hosts(&self) -> Vec<String> {
        let mut hosts = BTreeSet::new();
        for key in &self.keys {
            let Address { host, port, .. } = &key.address;
            if host.is_empty() {
                continue;
            }
            let usual = matches!(port.as_str(), "" | "80" | "443");
            let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            hosts.insert(if usual { host.clone() } else { format!("{shown}:{port}") });
        }
        hosts.into_iter().collect()
    }

    /// Whether one of its keys is for any host.
    pub fn any_host(&self) -> bool {
        self.keys.iter().any(|key| key.address.host.is_empty())
    }
}
