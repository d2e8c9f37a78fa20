//! Services: where a request goes behind its router.
//!
//! In: a service's full name. Out: a chain that ends at a server, or why Traefik refuses it (which drops every router that uses it).
//! Invariant: a service is built once, whoever uses it (facts: pkg/server/service, pkg/proxy of Traefik, measured on 3.7.15).

use std::sync::Arc;

use super::build::{Builder, Service, origin};
use super::dynamic::{full_name, provider_of};
use super::node::Node;
use super::path::{HOST, variable};
use super::template::unknown_in;
use crate::dialect::Place;
use crate::gateway::{
    Captures, Chain, ChainId, Clause, Forward, Function, Lines, Origin, Pattern, Predicate, Setting, Step, Terminal,
    Test, TimeoutOf, Value,
};

/// The kinds of services.
const KINDS: [&str; 5] = ["loadBalancer", "weighted", "highestRandomWeight", "mirroring", "failover"];

impl Builder<'_> {
    /// A service, named beside something of `provider`. `open`: what is being built.
    ///
    /// Errors: why what uses it is dropped.
    pub fn service(&mut self, name: &str, provider: &str, open: &mut Vec<String>) -> Result<Service, String> {
        let name = full_name(name, provider);
        if let Some(built) = self.services.get(&name) {
            return built.clone();
        }
        let mark = format!("service:{name}");
        if open.contains(&mark) {
            return Err(format!("service `{name}` uses itself"));
        }
        open.push(mark);
        let built = match name.strip_suffix("@internal") {
            Some(own) => self.internal(own),
            None => self.build_service(&name, open).map_err(|why| format!("service `{name}`: {why}")),
        };
        open.pop();
        self.services.insert(name, built.clone());
        built
    }

    fn build_service(&mut self, name: &str, open: &mut Vec<String>) -> Result<Service, String> {
        let dynamic = self.dynamic;
        let node = dynamic.services.get(name).ok_or("it does not exist")?;
        let provider = provider_of(name);
        let given: Vec<&Node> =
            node.children.iter().filter(|child| !child.name.eq_ignore_ascii_case("middlewares")).collect();
        let [kind] = given.as_slice() else {
            return Err(if given.is_empty() { "it has no kind" } else { "it has several kinds" }.to_owned());
        };
        let kind_name = KINDS.iter().find(|name| kind.name.eq_ignore_ascii_case(name)).copied().unwrap_or_default();
        let at = origin(kind.place, format!("service `{}` ({kind_name})", node.name)).shared();
        let service = match kind_name {
            "loadBalancer" => self.load_balancer(kind, provider, &at)?,
            "mirroring" => self.mirroring(kind, provider, open)?,
            "failover" => self.failover(kind, provider, open)?,
            _ => self.weighted(kind, provider, open, &at)?,
        };
        let names: Vec<(String, Place)> =
            node.list("middlewares").into_iter().map(|(name, place)| (name.to_owned(), place)).collect();
        if names.is_empty() {
            return Ok(service);
        }
        let clauses = self.chained(&names, provider, open)?;
        let chain = Chain { clauses, otherwise: Terminal::Then(service.chain), origin: at.noted("") };
        Ok(Service { chain: self.gateway.add(chain), ..service })
    }

    pub(super) fn end(&mut self, otherwise: Terminal, origin: Origin) -> ChainId {
        self.gateway.add(Chain { clauses: Vec::new(), otherwise, origin })
    }

    fn load_balancer(&mut self, node: &Node, provider: &str, at: &Origin) -> Result<Service, String> {
        let strategy = node.text("strategy");
        if !["", "wrr", "p2c", "hrw", "leasttime"].contains(&strategy) {
            return Err(format!("unsupported strategy `{strategy}`"));
        }
        let transport = node.text("serversTransport");
        let servers = node.groups("servers");
        let name = full_name(transport, provider);
        let own = self.dynamic.transports.get(&name);
        if !transport.is_empty() && !servers.is_empty() && own.is_none() && name != "default@internal" {
            return Err(format!("the transport `{name}` does not exist"));
        }
        let mut steps = Vec::new();
        let read = match own.filter(|_| !transport.is_empty()).map(|own| own.get("forwardingTimeouts")) {
            Some(times) => times.and_then(|times| {
                let said = times.get("responseHeaderTimeout")?;
                Some((times.time("responseHeaderTimeout")?, origin(said.place, "")))
            }),
            None => self.statics.forwarding.1.map(|time| (time, Origin::default())),
        };
        if let Some((time, at)) = read.filter(|(time, _)| !time.is_zero()) {
            steps.push(Step::setting(Setting::Timeout(TimeoutOf::Read, Some(time)), at));
        }
        let check = node.get("healthCheck");
        if let Some(check) = check.filter(|check| !check.text("mode").eq_ignore_ascii_case("grpc")) {
            let or = |name: &str, otherwise: &str| match check.text(name) {
                "" => otherwise.to_owned(),
                given => given.to_owned(),
            };
            let asked = Setting::HealthCheck(or("method", "GET").to_ascii_uppercase(), or("path", "/"));
            steps.push(Step::setting(asked, origin(check.place, "")));
        }
        let watched = check.is_some();
        let mut forwards = Vec::new();
        for server in servers {
            forwards.push(server_end(server, node)?);
        }
        let chain = match forwards.into_iter().next() {
            Some(forward) => {
                let steps = Some(Clause::steps(steps, at.noted(""))).filter(|clause| !clause.steps.is_empty());
                let unsendable = Predicate::Header("*".to_owned(), Lines::Any, control_characters());
                let note = "a header holds a control character, which is not sent";
                let mut clauses = vec![Clause::new(unsendable, Terminal::Error(500), at.noted(note))];
                clauses.extend(steps);
                self.gateway.add(Chain { clauses, otherwise: forward, origin: at.clone() })
            }
            None => self.end(Terminal::Error(503), at.noted(format!("{}: it has no server", at.note))),
        };
        Ok(Service { chain, watched })
    }

    fn weighted(
        &mut self,
        node: &Node,
        provider: &str,
        open: &mut Vec<String>,
        at: &Origin,
    ) -> Result<Service, String> {
        let watched = node.get("healthCheck").is_some();
        let mut chains = Vec::new();
        for part in node.groups("services") {
            let service = self.service(part.text("name"), provider, open)?;
            if watched && !service.watched {
                return Err(format!("`{}` has no health check", part.text("name")));
            }
            if part.int("weight").unwrap_or(1) > 0 {
                chains.push(service.chain);
            }
        }
        let Some((&first, others)) = chains.split_first() else {
            let chain = self.end(Terminal::Error(503), at.noted(format!("{}: it has no service", at.note)));
            return Ok(Service { chain, watched });
        };
        // Servers that differ in their address alone are one to a caller; whatever else they do may be another answer.
        let plain = |chain: &ChainId| {
            let chain = self.gateway.chains.get(chain.0);
            let notes = |clause: &Clause| clause.steps.iter().all(|step| matches!(step, Step::Setting(_)));
            chain
                .is_some_and(|chain| chain.clauses.iter().all(notes) && matches!(chain.otherwise, Terminal::Forward(_)))
        };
        let clauses: Vec<Clause> = match chains.iter().all(plain) {
            true => Vec::new(),
            false => {
                let why = "depends on which of the weighted services it meets";
                let maybe =
                    |chain: &ChainId| Clause::new(Predicate::Opaque(why.into()), Terminal::Then(*chain), at.noted(""));
                others.iter().map(maybe).collect()
            }
        };
        let chain = self.gateway.add(Chain { clauses, otherwise: Terminal::Then(first), origin: at.clone() });
        Ok(Service { chain, watched })
    }

    fn mirroring(&mut self, node: &Node, provider: &str, open: &mut Vec<String>) -> Result<Service, String> {
        let service = self.service(node.text("service"), provider, open)?;
        for mirror in node.groups("mirrors") {
            self.service(mirror.text("name"), provider, open)?;
            if !(0..=100).contains(&mirror.int("percent").unwrap_or(0)) {
                return Err("`percent` is from 0 to 100".to_owned());
            }
        }
        Ok(Service { watched: node.get("healthCheck").is_some(), ..service })
    }

    fn failover(&mut self, node: &Node, provider: &str, open: &mut Vec<String>) -> Result<Service, String> {
        let by_status = node.get("errors").is_some_and(|errors| !errors.list("status").is_empty());
        let service = self.service(node.text("service"), provider, open)?;
        if !service.watched && !by_status {
            return Err(format!("`{}` has no health check", node.text("service")));
        }
        let fallback = self.service(node.text("fallback"), provider, open)?;
        let watched = node.get("healthCheck").is_some();
        if watched && !fallback.watched {
            return Err(format!("`{}` has no health check", node.text("fallback")));
        }
        Ok(Service { watched, ..service })
    }
}

