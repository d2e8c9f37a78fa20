//! The ways into a gateway: which listener, and as which host a request must come to be handled differently.
//!
//! In: a [`Gateway`]. Out: an [`Entry`] for each set of hosts that a listener treats alike, with what its requests may come to.
//! Invariant: every listener has at least one entry, that of a host which no config names.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use ipnet::IpNet;

use super::boundary::{Boundaries, boundaries_of};
use super::live::Live;
use super::side_by_side;
use crate::gateway::eval::{Verdict, evaluate};
use crate::gateway::{Gateway, Listener, Origin, Terminal, Value};
use crate::http::{Request, Sni, Version};

/// How many names of handshakes are tried for each host.
const MOST_NAMES: usize = 400;

/// How many of the addresses that lists name are tried.
const MOST_INSIDE: usize = 6;

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
    /// The name that its connections are opened for.
    pub sni: Sni,
    /// The address of a listener that does the same over IPv6.
    ipv6: Option<IpAddr>,
    /// What its requests may come to.
    pub live: Live,
    /// What that tells apart, once somebody asked.
    apart: OnceLock<Apart>,
}

/// What an entry tells apart.
#[derive(Debug)]
pub struct Apart {
    /// Everything.
    pub boundaries: Boundaries,
    /// The address that strangers come from: one that no list of addresses has in mind.
    pub from: IpAddr,
    /// Where it is reached over IPv6 too, and addresses are told apart: the address of that listener, and one that strangers come from.
    pub over_ipv6: Option<(IpAddr, IpAddr)>,
    /// Addresses that lists of addresses have in mind, each with the listener's own.
    pub inside: Vec<(IpAddr, IpAddr)>,
}

impl Entry {
    /// What the chains behind it tell apart.
    pub fn apart(&self, gateway: &Gateway) -> &Apart {
        self.apart.get_or_init(|| {
            let listener = &gateway.listeners[self.listener];
            let boundaries = boundaries_of(&self.live.behind(gateway));
            let from = stranger(!listener.speaks(false), &boundaries.networks);
            let told_apart = !boundaries.networks.is_empty() || !boundaries.addresses.is_empty();
            let also = self.ipv6.filter(|_| told_apart && !from.is_ipv6());
            let over_ipv6 = also.map(|to| (to, stranger(true, &boundaries.networks)));
            let named = boundaries.addresses.iter().filter(|own| !own.is_loopback() && listener.speaks(own.is_ipv6()));
            let inside = named.take(MOST_INSIDE).map(|own| (*own, listener.address)).collect();
            Apart { boundaries, from, over_ipv6, inside }
        })
    }

    /// A plain request that comes this way.
    pub fn request(&self, gateway: &Gateway, method: &str, target: &str) -> Request {
        let plain = request(&gateway.listeners[self.listener], self.host.as_deref(), method, target);
        Request { sni: self.sni.clone(), ..plain }
    }

    /// Its boundaries.
    pub fn boundaries(&self, gateway: &Gateway) -> &Boundaries {
        &self.apart(gateway).boundaries
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
    let alike =
        |one: &Listener, other: &Listener| (one.port, one.tls, one.chain) == (other.port, other.tls, other.chain);
    let mut known: Vec<&Listener> = Vec::new();
    for (index, listener) in gateway.listeners.iter().enumerate() {
        // Of several listeners at one address the first with its protocol answers; of those that do the same the widest stands for all.
        let answers = gateway.listening(&request(listener, None, "GET", "/"));
        let wider = |other: &Listener| (other.speaks(false), !other.address.is_loopback());
        let same: Vec<&Listener> = gateway.listeners.iter().filter(|other| alike(other, listener)).collect();
        let widest = same.iter().rev().max_by_key(|other| wider(other));
        let stands = widest.is_some_and(|widest| std::ptr::eq(*widest, listener));
        if !answers.is_some_and(|own| std::ptr::eq(own, listener))
            || !stands
            || known.iter().any(|own| alike(own, listener))
        {
            continue;
        }
        known.push(listener);
        let ipv6 = same.iter().find(|other| other.speaks(true)).map(|other| other.address);
        out.extend(of_listener(gateway, index, listener, ipv6));
    }
    out
}

/// Addresses that are nobody's (RFC 5737, RFC 3849, RFC 9637).
const NOBODYS: [[IpAddr; 3]; 2] = [
    [
        IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)),
        IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)),
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
    ],
    [
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 7)),
        IpAddr::V6(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 7)),
    ],
];

/// So many bits make a network somebody's own: larger ones hold strangers.
const OWN_BITS: u8 = 8;

/// An address of somebody whom none of these networks means.
fn stranger(ipv6: bool, named: &BTreeSet<IpNet>) -> IpAddr {
    let own = |address: &IpAddr| named.iter().any(|net| net.prefix_len() >= OWN_BITS && net.contains(address));
    let all = NOBODYS[usize::from(ipv6)];
    all.into_iter().find(|address| !own(address)).unwrap_or(all[0])
}

