//! The `reverse_proxy` handler: where a request goes, as what, and with which headers.
//!
//! In: its JSON. Out: clauses. Invariant: the first upstream stands for all; an answer of the upstream is never guessed: what depends on it
//! is unknown.

use std::sync::Arc;
use std::time::Duration;

use super::network::Address;
use super::placeholder::Unknown;
use super::{Compiler, apply, is_set, set, text, texts, var, variable};
use crate::dialect::document::Ref;
use crate::gateway::value::{Join, Row};
use crate::gateway::*;

/// Headers of one connection (hopHeaders of reverseproxy.go).
const HOP: &[&str] = &[
    "Alt-Svc",
    "Connection",
    "Proxy-Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Te",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

/// The address of the upstream in hand.
const UPSTREAM: &str = "http.reverse_proxy.upstream.hostport";

/// What is the same for every `reverse_proxy`, made once.
pub(super) struct Proxied {
    /// The upstream, as the variable of its address says.
    forward: Arc<Forward>,
    /// The body is longer than a limit that only its reader meets.
    body_over: Condition,
    /// A header holds what Go doesn't send.
    control: Condition,
    /// What the upstream's address is made of.
    parts: Vec<Step>,
    /// What headers go through where the peer may be trusted, and where not.
    trusted: Vec<Step>,
    untrusted: Vec<Step>,
}

impl Default for Proxied {
    fn default() -> Proxied {
        let control = Test::Regex(Pattern::of(r"(?-u)[\x00-\x08\x0a-\x1f\x7f]"), Captures::Dropped);
        let localhost = Function::ReplaceStart(Box::new((b":".to_vec(), b"localhost:".to_vec())));
        Proxied {
            forward: Arc::new(Forward {
                upstream: apply(localhost, variable(UPSTREAM)),
                target: Value::Target,
                host: valid_host(Value::First(vec![variable(var::HOST), variable(UPSTREAM)])),
            }),
            body_over: is_set(var::BODY_OVER).into(),
            control: Predicate::Header("*".to_owned(), Lines::Any, control).into(),
            parts: vec![
                set("http.reverse_proxy.upstream.host", apply(Function::WithoutPort, variable(UPSTREAM))),
                set("http.reverse_proxy.upstream.port", apply(Function::PortOf, variable(UPSTREAM))),
            ],
            trusted: forwarded(true),
            untrusted: forwarded(false),
        }
    }
}

impl<'d> Compiler<'d, '_> {
    pub(super) fn reverse_proxy(&mut self, node: Ref<'d>, clauses: &mut Vec<Clause>) {
        let place = node.place();
        let message = Value::literal("http: request body too large");
        let origin = self.origin(place, "the body is longer than `max_size` allows, which the upstream's side notices");
        clauses.push(self.fails(self.proxied.body_over.clone(), Value::literal("413"), message, origin));
        let (upstream, shown) = self.upstream(node);
        let Some(upstream) = upstream else {
            let origin = self.origin(place, "`reverse_proxy` has no upstream: Caddy fails");
            clauses.push(self.fails(
                Predicate::Always,
                Value::literal("503"),
                Value::literal("no upstreams available"),
                origin,
            ));
            return;
        };
        let asks_first =
            node.get("handle_response").is_some_and(|list| list.items().any(|one| one.get("routes").is_some()))
                && node.get("rewrite").is_some();
        if asks_first {
            clauses.push(self.asked_first(node, &shown));
            return;
        }
        clauses.extend(self.cannot_be_sent(node));
        let mut steps =
            vec![set(UPSTREAM, upstream.clone()), set("http.reverse_proxy.upstream.address", upstream.clone())];
        steps.extend(self.proxied.parts.iter().cloned());
        let headers = node.get("headers");
        let (before, edits) = self.copied_headers(headers.and_then(|headers| headers.get("request")));
        steps.extend(before);
        if let Some(rewrite) = node.get("rewrite") {
            let mut rewriting = self.rewrite(rewrite);
            // Only the copy's method changes: the new URI sees the request's.
            if text(rewrite, "method").is_some_and(|method| !method.is_empty()) {
                rewriting.rotate_left(1);
            }
            steps.extend(rewriting);
        }
        steps.extend(self.forwarded(node));
        let transport = node.get("transport");
        if transport.is_some_and(|transport| transport.get("tls").is_some()) {
            steps.push(set(var::HOST, variable(UPSTREAM)));
        }
        steps.extend(edits);
        steps.extend(self.upstream_headers(headers.and_then(|headers| headers.get("response"))));
        steps.extend(self.settings(node));
        let origin = self.origin(place, format!("`reverse_proxy` sends it to {shown}, with the path as it came"));
        clauses.push(Clause::steps(steps, origin));
        let origin = self.origin(place, "a header holds a control character, which Go doesn't send: Caddy fails");
        let message = Value::literal("net/http: invalid header field value");
        clauses.push(self.fails(self.proxied.control.clone(), Value::literal("502"), message, origin));
        let forward = Terminal::Forward(Arc::clone(&self.proxied.forward));
        clauses.push(Clause::new(Predicate::Always, forward, self.origin(place, "")));
    }

    /// What Go's transport fails with before it asks the upstream.
    fn cannot_be_sent(&mut self, node: Ref<'d>) -> Vec<Clause> {
        let place = node.place();
        let mut clauses = Vec::new();
        if ["headers", "rewrite"].into_iter().filter_map(|key| node.get(key)).any(super::routes::reads_body) {
            let why =
                "a header or the rewritten URI takes the body: Caddy fails while it sends the request without one";
            let why = self.reason(place, why);
            let origin = self.origin(place, "the body is taken before it is sent: what the upstream sees is a race");
            clauses.push(Clause::new(Predicate::BodyOver(0), Terminal::unknown(why), origin));
        }
        let own_method = node.path(&["rewrite", "method"]).is_some();
        if self.method_changes && !own_method {
            let token = Pattern::of("^[!#$%&'*+.^_`|~0-9A-Za-z-]*$");
            let is_token = Predicate::Value(Value::Method, Test::Regex(token, Captures::Dropped));
            let origin = self.origin(place, "what the method was changed to is none: Caddy fails");
            let message = Value::literal("net/http: invalid method");
            clauses.push(self.fails(is_token.negated(), Value::literal("502"), message, origin));
        }
        clauses
    }

    /// The address of the first upstream, and how it is written; `None`: there is none.
    fn upstream(&mut self, node: Ref<'d>) -> (Option<Value>, String) {
        if let Some(source) = node.get("dynamic_upstreams") {
            let why = self.reason(source.place(), "`dynamic_upstreams`");
            return (Some(Value::Opaque(why)), "an upstream that is looked up".to_owned());
        }
        let first = node.get("upstreams").and_then(|list| list.items().next());
        let Some(dial) = first.and_then(|first| text(first, "dial")) else { return (None, String::new()) };
        let place = first.unwrap_or(node).place();
        match self.value(dial, Unknown::Empty, place) {
            Value::Literal(bytes) => {
                let written = String::from_utf8_lossy(&bytes).into_owned();
                match Address::parse(&written) {
                    Some(address) => (Some(Value::literal(address.dialed())), written),
                    None => {
                        self.refused(place, format!("`{written}` is no address"));
                        (Some(Value::Opaque(self.reason(place, "an address that is none"))), written)
                    }
                }
            }
            value => (Some(value), dial.to_owned()),
        }
    }

    /// `forward_auth`: another server is asked before the request goes on.
    fn asked_first(&mut self, node: Ref<'d>, shown: &str) -> Clause {
        let place = node.place();
        let why = self.reason(place, format!("the answer of {shown}"));
        let mut clauses = Vec::new();
        for one in node.get("handle_response").into_iter().flat_map(|list| list.items()) {
            let when = match one.get("match") {
                Some(_) => Predicate::Opaque(why.clone()),
                None => Predicate::Always,
            };
            let chain = self.routes(one.get("routes"), Terminal::Return, Origin::default());
            let origin =
                self.origin(one.place(), format!("{shown} is asked first: this is what follows if its answer fits"));
            clauses.push(Clause { when: when.into(), steps: vec![Step::Call(chain)], then: Terminal::Return, origin });
        }
        let origin = self.origin(place, format!("the answer of {shown} goes to the client"));
        let chain = self.chain(clauses, Terminal::unknown(why), origin);
        Clause::steps(vec![Step::Call(chain)], self.origin(place, format!("`forward_auth` asks {shown}")))
    }

    /// The connection's own headers go, those about the way come (prepareRequest, addForwardedHeaders).
    fn forwarded(&self, node: Ref<'d>) -> Vec<Step> {
        let trusted = node.get("trusted_proxies").is_some() || self.client_ip;
        if trusted { self.proxied.trusted.clone() } else { self.proxied.untrusted.clone() }
    }

    /// What holds for the exchange with the upstream.
    fn settings(&mut self, node: Ref<'d>) -> Vec<Step> {
        let mut settings = Vec::new();
        let transport = node.get("transport");
        let time = |name: &str| transport.and_then(|transport| transport.get(name)).and_then(duration);
        settings
            .push(Setting::Timeout(TimeoutOf::Connect, Some(time("dial_timeout").unwrap_or(Duration::from_secs(3)))));
        // Whichever is shorter ends a wait for the first byte.
        let read = ["read_timeout", "response_header_timeout"].into_iter().filter_map(|name| Some((time(name)?, name)));
        let read = read.filter(|(time, _)| !time.is_zero()).min();
        settings.push(Setting::Timeout(TimeoutOf::UpstreamSend, time("write_timeout")));
        let buffers = |name: &str| node.get(name).and_then(super::number).is_some_and(|bytes| bytes != 0);
        settings.push(Setting::BufferResponses(buffers("response_buffers")));
        settings.push(Setting::BufferRequests(buffers("request_buffers")));
        let versions = texts(transport.and_then(|transport| transport.get("versions")));
        let h2c = versions.iter().any(|version| version == "h2c");
        settings.push(Setting::UpstreamHttp(if h2c { "2" } else { "1.1" }));
        let origin = self.origin(transport.unwrap_or(node).place(), "");
        let checked = node.get("health_checks").and_then(|checks| checks.get("active"));
        let check = checked.and_then(|check| {
            let path = text(check, "uri").or(text(check, "path"))?;
            let method = text(check, "method").unwrap_or("GET").to_ascii_uppercase();
            Some(Step::setting(Setting::HealthCheck(method, path.to_owned()), self.origin(check.place(), "")))
        });
        let said = read.and_then(|(_, name)| transport?.get(name));
        let at = said.map_or_else(|| origin.clone(), |said| self.origin(said.place(), ""));
        let read = Step::setting(Setting::Timeout(TimeoutOf::Read, read.map(|(time, _)| time)), at);
        let steps = settings.into_iter().map(|setting| Step::setting(setting, origin.clone()));
        steps.chain([read]).chain(check).collect()
    }
}