/// What becomes of a request that a server gets.
/// What may not stand in a header's value (golang.org/x/net/http/httpguts), such as a part of the path that a middleware put there.
fn control_characters() -> Test {
    Test::Regex(Pattern::of(r"[\x00-\x08\x0a-\x1f\x7f]"), Captures::Dropped)
}

fn server_end(server: &Node, balancer: &Node) -> Result<Terminal, String> {
    let url = server.text("url");
    if let Some(why) = unknown_in(url) {
        return Ok(Terminal::unknown(why));
    }
    let Some(target) = Target::parse(url)? else { return Ok(Terminal::Error(500)) };
    let pass_host = balancer.bool("passHostHeader").unwrap_or(true);
    let own_host = Value::literal(target.authority);
    let host = if pass_host { Value::First(vec![variable(HOST), own_host]) } else { own_host };
    let path = target.path.strip_suffix('/').unwrap_or(target.path);
    let target_value = match server.flag("preservePath") && !target.path.is_empty() {
        true => {
            Value::Concat(vec![Value::literal(path), Value::Apply(Function::LeadingSlash, Box::new(Value::Target))])
        }
        false => Value::Target,
    };
    let upstream = Value::literal(format!("{}:{}", target.host, target.port));
    Ok(Terminal::Forward(Arc::new(Forward { upstream, target: target_value, host })))
}

