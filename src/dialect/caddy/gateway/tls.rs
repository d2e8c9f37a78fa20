//! TLS: which connections come about, and which requests they may carry.
//!
//! In: a server's `tls_connection_policies`, and where certificates come from. Out: where connections start, and the check of their names.
//! Invariant: only what is certain closes a connection: a name is refused where all certificates are known and none is for it (facts:
//! modules/caddytls/connpolicy.go, modules/caddyhttp/server.go, measured on 2.11.9).

use super::{Compiler, text, texts};
use crate::dialect::certificates;
use crate::dialect::document::Ref;
use crate::gateway::*;

/// What `client_authentication` does not turn away: a client without a certificate.
const OPTIONAL: &[&str] = &["request", "verify_if_given"];

impl<'d> Compiler<'d, '_> {
    /// Where connections of a server with TLS start that lead to `chain`; absent: all come about.
    pub(super) fn handshake(&mut self, server: Ref<'d>, chain: ChainId) -> Option<ChainId> {
        let policies: Vec<Ref<'d>> =
            server.get("tls_connection_policies").into_iter().flat_map(|list| list.items()).collect();
        let known = self.certified.clone();
        let mut clauses = Vec::new();
        for policy in &policies {
            let place = policy.place();
            let when = Predicate::All(policy.get("match").map_or(Vec::new(), |set| self.connections(set)));
            let covered = policy.get("certificate_selection").is_none()
                && ["default_sni", "fallback_sni"]
                    .iter()
                    .all(|name| text(*policy, name).unwrap_or_default().is_empty());
            if let Some(asks) = client_authentication(*policy).filter(|asks| !OPTIONAL.contains(&mode(*asks))) {
                let note = "this policy wants a certificate of the client: without one no connection comes about";
                clauses.push(Clause::new(when, Terminal::Respond(444), self.origin(asks.place(), note)));
                continue;
            }
            if let Some(names) = known.as_ref().filter(|_| covered) {
                let note = "no certificate is for the name in the handshake";
                let unknown = Predicate::All(vec![when.clone(), name_is(names).negated()]);
                clauses.push(Clause::new(unknown, Terminal::Respond(444), self.origin(place, note)));
            }
            clauses.push(Clause::new(when, Terminal::Then(chain), self.origin(place, "")));
        }
        if policies.is_empty() {
            let note = "no certificate is for the name in the handshake";
            let unknown = name_is(known.as_ref()?).negated();
            clauses.push(Clause::new(unknown, Terminal::Respond(444), self.origin(server.place(), note)));
        }
        let (otherwise, note) = match policies.is_empty() {
            true => (Terminal::Then(chain), ""),
            false => (Terminal::Respond(444), "no policy is for this connection"),
        };
        let origin = self.origin(server.place(), note);
        Some(self.chain(clauses, otherwise, origin))
    }

    /// The check that a request names the host that its connection was opened for (`strict_sni_host`).
    pub(super) fn strict(&mut self, server: Ref<'d>) -> Option<Clause> {
        let mut policies = server.get("tls_connection_policies").into_iter().flat_map(|list| list.items());
        let asks = policies.find_map(client_authentication);
        let (strict, place, why) = match (text(server, "strict_sni_host"), asks) {
            (Some(said), _) => {
                (said == "true", server.get("strict_sni_host").map_or(server.place(), Ref::place), "`strict_sni_host`")
            }
            (None, Some(asks)) => (true, asks.place(), "a policy of this server asks for certificates of clients"),
            (None, None) => return None,
        };
        let same = Test::AnyCase(Box::new(Test::Same(Box::new(Value::ServerName))));
        let other =
            Predicate::All(vec![super::matchers::protocol("https"), Predicate::Value(self.host(), same).negated()]);
        let origin = self.origin(place, format!("{why}: the Host is not the name in the handshake (421)"));
        let message = Value::literal("strict host matching: TLS ServerName and HTTP Host differ");
        strict.then(|| self.fails(other, Value::literal("421"), message, origin))
    }

    /// What the matchers of a policy want.
    fn connections(&mut self, set: Ref<'d>) -> Vec<Predicate> {
        let mut all = Vec::new();
        for (entry, node) in set.entries() {
            all.push(match &*entry.key {
                "sni" => name_is(&texts(Some(node))),
                "remote_ip" => {
                    let any = self.networks(node.get("ranges")).map_or_else(Predicate::Opaque, Predicate::Client);
                    let none = self.networks(node.get("not_ranges")).map_or_else(Predicate::Opaque, Predicate::Client);
                    match (node.get("ranges"), node.get("not_ranges")) {
                        (None, None) => Predicate::Always,
                        (Some(_), None) => any,
                        (None, Some(_)) => none.negated(),
                        (Some(_), Some(_)) => Predicate::All(vec![any, none.negated()]),
                    }
                }
                other => Predicate::Opaque(self.reason(node.place(), format!("the matcher `{other}` of connections"))),
            });
        }
        all
    }

    /// The names that certificates are for: those of the files, and those that Caddy gets by itself. Absent: not all are known here.
    pub(super) fn certificate_names(&mut self, apps: Ref<'d>) -> Option<Vec<String>> {
        let tls = apps.get("tls");
        let of = |name: &str| tls.and_then(|tls| tls.get(name));
        let policies =
            || of("automation").and_then(|own| own.get("policies")).into_iter().flat_map(|list| list.items());
        if policies().any(|policy| policy.get("get_certificate").is_some() || text(policy, "on_demand") == Some("true"))
        {
            return None;
        }
        let mut names = Vec::new();
        for (entry, source) in of("certificates").into_iter().flat_map(|sources| sources.entries()) {
            match &*entry.key {
                "automate" => names.extend(texts(Some(source))),
                "load_files" => {
                    for file in source.items() {
                        let root = self.options.root.as_deref();
                        names.extend(certificates::names(&self.gateway.files, root, text(file, "certificate")?)?);
                    }
                }
                _ => return None,
            }
        }
        for (_, server) in apps.path(&["http", "servers"]).into_iter().flat_map(|servers| servers.entries()) {
            let (_, own) = self.speaks_tls(server);
            names.extend(own);
        }
        // A name with a placeholder is any, and whoever comes by an address needs no name.
        let any = |name: &String| name.contains('{') || name.parse::<std::net::IpAddr>().is_ok();
        (!names.iter().any(any)).then_some(names)
    }
}

/// The name in the handshake is one of these, in which `*` stands for a label.
fn name_is(names: &[String]) -> Predicate {
    let pattern = certificates::pattern(names.iter().map(String::as_str));
    Predicate::Value(Value::ServerName, Test::Regex(pattern, Captures::Dropped))
}

/// What a policy asks of clients, if that is anything.
fn client_authentication<'d>(policy: Ref<'d>) -> Option<Ref<'d>> {
    policy.get("client_authentication").filter(|asks| asks.entries().next().is_some())
}

/// How much of it: by default all.
fn mode(asks: Ref<'_>) -> &str {
    text(asks, "mode").unwrap_or_default()
}