/// What every proxied request's headers go through.
fn forwarded(trusted: bool) -> Vec<Step> {
    let edit =
        |name: &str, edit: Edit| Step::request_header(HeaderEdit { name: name.to_owned(), edit }, Origin::default());
    let mut steps: Vec<Step> = HOP.iter().map(|name| edit(name, Edit::Remove)).collect();
    if trusted {
        // What came stays where the peer is trusted: which one that is, isn't told apart here.
        let prior = Value::Header("X-Forwarded-For".to_owned(), Join::With(", "));
        let list = Value::Joined(", ", vec![prior, Value::ClientIp]);
        steps.push(set("forwarded:for", list));
        steps.push(edit("X-Forwarded-For", Edit::Set(variable("forwarded:for"))));
        steps.push(edit("X-Forwarded-Proto", Edit::Default(Value::Scheme)));
        steps.push(edit("X-Forwarded-Host", Edit::Default(variable(var::HOST))));
    } else {
        steps.push(edit("X-Forwarded-For", Edit::Set(Value::ClientIp)));
        steps.push(edit("X-Forwarded-Proto", Edit::Set(Value::Scheme)));
        steps.push(edit("X-Forwarded-Host", Edit::Set(variable(var::HOST))));
    }
    let version = apply(Function::StripPrefix(b"HTTP/".to_vec()), Value::Protocol);
    steps.push(edit("Via", Edit::Add(Value::Concat(vec![version, Value::literal(" Caddy")]))));
    steps
}

