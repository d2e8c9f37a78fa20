//! A moved config on its server, asked request by request.
//!
//! In: a [`World`], the gateway that the evaluator reads from the moved files, and how the server is started. Out: [`Answer`]s and a
//! [`Report`]. Invariant: each request has a number by which it is found at the stand-ins, and an address of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::world::World;
use crate::gateway::eval::{Outcome, evaluate};
use crate::gateway::{Gateway, Listener};
use crate::http::{Request, Version};
use crate::project::inside::Published;
use crate::prove::answer::Answer;
use crate::prove::engine::DEADLINE;
use crate::prove::http2;
use crate::prove::question::Question;
use crate::prove::questions::address;
use crate::prove::server::{Launch, Running};
use crate::prove::upstream::Seen;
use crate::prove::wire::{self, Exchange, Target, TlsOptions};

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(20);
/// How long it may take to end by itself: nothing of it is kept.
const STOP: Duration = Duration::from_millis(200);
/// How long it may take until it has read its files.
const LOADED: Duration = Duration::from_secs(5);

/// A running server and what it should do.
pub struct Site {
    /// Where it runs.
    pub world: World,
    /// What it should do.
    pub gateway: Gateway,
    running: Running,
    started: Instant,
    asked: AtomicU64,
}

/// What came of asking.
#[derive(Debug, Default)]
pub struct Report {
    /// How many requests were asked.
    pub asked: usize,
    /// How many were answered as the files say.
    pub agreed: usize,
    /// How many were refused by a limit that holds for them.
    pub limited: usize,
    /// What the files don't tell: why, and how many requests it concerns.
    pub unknown: Vec<(String, usize)>,
    /// The answers that aren't what the files say.
    pub wrong: Vec<Wrong>,
}

/// An answer that isn't what the files say.
#[derive(Debug)]
pub struct Wrong {
    /// The request, its port the one it was sent to.
    pub request: Request,
    /// What the evaluator says.
    pub expected: Outcome,
    /// What the server did.
    pub observed: Answer,
}

impl Site {
    /// Starts the server and waits until its listeners answer. Errors: why it doesn't, with the end of its log in the user's own names.
    pub fn start(world: World, gateway: Gateway, launch: &Launch) -> Result<Site, String> {
        let own = |text: String| world.own_names(&text);
        let mut running = Running::start(launch).map_err(own)?;
        for (_, addr) in world.listeners.iter().filter(|(name, _)| !name.ends_with("/udp")) {
            running.wait_ready(*addr, START).map_err(own)?;
        }
        Ok(Site { world, gateway, running, started: Instant::now(), asked: AtomicU64::new(0) })
    }

    /// Listeners are reached where a container's ports are published, and the others not at all.
    pub fn publish(&mut self, ports: &[Published]) {
        if ports.is_empty() {
            return;
        }
        let World { listeners, notes, .. } = &mut self.world;
        let mut reached = BTreeSet::new();
        for (name, addr) in listeners.iter_mut() {
            let (host, target) = name.rsplit_once(':').unwrap_or(("", name));
            let loopback = ["127.", "localhost", "[::1]"].iter().any(|own| host.starts_with(own));
            let port = ports.iter().find(|port| target.parse() == Ok(port.target)).filter(|_| !loopback);
            match port {
                Some(port) => {
                    reached.insert(addr.port());
                    *name = format!("{}->{}", SocketAddr::from((port.address, port.port)), port.target);
                }
                None if name.ends_with("/udp") => {}
                None => notes.push(format!("`{name}` isn't published by the container: it isn't asked")),
            }
        }
        self.gateway.listeners.retain(|listener| reached.contains(&listener.port));
    }

