//! Servers: where they listen, what Go's net/http refuses before any route, and what automatic HTTPS adds.
//!
//! In: the `http` app. Out: listeners and the chain where their requests start. Invariant: what Caddy does before the first route
//! (ServeHTTP, serveHTTP, enforcementHandler) stands in that chain.

use std::time::Duration;

use super::network::{Address, bound};
use super::routes::guard;
use super::{Compiler, apply, number, set, text, texts, var, variable};
use crate::diag::Severity;
use crate::dialect::Place;
use crate::dialect::document::Ref;
use crate::gateway::value::{Join, Row};
use crate::gateway::*;

/// What a server adds to others: redirects from the HTTP port.
struct Redirects {
    /// The host to listen on.
    host: String,
    /// The names that are redirected; empty: all.
    names: Vec<String>,
    place: Place,
}

impl<'d> Compiler<'d, '_> {
    pub(super) fn servers(&mut self, http: Ref<'d>) {
        let mut servers: Vec<(&str, Ref<'d>)> = http
            .get("servers")
            .into_iter()
            .flat_map(|servers| servers.entries())
            .map(|(entry, server)| (&*entry.key, server))
            .collect();
        servers.sort_by_key(|(name, _)| *name);
        let redirects: Vec<Redirects> = servers.iter().flat_map(|(_, server)| self.redirects(*server)).collect();
        let mut own_http: Vec<String> = Vec::new();
        for (name, server) in &servers {
            own_http.extend(self.server(name, *server, &redirects));
        }
        self.remaining(redirects, &own_http);
    }

    /// The ports that a server listens on.
    fn addresses(&mut self, server: Ref<'d>) -> Vec<(String, u16, Place)> {
        let mut all = Vec::new();
        for listen in server.get("listen").into_iter().flat_map(|list| list.items()) {
            let place = listen.place();
            let written = self.value(listen.text().unwrap_or_default(), super::placeholder::Unknown::Empty, place);
            let Some(written) = written.as_literal().map(|text| String::from_utf8_lossy(text).into_owned()) else {
                self.problem(Severity::Warning, place, "the address is not known", "set its variables with --env-file");
                continue;
            };
            match Address::parse(&written) {
                Some(Address::Network { host, first, last }) => {
                    all.extend((first..=last).map(|port| (host.clone(), port, place)));
                }
                Some(Address::Local(local)) => {
                    self.problem(Severity::Note, place, format!("`{local}` is no network address: it is left out"), "");
                }
                None => self.refused(place, format!("`{written}` is no address")),
            }
        }
        all
    }

    /// Whether a server speaks TLS on ports other than the HTTP port, and for which names it redirects (automaticHTTPSPhase1).
    pub(super) fn speaks_tls(&mut self, server: Ref<'d>) -> (bool, Vec<String>) {
        let auto = server.get("automatic_https");
        let policies = server.get("tls_connection_policies").is_some_and(|list| list.items().next().is_some());
        let ports: Vec<u16> = self.addresses(server).iter().map(|(_, port, _)| *port).collect();
        let disabled = auto.is_some_and(|auto| text(auto, "disable") == Some("true"));
        if disabled || ports.iter().all(|port| *port == self.http_port) {
            return (policies, Vec::new());
        }
        let skip = texts(auto.and_then(|auto| auto.get("skip")));
        let mut names: Vec<String> = Vec::new();
        for set in
            server.get("routes").into_iter().flat_map(|routes| routes.items()).filter_map(|route| route.get("match"))
        {
            for set in set.items() {
                names.extend(texts(set.get("host")).into_iter().filter(|name| !skip.contains(name)));
            }
        }
        let only_https = ports.iter().all(|port| *port == self.https_port);
        (policies || only_https || !names.is_empty(), names)
    }

    fn redirects(&mut self, server: Ref<'d>) -> Vec<Redirects> {
        let (tls, names) = self.speaks_tls(server);
        let auto = server.get("automatic_https");
        let off = |name: &str| auto.is_some_and(|auto| text(auto, name) == Some("true"));
        let addresses = self.addresses(server);
        let plain = addresses.iter().all(|(_, port, _)| *port == self.http_port);
        if !tls || plain || off("disable") || off("disable_redirects") {
            return Vec::new();
        }
        let mut hosts: Vec<Redirects> = Vec::new();
        for (host, _, place) in addresses {
            if !hosts.iter().any(|own| own.host == host) {
                hosts.push(Redirects { host, names: names.clone(), place });
            }
        }
        hosts
    }

    /// Compiles a server; returns the hosts on which it listens on the HTTP port.
    fn server(&mut self, name: &str, server: Ref<'d>, redirects: &[Redirects]) -> Vec<String> {
        let (tls, _) = self.speaks_tls(server);
        let addresses = self.addresses(server);
        self.tls = tls;
        let trusted = server.get("trusted_proxies");
        self.client_ip = trusted.is_some();
        self.intercepts.clear();
        self.named_routes(server.get("named_routes"));
        // Redirects stand behind the routes with host names, and before those without.
        let http_hosts: Vec<String> =
            addresses.iter().filter(|(_, port, _)| *port == self.http_port).map(|(host, ..)| host.clone()).collect();
        let added: Vec<&Redirects> = redirects.iter().filter(|redirect| http_hosts.contains(&redirect.host)).collect();
        let routes = server.get("routes");
        let chain = self.all_routes(routes, &added);
        let entry = self.entry(server, chain);
        let handshake = if tls { self.handshake(server, entry) } else { None };
        let wire = self.wire(server);
        for (host, port, place) in addresses {
            let tls = tls && port != self.http_port;
            let address = bound(&host);
            let speaks = if tls { "HTTPS" } else { "HTTP" };
            let origin = self.origin(
                place,
                format!("the server `{name}` listens on {} with {speaks}", super::network::join(&host, port)),
            );
            self.gateway.listeners.push(Listener {
                address,
                both: true,
                port,
                tls,
                wire: wire.clone(),
                handshake: handshake.filter(|_| tls),
                chain: entry,
                origin,
            });
        }
        http_hosts
    }

    /// The routes, with the redirects that automatic HTTPS puts among them.
    fn all_routes(&mut self, routes: Option<Ref<'d>>, added: &[&Redirects]) -> ChainId {
        let end = self.answered();
        if added.is_empty() {
            return self.routes(routes, end, Origin::default());
        }
        let routes: Vec<Ref<'d>> = routes.into_iter().flat_map(|routes| routes.items()).collect();
        let named =
            |route: &Ref<'_>| route.get("match").is_some_and(|sets| sets.items().any(|set| set.get("host").is_some()));
        let at = routes.iter().rposition(named).map_or(0, |at| at + 1);
        let mut clauses = Vec::new();
        for route in &routes[..at] {
            self.route(*route, &mut clauses);
        }
        for redirect in added.iter().filter(|redirect| !redirect.names.is_empty()) {
            clauses.push(self.redirect(redirect, true));
        }
        for route in &routes[at..] {
            self.route(*route, &mut clauses);
        }
        if let Some(redirect) = added.first() {
            clauses.push(self.redirect(redirect, false));
        }
        self.chain(clauses, end, Origin::default())
    }

    fn redirect(&mut self, redirect: &Redirects, only_names: bool) -> Clause {
        let mut when = vec![super::matchers::protocol("http")];
        if only_names && !redirect.names.is_empty() {
            when.push(self.host_is(&redirect.names, redirect.place));
        }
        let origin = self.origin(redirect.place, "automatic HTTPS redirects to HTTPS");
        Clause::new(Predicate::All(when), Terminal::Respond(308), origin)
    }

    /// The server of its own that redirects where no server listens on the HTTP port.
    fn remaining(&mut self, redirects: Vec<Redirects>, own: &[String]) {
        let rest: Vec<Redirects> = redirects.into_iter().filter(|redirect| !own.contains(&redirect.host)).collect();
        let mut hosts: Vec<String> = Vec::new();
        for redirect in &rest {
            if !hosts.contains(&redirect.host) {
                hosts.push(redirect.host.clone());
            }
        }
        for host in hosts {
            let Some(first) = rest.iter().find(|redirect| redirect.host == host) else { continue };
            let clauses = vec![self.redirect(first, false)];
            let origin = self.origin(first.place, "automatic HTTPS listens on the HTTP port to redirect");
            let end = self.answered();
            let chain = self.chain(clauses, end, Origin::default());
            let chain = self.before_routes(Vec::new(), chain, first.place, None);
            let (address, port) = (bound(&host), self.http_port);
            let wire = Wire::go(16 << 10);
            self.gateway.listeners.push(Listener {
                address,
                both: true,
                port,
                tls: false,
                wire,
                handshake: None,
                chain,
                origin,
            });
        }
    }

    /// What answers where no route did.
    fn answered(&self) -> Terminal {
        Terminal::Respond(200)
    }

    /// Where the requests of a server start.
    fn entry(&mut self, server: Ref<'d>, routes: ChainId) -> ChainId {
        let place = server.place();
        // Error routes stand outside of what intercepts answers.
        self.intercepts.clear();
        let mut steps = Vec::new();
        if let Some(trusted) = server.get("trusted_proxies") {
            steps.push(set(var::CLIENT_IP, self.client_behind(server, trusted)));
        }
        if let Some(errors) =
            server.get("errors").filter(|errors| errors.get("routes").is_some_and(|list| list.items().next().is_some()))
        {
            let failed = Terminal::RespondWith(Box::new(variable(var::FIRST_ERROR)));
            let failed = self.chain(
                Vec::new(),
                failed,
                self.origin(errors.place(), "the error routes fail: the first error's status answers"),
            );
            steps.push(Step::Guard(guard(failed, Vec::new(), Origin::default())));
            let end = Terminal::RespondWith(Box::new(Value::ErrorStatus));
            let ended = self.chain(Vec::new(), Terminal::Return, Origin::default());
            let chain = self.routes(errors.get("routes"), Terminal::Then(ended), Origin::default());
            let origin = self.origin(errors.place(), "no error route answers: the error's status does");
            let clauses = self.intercepted(&Value::ErrorStatus);
            self.gateway.replace(ended, Chain { clauses, otherwise: end, origin });
            // The request is again what the client sent, its headers excepted.
            let mut before = vec![set(var::FIRST_ERROR, Value::ErrorStatus)];
            let original = |name: &str| variable(&format!("http.request.{name}"));
            let method = Some(original("orig_method"));
            before.push(Step::rewrite(Rewrite { method, ..Rewrite::default() }, Origin::default()));
            before.push(set(var::PATH, variable("url:orig_path")));
            before.push(set(var::QUERY, original("orig_uri.query")));
            super::rewrite::settle(&Origin::default(), &mut before);
            let origin = self.origin(errors.place(), "the server's error routes are asked");
            steps.push(Step::Guard(guard(chain, before, origin)));
        }
        steps.extend(self.settings_of(server));
        steps.push(Step::Call(self.logs(server)));
        let strict = self.strict(server);
        self.before_routes(steps, routes, place, strict)
    }

    fn before_routes(&mut self, more: Vec<Step>, routes: ChainId, place: Place, strict: Option<Clause>) -> ChainId {
        let escaped = apply(Function::EscapedPath, Value::RawPath);
        let mut steps = vec![
            set(var::HOST, Value::Authority),
            set(var::PATH, escaped.clone()),
            set("url:orig_path", escaped),
            set(var::QUERY, Value::Query),
            set(var::FORCE, ends_with_question()),
            set("http.request.orig_method", Value::Method),
            set("http.request.orig_uri", Value::SentTarget),
            set("http.request.orig_uri.path", Value::Path),
            set("http.request.orig_uri.query", Value::Query),
        ];
        super::rewrite::settle(&Origin::default(), &mut steps);
        steps.extend(more);
        let mut clauses = vec![Clause::steps(steps, Origin::default())];
        let regex = |pattern: &str| Test::Regex(Pattern::of(pattern), Captures::Dropped);
        let origin = self.origin(place, "the method is longer than 32 bytes");
        let long = Predicate::Value(Value::Method, regex("(?s-u)^.{33,}$"));
        clauses.push(self.fails(long, Value::literal("405"), Value::literal("Method Not Allowed"), origin));
        let no_host = Predicate::All(vec![
            super::matchers::protocol("http/1.1"),
            Predicate::Value(Value::Authority, Test::Equals(Vec::new())),
        ]);
        let origin = self.origin(place, "the Host is empty");
        clauses.push(self.fails(no_host, Value::literal("400"), Value::literal("rfc9112 forbids empty Host"), origin));
        let dots = Predicate::Value(self.host(), regex("^\\.+$"));
        let origin = self.origin(place, "the Host is nothing but dots");
        clauses.push(self.fails(dots, Value::literal("400"), Value::literal("invalid host"), origin));
        let invalid = Predicate::Value(Value::Authority, super::proxy::valid()).negated();
        let origin = self.origin(place, "the Host holds what may not stand in one");
        clauses.push(self.fails(invalid, Value::literal("400"), Value::literal("invalid host"), origin));
        let remove = |name: &str| {
            Step::request_header(HeaderEdit { name: name.to_owned(), edit: Edit::Remove }, Origin::default())
        };
        clauses.push(Clause::steps(vec![remove("*_*"), remove("*.*")], Origin::default()));
        clauses.extend(strict);
        let origin = self.origin(place, "no route answered: an empty 200");
        clauses.push(Clause {
            when: Predicate::Always.into(),
            steps: vec![Step::Call(routes)],
            then: Terminal::Respond(200),
            origin: Origin::default(),
        });
        self.chain(clauses, Terminal::Respond(200), origin)
    }

    /// The client's address where the peer is a trusted proxy.
    fn client_behind(&mut self, server: Ref<'d>, trusted: Ref<'d>) -> Value {
        if text(trusted, "source") != Some("static") {
            return Value::Opaque(self.reason(trusted.place(), "the trusted proxies"));
        }
        let networks = match self.networks(trusted.get("ranges")) {
            Ok(networks) => networks,
            Err(why) => return Value::Opaque(why),
        };
        let headers =
            server.get("client_ip_headers").map_or(vec!["X-Forwarded-For".to_owned()], |list| texts(Some(list)));
        let strict = server.get("trusted_proxies_strict").and_then(number).is_some_and(|strict| strict > 0);
        let from = |name: String| {
            apply(Function::Forwarded(strict.then(|| networks.clone())), Value::Header(name, Join::With(",")))
        };
        let mut found: Vec<Value> = headers.into_iter().map(from).collect();
        found.push(Value::ClientIp);
        Value::Lookup(std::sync::Arc::new(Lookup {
            name: "the client's address".to_owned(),
            on: Value::literal(""),
            exact: std::collections::HashMap::new(),
            any_case: false,
            rows: vec![(Row::When(Predicate::Client(networks)), Value::First(found))],
            otherwise: Value::ClientIp,
            volatile: false,
        }))
    }

    /// What holds for all requests of a server (App.Provision).
    fn settings_of(&mut self, server: Ref<'d>) -> Vec<Step> {
        let time = |name: &str| server.get(name).and_then(super::proxy::duration);
        let or = |name: &str, seconds: u64| Some(time(name).unwrap_or(Duration::from_secs(seconds)));
        let answer = time("write_timeout").filter(|time| !time.is_zero());
        let times = [
            (TimeoutOf::ClientHeader, "read_header_timeout", or("read_header_timeout", 60)),
            (TimeoutOf::ClientBody, "read_idle_timeout", or("read_idle_timeout", 60)),
            (TimeoutOf::Send, "write_idle_timeout", or("write_idle_timeout", 60)),
            (TimeoutOf::Answer, "write_timeout", answer),
            (TimeoutOf::KeepAlive, "idle_timeout", or("idle_timeout", 300)),
        ];
        let place = |name: &str| server.get(name).map_or(server.place(), |own| own.place());
        let times =
            times.map(|(of, name, time)| Step::setting(Setting::Timeout(of, time), self.origin(place(name), "")));
        let version = Step::setting(Setting::ShowsVersion(false), self.origin(server.place(), ""));
        times.into_iter().chain([version]).collect()
    }

    fn wire(&mut self, server: Ref<'d>) -> Wire {
        let most = server.get("max_header_bytes").and_then(number).and_then(|most| u64::try_from(most).ok());
        for name in ["expected_underscore_headers", "expected_dot_headers"] {
            if let Some(node) = server.get(name) {
                self.problem(
                    Severity::Warning,
                    node.place(),
                    format!("`{name}` is not followed: such headers are taken for dropped"),
                    "",
                );
            }
        }
        // Go takes HTTP/2 on plain ports too as soon as it is on at all (2.11.9).
        let protocols = texts(server.get("protocols"));
        let http1_only =
            !protocols.is_empty() && !protocols.iter().any(|protocol| protocol == "h2" || protocol == "h2c");
        let most = most.filter(|most| *most > 0).unwrap_or(16 << 10);
        Wire { http1_only, ..Wire::go(most) }
    }
}

/// `?` where the target ends with its only `?` (`URL.ForceQuery`).
fn ends_with_question() -> Value {
    let pattern = Pattern::of(r"(?s-u)^[^?]*\?$");
    Value::Lookup(std::sync::Arc::new(Lookup {
        name: "a final question mark".to_owned(),
        on: Value::OriginalTarget,
        exact: std::collections::HashMap::new(),
        any_case: false,
        rows: vec![(Row::Test(Test::Regex(pattern, Captures::Dropped)), Value::literal("?"))],
        otherwise: Value::literal(""),
        volatile: true,
    }))
}