/// A Host as Go's transport sends it: nothing if a byte of it may not stand in one (httpguts.ValidHostHeader).
fn valid_host(host: Value) -> Value {
    Value::Lookup(Arc::new(Lookup {
        name: "a valid Host".to_owned(),
        on: host.clone(),
        exact: std::collections::HashMap::new(),
        any_case: false,
        rows: vec![(Row::Test(valid()), host)],
        otherwise: Value::literal(""),
        volatile: true,
    }))
}

/// Bytes that may stand in a Host (httpguts.ValidHostHeader).
pub(super) fn valid() -> Test {
    Test::Regex(Pattern::of(r"^[0-9A-Za-z!$%&()*+,.:;=\[\]'_~-]*$"), Captures::Dropped)
}

/// A duration: nanoseconds, or a text such as `1m30s`, `2d` (caddy.ParseDuration).
pub(super) fn duration(node: Ref<'_>) -> Option<Duration> {
    let text = node.text()?;
    if let Ok(nanoseconds) = text.parse::<u64>() {
        return Some(Duration::from_nanos(nanoseconds));
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let unit = rest[number..].bytes().take_while(|byte| !byte.is_ascii_digit() && *byte != b'.').count();
        let (value, behind) = rest.split_at(number);
        let (unit, behind) = behind.split_at(unit);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return None,
        };
        total += value.parse::<f64>().ok()? * seconds;
        rest = behind;
    }
    Duration::try_from_secs_f64(total).ok()
}
