//! The ways into a gateway: which listener, and as which host a request must come to be handled differently.
//!
//! In: a [`Gateway`]. Out: an [`Entry`] for each set of hosts that a listener treats alike, with what its requests may come to.
//! Invariant: every listener has at least one entry, that of a host which no config names.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::boundary::{Boundaries, boundaries_of};
use super::live::Live;
use super::side_by_side;
use crate::gateway::eval::evaluate;
use crate::gateway::{Gateway, Listener, Origin, Terminal};
use crate::http::{Request, Version};

/// How many hosts are probed before it is decided which of them are alike.
const AT_ONCE: usize = 256;

/// Requests that hosts are told apart by.
const PROBES: [(&str, &str); 3] = [("POST", "/api/pull"), ("GET", "/v1/models"), ("GET", "/")];

/// One way into a gateway.
#[derive(Debug)]
pub struct Entry {
    /// Index of the listener.
    pub listener: usize,
    /// The Host that requests carry; absent: the listener's own address, a host that no config names.
    pub host: Option<Vec<u8>>,
    /// What its requests may come to.
    pub live: Live,
    /// What that tells apart, once somebody asked.
    boundaries: OnceLock<Boundaries>,
}

impl Entry {
    /// What the chains behind it tell apart.
    pub fn boundaries(&self, gateway: &Gateway) -> &Boundaries {
        self.boundaries.get_or_init(|| boundaries_of(&self.live.behind(gateway)))
    }

    /// Whether a request may get to another server this way at all.
    pub fn forwards(&self, gateway: &Gateway) -> bool {
        let hands_on = |end: &&Terminal| matches!(end, Terminal::Forward(_) | Terminal::Unknown(_));
        self.live.behind(gateway).ends.iter().any(hands_on)
    }
}

/// The ways into a gateway, in the order of its listeners; for each the nameless host first.
pub fn entries(gateway: &Gateway) -> Vec<Entry> {
    let mut out = Vec::new();
    for (index, listener) in gateway.listeners.iter().enumerate() {
        // A request names a port; of several listeners there the first with its protocol answers.
        let answers = gateway.listening(Some(listener.port), Some(listener.tls));
        if !answers.is_some_and(|own| std::ptr::eq(own, listener)) {
            continue;
        }
        out.extend(of_listener(gateway, index, listener));
    }
    out
}

fn of_listener(gateway: &Gateway, index: usize, listener: &Listener) -> Vec<Entry> {
    let all = Live::from(gateway, listener.chain);
    let whole = boundaries_of(&all.behind(gateway));
    let named = whole.hosts.iter().filter(|host| is_host(host)).cloned().map(Some);
    let hosts: Vec<Option<Vec<u8>>> = std::iter::once(None).chain(named).collect();
    let live = side_by_side::each(&hosts, |host| {
        Live::by_host(gateway, listener, &request(listener, host.as_deref(), "GET", "/"))
    });
    // Hosts that come to different things differ; of those that come to the same some may fare differently there.
    let mut sharing: HashMap<Live, Vec<usize>> = HashMap::new();
    for (at, live) in live.into_iter().enumerate() {
        sharing.entry(live).or_default().push(at);
    }
    let mut alike: Vec<(Live, Vec<usize>)> = sharing.into_iter().collect();
    alike.sort_unstable_by_key(|(_, own)| own.first().copied());
    let mut found: Vec<(usize, Entry)> = Vec::new();
    for (live, own) in alike {
        let mut known: Vec<Vec<Vec<Origin>>> = Vec::new();
        for some in own.chunks(AT_ONCE) {
            let walked = side_by_side::each(some, |at| {
                if own.len() == 1 { Vec::new() } else { walked(gateway, listener, hosts[*at].as_deref()) }
            });
            for (at, walked) in some.iter().zip(walked) {
                if !known.contains(&walked) {
                    known.push(walked);
                    let (host, live) = (hosts[*at].clone(), live.clone());
                    found.push((*at, Entry { listener: index, host, live, boundaries: OnceLock::new() }));
                }
            }
        }
    }
    found.sort_unstable_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, entry)| entry).collect()
}

/// The ways of the probes with a host.
fn walked(gateway: &Gateway, listener: &Listener, host: Option<&[u8]>) -> Vec<Vec<Origin>> {
    let probe = |(method, target): &(&str, &str)| evaluate(gateway, &request(listener, host, method, target)).steps;
    PROBES.iter().map(probe).collect()
}

/// The address of a listener as a Host header names it.
pub fn authority(listener: &Listener) -> String {
    std::net::SocketAddr::new(listener.address, listener.port).to_string()
}

/// A plain request to a listener.
pub fn request(listener: &Listener, host: Option<&[u8]>, method: &str, target: &str) -> Request {
    let host = host.map_or_else(|| authority(listener).into_bytes(), <[u8]>::to_vec);
    Request {
        method: method.as_bytes().to_vec(),
        target: target.as_bytes().to_vec(),
        headers: vec![(b"Host".to_vec(), host)],
        version: Version::Http11,
        client_ip: std::net::IpAddr::from([203, 0, 113, 7]),
        body: None,
        body_bytes: 0,
        port: Some(listener.port),
        tls: Some(listener.tls),
        as_client: None,
    }
}

fn is_host(host: &[u8]) -> bool {
    host.iter().any(u8::is_ascii_alphanumeric)
        && host.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte))
}
