//! `stream {}`: listeners that pass on connections.
//!
//! In: its directives. Out: raw listeners, whose upstream sees whatever arrives; and where a connection is passed to a listener of `http {}`,
//! listeners that do what that one does. Invariant: no rule of `http {}` applies to what another server gets, and behind nginx's own
//! listener the client is nginx itself (measured on nginx 1.22.1 and 1.31.3).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use foldhash::HashMap;

use crate::gateway::{
    Chain, ChainId, Clause, Forward, Listener, Origin, Predicate, Step, Terminal, Trust, Value, Wire,
};

use super::block::Line;
use super::scope::Rule;
use super::upstream::{Upstream, with_port};
use super::{Reader, inherit, listen};

/// Directives of scripts, which may do anything with a connection.
const SCRIPTS: &[&str] =
    &["js_access", "js_preread", "js_filter", "preread_by_lua_block", "preread_by_lua_file", "content_by_lua_block"];

/// What holds for all servers of a `stream` unless they say otherwise.
struct Around<'a, 'c> {
    lines: &'a [Line<'c>],
    upstreams: HashMap<Vec<u8>, Upstream>,
}

/// Where a server of `stream` passes connections.
enum To {
    /// To another server.
    Upstream(Vec<u8>),
    /// To this listener of `http {}`.
    Own(usize),
    /// Nobody knows: why.
    Unknown(Cow<'static, str>),
}

impl<'c> Reader<'c> {
    /// Reads `stream {}`.
    pub fn stream(&mut self, lines: &[Line<'c>]) {
        let servers: Vec<Vec<Line<'c>>> =
            lines.iter().filter(|line| line.is("server")).map(|line| self.inner(line)).collect();
        self.stream_servers(&servers, lines);
    }

    /// Reads its servers.
    pub fn stream_servers(&mut self, servers: &[Vec<Line<'c>>], lines: &[Line<'c>]) {
        let around = Around { lines, upstreams: self.upstreams_of(lines) };
        for lines in servers {
            let of = |name: &str| lines.iter().filter(|line| line.is(name)).copied().collect::<Vec<_>>();
            for line in of("listen") {
                if line.args.iter().any(|arg| arg == b"udp") {
                    continue;
                }
                let Some((addresses, port)) = listen::address(&line.text(0)) else {
                    self.warning(&line, format!("`{}` is left out", line.shown()), "");
                    continue;
                };
                let listener = self.stream_listener(&line, lines, &around);
                for address in addresses {
                    let listener = Listener { address, port, ..listener.clone() };
                    let refusals = self.own_refusals(&listener);
                    self.gateway.refusals.extend(refusals);
                    self.gateway.listeners.push(listener);
                }
            }
        }
    }

    fn stream_listener(&mut self, line: &Line<'c>, lines: &[Line<'c>], around: &Around<'_, 'c>) -> Listener {
        let pass = lines.iter().find(|line| line.is("proxy_pass") || line.is("pass"));
        let tls = line.args.iter().any(|arg| arg == b"ssl");
        let (to, origin) = self.passed(line, lines, around, pass, tls);
        let mut clauses = self.stream_access(line, lines, around);
        let listener = Listener {
            address: Ipv4Addr::UNSPECIFIED.into(),
            both: false,
            port: 0,
            tls,
            wire: Wire { raw: true, ..Wire::strict(8192) },
            handshake: None,
            chain: ChainId(0),
            origin: line.silent(),
        };
        let then = match to {
            To::Upstream(upstream) => {
                let (upstream, nothing) = (Value::literal(upstream), Value::literal(""));
                Terminal::Forward(Arc::new(Forward { upstream, target: nothing.clone(), host: nothing }))
            }
            To::Unknown(why) => Terminal::unknown(why),
            To::Own(at) => {
                if pass.is_some_and(|pass| pass.is("proxy_pass")) {
                    clauses.push(Clause::steps(vec![from_itself(&origin)], Origin::default()));
                }
                let Some(own) = self.gateway.listeners.get(at).cloned() else { return listener };
                let chain = Chain { clauses, otherwise: Terminal::Then(own.chain), origin };
                let chain = self.gateway.add(chain);
                return Listener { tls: tls || own.tls, wire: own.wire, chain, ..listener };
            }
        };
        let chain = self.gateway.add(Chain { clauses, otherwise: then, origin });
        Listener { chain, ..listener }
    }

