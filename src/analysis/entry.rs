//! The ways into a gateway: which listener, and as which host a request must come to be handled differently.
//!
//! In: a [`Gateway`]. Out: an [`Entry`] for each set of hosts that a listener treats alike, with the chains that its requests may walk.
//! Invariant: every listener has at least one entry, that of a host which no config names.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::boundary::{Boundaries, boundaries_of};
use super::side_by_side;
use crate::gateway::eval::{Verdict, evaluate};
use crate::gateway::{ChainId, Errors, Gateway, Listener, Origin, Predicate, Step, Terminal, Value};
use crate::http::{Request, Sni, Version};

/// How many hosts that lead to one chain are told apart.
const MOST_HOSTS: usize = 40;

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
    /// The address that strangers come from: one that no list of addresses has in mind.
    pub from: IpAddr,
    /// Where it is reached over IPv6 too, and addresses are told apart: the address of that listener, and one that strangers come from.
    pub over_ipv6: Option<(IpAddr, IpAddr)>,
    /// Addresses that lists of addresses have in mind, each with the listener's own.
    pub inside: Vec<(IpAddr, IpAddr)>,
    /// What the chains behind it tell apart.
    pub boundaries: Boundaries,
    /// Whether a request may get to another server this way at all.
    pub forwards: bool,
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
    let whole = boundaries_of(reachable(gateway, listener.chain).into_iter().filter_map(|id| gateway.chains.get(id.0)));
    let hosts: Vec<Option<Vec<u8>>> =
        std::iter::once(None).chain(whole.hosts.iter().filter(|host| is_host(host)).cloned().map(Some)).collect();
    let mut known: HashMap<ChainId, Vec<Vec<Vec<Origin>>>> = HashMap::new();
    let mut found: Vec<(Option<Vec<u8>>, ChainId)> = Vec::new();
    for some in hosts.chunks(AT_ONCE) {
        let walked = side_by_side::each(some, |host| walked(gateway, listener, host.as_deref()));
        for (host, (chain, walked)) in some.iter().zip(walked) {
            let alike = known.entry(chain).or_default();
            if alike.len() < MOST_HOSTS && !alike.contains(&walked) {
                alike.push(walked);
                found.push((host.clone(), chain));
            }
        }
    }
    let names = names_of_handshake(gateway, listener, &whole);
    let fronted = side_by_side::each(&found, |(host, _)| fronted(gateway, listener, host.as_deref(), &names));
    let plain = found.iter().map(|(host, chain)| (host.clone(), *chain, Sni::AsHost));
    let through = found.iter().zip(fronted).filter_map(|((host, chain), sni)| Some((host.clone(), *chain, sni?)));
    let all: Vec<(Option<Vec<u8>>, ChainId, Sni)> = plain.chain(through).collect();
    side_by_side::each(&all, |(host, chain, sni)| {
        let (host, chain, sni) = (host.clone(), *chain, sni.clone());
        let behind = reachable(gateway, chain);
        let boundaries = match chain == listener.chain {
            true => whole.clone(),
            false => boundaries_of(behind.iter().filter_map(|id| gateway.chains.get(id.0))),
        };
        let forwards = behind.into_iter().any(|id| forwards(gateway, id));
        let from = stranger(!listener.speaks(false), &boundaries.networks);
        let told_apart = !boundaries.networks.is_empty() || !boundaries.addresses.is_empty();
        let also = ipv6.filter(|_| told_apart && !from.is_ipv6());
        let over_ipv6 = also.map(|to| (to, stranger(true, &boundaries.networks)));
        let named = boundaries.addresses.iter().filter(|own| !own.is_loopback() && listener.speaks(own.is_ipv6()));
        let inside = named.take(MOST_INSIDE).map(|own| (*own, listener.address)).collect();
        Entry { listener: index, host, sni, from, over_ipv6, inside, boundaries, forwards }
    })
}

/// The chain that a host leads to, and the ways of the probes behind it.
fn walked(gateway: &Gateway, listener: &Listener, host: Option<&[u8]>) -> (ChainId, Vec<Vec<Origin>>) {
    let probe = |(method, target): &(&str, &str)| evaluate(gateway, &request(listener, host, method, target)).steps;
    (entered(gateway, listener.chain, host), PROBES.iter().map(probe).collect())
}