/// The parts of a server's URL.
struct Target<'u> {
    /// Host and port as written.
    authority: &'u str,
    host: &'u str,
    port: u16,
    path: &'u str,
}

impl Target<'_> {
    /// `None`: a URL that leads nowhere, so that every request fails. Errors: why Traefik refuses it.
    fn parse(url: &str) -> Result<Option<Target<'_>>, String> {
        let bad = || format!("the URL `{url}` can't be read");
        if url.chars().any(|letter| letter.is_control()) {
            return Err(bad());
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            // Without a scheme a colon in the first segment is refused; a word before it is taken for a scheme.
            let (first, _) = url.split_once('/').unwrap_or((url, ""));
            return match first.split_once(':') {
                Some((word, _)) if !word.starts_with(|letter: char| letter.is_ascii_alphabetic()) => Err(bad()),
                _ => Ok(None),
            };
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit('@').next().unwrap_or_default();
        if authority.contains(' ') {
            return Err(bad());
        }
        let default = match scheme.to_ascii_lowercase().as_str() {
            "http" | "h2c" => 80,
            "https" => 443,
            _ => return Ok(None),
        };
        let (host, port) = match authority.rfind(':').filter(|at| !authority[*at..].contains(']')) {
            Some(at) => (&authority[..at], &authority[at + 1..]),
            None => (authority, ""),
        };
        let port = match port {
            "" => default,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().unwrap_or(0),
            _ => return Err(bad()),
        };
        if host.is_empty() || port == 0 {
            return Ok(None);
        }
        Ok(Some(Target { authority, host, port, path }))
    }
}

/// What holds for every request to a server.
pub fn settings(at: &Origin) -> Vec<Step> {
    let seconds = std::time::Duration::from_secs;
    [
        Setting::Timeout(TimeoutOf::Connect, Some(seconds(30))),
        Setting::Timeout(TimeoutOf::Read, None),
        Setting::UpstreamHttp("1.1"),
        Setting::BufferResponses(false),
        Setting::BufferRequests(false),
        Setting::ShowsVersion(false),
    ]
    .into_iter()
    .map(|setting| Step::setting(setting, at.clone()))
    .collect()
}