    /// Where a connection goes, and where that is said.
    fn passed(
        &self,
        line: &Line<'c>,
        lines: &[Line<'c>],
        around: &Around<'_, 'c>,
        pass: Option<&Line<'c>>,
        tls: bool,
    ) -> (To, Origin) {
        let on = |name: &str| {
            let own = lines.iter().find(|line| line.is(name)).or(around.lines.iter().find(|line| line.is(name)));
            own.is_some_and(|own| own.arg(0) == b"on")
        };
        let bytes = "`stream`: bytes are passed on, no rule of `http` applies";
        let origin = pass.unwrap_or(line).origin(bytes);
        let unknown = |why: String| (To::Unknown(why.into()), origin.clone());
        if let Some(script) = lines.iter().chain(around.lines).find(|line| SCRIPTS.contains(&line.name)) {
            return unknown(format!("depends on `{}` ({})", script.name, self.place(script)));
        }
        if let Some(verify) = lines.iter().find(|line| line.is("ssl_verify_client") && line.arg(0) == b"on") {
            return unknown(format!("depends on the client's certificate ({})", self.place(verify)));
        }
        let Some(pass) = pass else {
            let said = lines.iter().find(|line| line.is("return"));
            return unknown(match said {
                Some(said) => format!("what `return` sends here is no answer of HTTP ({})", self.place(said)),
                None => "what this listener of `stream` does is not understood".to_owned(),
            });
        };
        if pass.arg(0).contains(&b'$') {
            return unknown(format!("depends on the computed address at {}", self.place(pass)));
        }
        let address = match around.upstreams.get(pass.arg(0)) {
            Some(upstream) => upstream.first.clone(),
            None => with_port(pass.arg(0), 0),
        };
        if address.starts_with(b"unix:") {
            let address = String::from_utf8_lossy(&address).into_owned();
            return unknown(format!("who listens at `{address}` isn't known ({})", self.place(pass)));
        }
        let announced = on("proxy_protocol") && pass.is("proxy_pass");
        let wrapped = on("proxy_ssl") && pass.is("proxy_pass");
        let Some(at) = self.own_listener(&address) else {
            return match announced {
                true => unknown(format!("the upstream gets a line of the PROXY protocol first ({})", self.place(pass))),
                false => (To::Upstream(address), origin),
            };
        };
        let own = &self.gateway.listeners[at];
        let expected = self.announced.contains(&(own.address, own.port));
        match () {
            () if announced != expected => {
                unknown(format!("one side of {} speaks the PROXY protocol, the other doesn't", self.place(pass)))
            }
            () if own.handshake.is_some() => unknown(format!("depends on the handshake behind {}", self.place(pass))),
            () if wrapped != own.tls && (wrapped || tls) => {
                unknown(format!("one side of {} speaks TLS, the other doesn't", self.place(pass)))
            }
            () => {
                let note = format!("`stream`: the connection is passed to nginx's own listener on port {}", own.port);
                (To::Own(at), pass.origin(note))
            }
        }
    }

    /// `allow` and `deny`: whoever is refused is closed on.
    fn stream_access(&mut self, line: &Line<'c>, lines: &[Line<'c>], around: &Around<'_, 'c>) -> Vec<Clause> {
        let rules = |reader: &mut Self, lines: &[Line<'c>]| -> Vec<Rule> {
            let own: Vec<Line<'c>> = lines.iter().filter(|line| line.is("allow") || line.is("deny")).copied().collect();
            own.iter().filter_map(|line| reader.rule(line)).collect()
        };
        let mut list = rules(self, lines);
        if list.is_empty() {
            list = rules(self, around.lines);
        }
        let told = line.args.iter().any(|arg| arg == b"proxy_protocol");
        let trusts = lines.iter().chain(around.lines).any(|line| line.is("set_real_ip_from"));
        if told && trusts && !list.is_empty() {
            let why: Cow<'static, str> = "the address of the client comes by the PROXY protocol".into();
            let clause = Clause::new(Predicate::Opaque(why.clone()), Terminal::unknown(why), line.silent());
            return vec![clause];
        }
        // Once one allows, the others aren't asked: only those before it can refuse.
        let mut before: Vec<Predicate> = Vec::new();
        let mut clauses = Vec::new();
        for rule in list {
            let here = inherit::from_networks(&rule.networks);
            if rule.allow {
                before.push(here.negated());
                continue;
            }
            let when = Predicate::All(before.iter().cloned().chain([here]).collect());
            clauses.push(Clause::new(when, Terminal::Respond(444), rule.origin));
        }
        clauses
    }

    /// The listener of `http {}` at an address of this machine.
    fn own_listener(&self, address: &[u8]) -> Option<usize> {
        let text = String::from_utf8_lossy(address);
        let (host, port) = text.rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        let host: IpAddr = match host.trim_matches(['[', ']']) {
            "localhost" => Ipv4Addr::LOCALHOST.into(),
            host => host.parse().ok()?,
        };
        let takes = |own: &Listener| {
            let any = own.address.is_unspecified() && host.is_loopback() && own.speaks(host.is_ipv6());
            !own.wire.raw && own.port == port && (own.address == host || any)
        };
        let exact = self.gateway.listeners.iter().position(|own| takes(own) && own.address == host);
        exact.or_else(|| self.gateway.listeners.iter().position(takes))
    }

    /// Who handles what isn't read where a connection is passed to a listener of `http {}`.
    fn own_refusals(&self, listener: &Listener) -> Option<(ChainId, Arc<crate::gateway::Errors>)> {
        let chain = self.gateway.chains.get(listener.chain.0)?;
        let Terminal::Then(own) = chain.otherwise else { return None };
        Some((listener.chain, self.gateway.refusals.get(&own)?.clone()))
    }
}

/// The client is nginx itself.
fn from_itself(origin: &Origin) -> Step {
    let everybody = [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())];
    let says = Value::literal(Ipv4Addr::LOCALHOST.to_string());
    let note = "behind `stream` every client has nginx's own address, 127.0.0.1";
    Step::client_ip(Trust { peers: Arc::new(everybody), says, recursive: false }, origin.noted(note))
}