/// The names that connections may be opened for, and none; empty: it makes no difference.
fn names_of_handshake(gateway: &Gateway, listener: &Listener, whole: &Boundaries) -> Vec<Sni> {
    let Some(handshake) = listener.handshake.filter(|_| listener.tls) else { return Vec::new() };
    let mut names: Vec<Vec<u8>> = Vec::new();
    for chain in reachable(gateway, handshake).into_iter().filter_map(|id| gateway.chains.get(id.0)) {
        let ends = chain.clauses.iter().map(|clause| &clause.then).chain([&chain.otherwise]);
        for terminal in ends {
            if let Terminal::Select(select) = terminal
                && select.on.any(&mut |value| *value == Value::ServerName)
            {
                names.extend(select.exact.keys().cloned());
            }
        }
    }
    names.extend(whole.hosts.iter().cloned());
    names.sort();
    names.dedup();
    let names = names.into_iter().filter(|name| is_host(name)).take(MOST_HOSTS);
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

/// The chain behind the tables that the host alone decides.
fn entered(gateway: &Gateway, start: ChainId, host: Option<&[u8]>) -> ChainId {
    let mut at = start;
    for _ in 0..8 {
        let Some(chain) = gateway.chains.get(at.0).filter(|chain| chain.clauses.is_empty()) else { return at };
        let next = match &chain.otherwise {
            Terminal::Then(next) => Some(*next),
            Terminal::Select(select) if select.on == Value::Host => {
                host.and_then(|host| select.find(host)).or(match &select.otherwise {
                    Terminal::Then(next) => Some(*next),
                    _ => None,
                })
            }
            _ => None,
        };
        match next {
            Some(next) => at = next,
            None => return at,
        }
    }
    at
}

/// Every chain that a request may come to from this one, itself first.
pub fn reachable(gateway: &Gateway, start: ChainId) -> Vec<ChainId> {
    let mut found = vec![start];
    let mut seen: HashSet<ChainId> = HashSet::from([start]);
    let mut at = 0;
    while let Some(id) = found.get(at).copied() {
        at += 1;
        let Some(chain) = gateway.chains.get(id.0) else { continue };
        let mut next: Vec<ChainId> = Vec::new();
        ends(&chain.otherwise, &mut next);
        for clause in &chain.clauses {
            ends(&clause.then, &mut next);
            steps(&clause.steps, &mut next);
            clause.when.any(&mut |part| {
                if let Predicate::Subrequest(chain, ..) = part {
                    next.push(*chain);
                }
                false
            });
        }
        found.extend(next.into_iter().filter(|id| seen.insert(*id)));
    }
    found
}

/// Whether a chain hands requests on, or does what isn't known.
fn forwards(gateway: &Gateway, id: ChainId) -> bool {
    let hands_on = |terminal: &Terminal| matches!(terminal, Terminal::Forward(_) | Terminal::Unknown(_));
    let Some(chain) = gateway.chains.get(id.0) else { return false };
    hands_on(&chain.otherwise) || chain.clauses.iter().any(|clause| hands_on(&clause.then))
}

fn ends(terminal: &Terminal, next: &mut Vec<ChainId>) {
    match terminal {
        Terminal::Then(chain) | Terminal::Restart(chain) => next.push(*chain),
        Terminal::Select(select) => {
            let mut chains: Vec<ChainId> = select.exact.values().chain(select.prefixes.values()).copied().collect();
            chains.sort_unstable();
            next.extend(chains);
            ends(&select.otherwise, next);
        }
        _ => {}
    }
}

fn steps(steps: &[Step], next: &mut Vec<ChainId>) {
    for step in steps {
        match step {
            Step::Call(chain) => next.push(*chain),
            Step::OnError(Some(errors)) | Step::Guard(errors) => handlers(errors, next),
            _ => {}
        }
    }
}

fn handlers(errors: &Errors, next: &mut Vec<ChainId>) {
    for case in &errors.cases {
        next.push(case.chain);
        steps(&case.steps, next);
    }
}