    /// Waits until the server has read its files: servers listen before. Told by the first of these requests that only those files answer:
    /// one for each upstream that any is proxied to, else one that isn't refused as by a server without rules.
    pub fn settle(&self, requests: &[Request]) {
        let ports: Vec<u16> = self.listeners().into_iter().map(|listener| listener.port).collect();
        let all = requests
            .iter()
            .flat_map(|request| ports.iter().map(|port| Request { port: Some(*port), ..request.clone() }));
        let mut probes: BTreeMap<u16, (Request, Answer)> = BTreeMap::new();
        for request in all {
            let answer = Answer::of(&evaluate(&self.gateway, &request));
            let upstream = match answer {
                Answer::Refused(400 | 404) | Answer::Unknown(_) => continue,
                Answer::Proxied { port, .. } => port,
                _ => 0,
            };
            probes.entry(upstream).or_insert((request, answer));
            if probes.range(1..).count() >= self.world.upstreams.len() {
                break;
            }
        }
        if probes.len() > 1 {
            probes.remove(&0);
        }
        if probes.is_empty() {
            return std::thread::sleep(LOADED);
        }
        let until = Instant::now() + LOADED;
        for (request, answer) in probes.values() {
            while Instant::now() < until && self.ask(request) != *answer {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// The listeners that can be asked.
    pub fn listeners(&self) -> Vec<&Listener> {
        let mut seen = BTreeSet::new();
        let mut moved: BTreeSet<u16> = self.world.listeners.iter().map(|(_, addr)| addr.port()).collect();
        moved.retain(|port| !self.world.unasked.contains(port));
        let all = self.gateway.listeners.iter();
        all.filter(|listener| moved.contains(&listener.port) && seen.insert(listener.port)).collect()
    }

    /// Sends one request to its port and gives what became of it.
    pub fn ask(&self, request: &Request) -> Answer {
        let question =
            Question { request: request.clone(), script: "status:200", ..Question::new("", "", b"", Vec::new()) };
        let (exchange, seen) = self.exchange(&question);
        Answer::observed(&exchange, seen.first().map(|(addr, seen)| (*addr, seen)))
    }

    /// Asks a question at the port of its request: what came back, and what reached the stand-ins.
    pub fn exchange(&self, question: &Question) -> (Exchange, Vec<(SocketAddr, Seen)>) {
        let id = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let request = &question.request;
        let addr = SocketAddr::from((self.home(request.port), request.port.unwrap_or_default()));
        let tls = self.gateway.listener(request.port).is_some_and(|listener| listener.tls).then(|| {
            let alpn = if request.version == Version::Http2 { vec![b"h2".to_vec()] } else { Vec::new() };
            TlsOptions { server_name: request.server_name(), ca_pem: None, alpn }
        });
        let target = Target { addr, source: Some(request.client_ip), tls };
        let before: Vec<usize> = self.world.upstreams.iter().map(|(_, upstream)| upstream.count()).collect();
        let exchange = if request.version == Version::Http2 {
            let (fields, body) = question.fields(id);
            http2::exchange(&target, &fields, &body, DEADLINE)
        } else {
            wire::exchange(&target, &String::from_utf8_lossy(&request.method), &question.bytes(id), DEADLINE)
        };
        (exchange, self.seen(id, &before))
    }

    /// The loopback address of a port.
    pub fn home(&self, port: Option<u16>) -> IpAddr {
        let own = self.world.listeners.iter().find(|(_, addr)| Some(addr.port()) == port);
        own.map_or(Ipv4Addr::LOCALHOST.into(), |(_, addr)| addr.ip())
    }

    /// What reached the stand-ins under a number; `before`: how many requests had. One whose number was taken away is this one.
    fn seen(&self, id: u64, before: &[usize]) -> Vec<(SocketAddr, Seen)> {
        let own = |seen: &Seen| seen.id.is_none_or(|seen| seen == id);
        let all = self.world.upstreams.iter().zip(before);
        all.flat_map(|((_, upstream), before)| {
            let new = upstream.since(*before).into_iter().filter(own);
            new.map(|seen| (upstream.addr(), seen))
        })
        .collect()
    }

    /// Asks every listener every request, and compares. `progress` is told how many are done.
    pub fn compare(&mut self, requests: &[Request], mut progress: impl FnMut(usize)) -> Report {
        let ports: Vec<u16> = self.listeners().into_iter().map(|listener| listener.port).collect();
        let mut report = Report::default();
        for port in ports {
            for request in requests {
                // One in ten from the address that most rules about addresses name, the others each from its own: so limits for
                // an address are met by nobody.
                let home = self.home(Some(port));
                let own = if report.asked.is_multiple_of(10) || home.is_ipv6() { home } else { address(report.asked) };
                let request = Request { port: Some(port), client_ip: own, ..request.clone() };
                report.asked += 1;
                progress(report.asked);
                self.one(request, &mut report);
            }
        }
        report.unknown.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        report
    }

    fn one(&mut self, request: Request, report: &mut Report) {
        let expected = evaluate(&self.gateway, &request);
        let answer = Answer::of(&expected);
        if let Answer::Unknown(why) = answer {
            match report.unknown.iter_mut().find(|(reason, _)| *reason == why) {
                Some((_, count)) => *count += 1,
                None => report.unknown.push((why, 1)),
            }
            return;
        }
        let mut observed = self.ask(&request);
        // A certificate of the server's own may take a moment after its start.
        while observed == Answer::Refused(444) && observed != answer && self.started.elapsed() < LOADED {
            std::thread::sleep(Duration::from_millis(100));
            observed = self.ask(&request);
        }
        if observed == answer || begins(&observed, &answer) {
            report.agreed += 1;
        } else if expected.limits.iter().any(|(limit, _)| observed == Answer::Refused(limit.refusal)) {
            report.limited += 1;
        } else {
            report.wrong.push(Wrong { request, expected, observed });
        }
    }

    /// Whether the server still runs; else the end of its log.
    pub fn alive(&mut self) -> Result<(), String> {
        if self.running.alive() { Ok(()) } else { Err(self.world.own_names(&self.running.log_tail())) }
    }

    /// Stops the server; its world stays.
    pub fn stop(self) -> World {
        self.running.stop(STOP);
        self.world
    }
}

/// Whether an upstream read as much of a target as it can: one with a line end in it ends there, and its Host is whatever comes then.
fn begins(observed: &Answer, expected: &Answer) -> bool {
    match (observed, expected) {
        (Answer::Proxied { port, target, .. }, Answer::Proxied { port: own, target: whole, .. }) => {
            port == own && whole.find(['\r', '\n']).is_some_and(|end| whole.get(..end) == Some(target))
        }
        _ => false,
    }
}