fn of_listener(gateway: &Gateway, index: usize, listener: &Listener, ipv6: Option<IpAddr>) -> Vec<Entry> {
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
    let mut found: Vec<(usize, Live)> = Vec::new();
    for (live, own) in sharing {
        let mut known: Vec<Vec<Vec<Origin>>> = Vec::new();
        let paths = if own.len() == 1 { Vec::new() } else { own_paths(gateway, &live) };
        for some in own.chunks(AT_ONCE) {
            let walked = side_by_side::each(some, |at| {
                if own.len() == 1 { Vec::new() } else { walked(gateway, listener, hosts[*at].as_deref(), &paths) }
            });
            for (at, walked) in some.iter().zip(walked) {
                if !known.contains(&walked) {
                    known.push(walked);
                    found.push((*at, live.clone()));
                }
            }
        }
    }
    found.sort_unstable_by_key(|(at, _)| *at);
    let names = names_of_handshake(gateway, listener, &whole);
    let fronted = side_by_side::each(&found, |(at, _)| fronted(gateway, listener, hosts[*at].as_deref(), &names));
    let entry = |at: usize, live: Live, sni: Sni| Entry {
        listener: index,
        host: hosts[at].clone(),
        sni,
        ipv6,
        live,
        apart: OnceLock::new(),
    };
    let through = found.iter().zip(fronted).filter_map(|((at, _), sni)| {
        let sni = sni?;
        let request = Request { sni: sni.clone(), ..request(listener, hosts[*at].as_deref(), "GET", "/") };
        Some(entry(*at, Live::by_host(gateway, listener, &request), sni))
    });
    let through: Vec<Entry> = through.collect();
    let plain = found.into_iter().map(|(at, live)| entry(at, live, Sni::AsHost));
    plain.chain(through).collect()
}

/// The ways of the probes with a host, at these paths too.
fn walked(gateway: &Gateway, listener: &Listener, host: Option<&[u8]>, paths: &[String]) -> Vec<Vec<Origin>> {
    let own = paths.iter().flat_map(|path| ["GET", "POST"].map(|method| (method, path.as_str())));
    let probe = |(method, target)| evaluate(gateway, &request(listener, host, method, target)).steps;
    PROBES.into_iter().chain(own).map(probe).collect()
}

/// Paths that the chains tell apart: hosts may fare alike everywhere but below one of them.
fn own_paths(gateway: &Gateway, live: &Live) -> Vec<String> {
    let paths = boundaries_of(&live.behind(gateway)).paths;
    let sendable = |path: &String| path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    paths.into_iter().filter_map(|path| String::from_utf8(path).ok()).filter(sendable).collect()
}

/// The names that connections may be opened for, and none; empty: it makes no difference.
fn names_of_handshake(gateway: &Gateway, listener: &Listener, whole: &Boundaries) -> Vec<Sni> {
    let Some(handshake) = listener.handshake.filter(|_| listener.tls) else { return Vec::new() };
    let mut names: Vec<Vec<u8>> = Vec::new();
    for terminal in Live::from(gateway, handshake).behind(gateway).ends {
        if let Terminal::Select(select) = terminal
            && select.on.any(&mut |value| *value == Value::ServerName)
        {
            names.extend(select.exact.texts().map(<[u8]>::to_vec));
        }
    }
    names.extend(whole.hosts.iter().cloned());
    names.sort();
    names.dedup();
    let names = names.into_iter().filter(|name| is_host(name)).take(MOST_NAMES);
    let names = names.map(|name| Sni::Name(String::from_utf8_lossy(&name).into_owned()));
    [Sni::Absent, Sni::Name("gateway.invalid".to_owned())].into_iter().chain(names).collect()
}

/// A name by which a host is reached whose own name is refused; absent: there is none.
fn fronted(gateway: &Gateway, listener: &Listener, host: Option<&[u8]>, names: &[Sni]) -> Option<Sni> {
    let through = |sni: &Sni| {
        PROBES.map(|(method, target)| {
            let request = Request { sni: sni.clone(), ..request(listener, host, method, target) };
            let verdict = evaluate(gateway, &request).verdict;
            matches!(verdict, Verdict::Proxied { .. } | Verdict::Unknown { .. })
        })
    };
    let own = if names.is_empty() { return None } else { through(&Sni::AsHost) };
    let further = |sni: &&Sni| through(sni).iter().zip(&own).any(|(through, own)| *through && !own);
    names.iter().find(further).cloned()
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
        client_ip: NOBODYS[usize::from(!listener.speaks(false))][0],
        to: Some(listener.address),
        body: None,
        body_bytes: 0,
        port: Some(listener.port),
        tls: Some(listener.tls),
        sni: Sni::AsHost,
        as_client: None,
    }
}

fn is_host(host: &[u8]) -> bool {
    host.iter().any(u8::is_ascii_alphanumeric)
        && host.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte))
}
