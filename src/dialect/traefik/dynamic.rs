//! The dynamic configuration: routers, middlewares and services of all providers under their full names.
//!
//! In: the settings that each provider delivers. Out: a [`Dynamic`]. Invariant: a full name is `NAME@PROVIDER`; what a provider drops
//! isn't in it (facts: pkg/server/aggregator.go, pkg/provider/merge.go of Traefik, measured on 3.7.15).

use std::collections::BTreeMap;

use super::node::Node;
use super::tls;
use crate::dialect::Place;

/// Everything that providers deliver.
#[derive(Debug, Default)]
pub struct Dynamic {
    /// Routers by full name.
    pub routers: BTreeMap<String, Router>,
    /// Middlewares by full name.
    pub middlewares: BTreeMap<String, Node>,
    /// Services by full name.
    pub services: BTreeMap<String, Node>,
    /// The transports towards servers by full name.
    pub transports: BTreeMap<String, Node>,
    /// TLS options by full name.
    pub tls_options: BTreeMap<String, tls::Options>,
    /// The files with certificates.
    pub certificates: Vec<String>,
    /// Whether certificates may come from elsewhere.
    pub other_certificates: bool,
    /// Why something of a provider can't be known, and where.
    pub opaque: Option<(Place, String)>,
}

/// A router.
#[derive(Debug, Clone, Default)]
pub struct Router {
    /// Where it is defined.
    pub place: Place,
    /// The rule's text.
    pub rule: String,
    /// Where the rule stands.
    pub rule_place: Place,
    /// Whether a provider made the rule up.
    pub default_rule: bool,
    /// `v2` or `v3`; empty: not said.
    pub syntax: String,
    /// The priority as set; 0: the rule's length.
    pub priority: i64,
    /// Where it listens; empty: the default entry points.
    pub entry_points: Vec<String>,
    /// Middlewares in order, as named.
    pub middlewares: Vec<(String, Place)>,
    /// The service as named; empty: none.
    pub service: String,
    /// Routers above it, as named; absent: it is a root.
    pub parents: Option<Vec<String>>,
    /// The TLS options, if it speaks TLS; empty: the default ones.
    pub tls: Option<String>,
    /// Whether its certificate comes from a resolver.
    pub resolved: bool,
    /// Whether something is said about its logs, which only roots may.
    pub observed: bool,
    /// Whether its requests are written to the access log; absent: as the entry point says.
    pub logged: Option<bool>,
}

impl Router {
    /// A router from its settings.
    pub fn of(node: &Node) -> Router {
        let list = |name: &str| node.list(name).into_iter().map(|(text, _)| text.to_owned()).collect::<Vec<_>>();
        Router {
            place: node.place,
            rule: node.text("rule").to_owned(),
            rule_place: node.get("rule").map_or(node.place, |rule| rule.value_place),
            default_rule: false,
            syntax: node.text("ruleSyntax").to_owned(),
            priority: node.int("priority").unwrap_or(0),
            entry_points: list("entryPoints"),
            middlewares: node.list("middlewares").into_iter().map(|(name, place)| (name.to_owned(), place)).collect(),
            service: node.text("service").to_owned(),
            parents: node.get("parentRefs").map(|_| list("parentRefs")).filter(|parents| !parents.is_empty()),
            tls: node.get("tls").filter(|tls| !switched_off(tls)).map(|tls| tls.text("options").to_owned()),
            resolved: node.path(&["tls", "certResolver"]).is_some(),
            observed: node.get("observability").is_some(),
            logged: node.get("observability").and_then(|node| node.bool("accessLogs")),
        }
    }
}

/// Whether a group that may be empty is written as a text other than `true`, which leaves it out.
pub fn switched_off(node: &Node) -> bool {
    !node.value.is_empty() && !node.value.eq_ignore_ascii_case("true")
}

/// The full name of something named beside `holder`, the full name of what names it.
pub fn full_name(name: &str, provider: &str) -> String {
    if name.contains('@') { name.to_owned() } else { format!("{name}@{provider}") }
}

/// The provider of a full name.
pub fn provider_of(name: &str) -> &str {
    name.split('@').nth(1).unwrap_or_default()
}

impl Dynamic {
    /// The names that certificates are for; absent: not all are known here.
    pub fn certificate_names(
        &self,
        config: &[crate::source::SourceFile],
        root: Option<&std::path::Path>,
    ) -> Option<Vec<String>> {
        if self.other_certificates || self.routers.values().any(|router| router.resolved) {
            return None;
        }
        let each = self.certificates.iter().map(|file| match file.contains("-----BEGIN") {
            true => crate::dialect::certificates::names_in(file.as_bytes()),
            false => crate::dialect::certificates::names(config, root, file),
        });
        let all: Option<Vec<Vec<String>>> = each.collect();
        // Whoever comes by an address needs no name.
        let named = |names: &Vec<String>| !names.iter().any(|name| name.parse::<std::net::IpAddr>().is_ok());
        all.map(|all| all.concat()).filter(named)
    }

    /// Adds what a provider delivers: the top of a dynamic configuration. What is there already stays; its names are returned.
    pub fn add(&mut self, top: &Node, provider: &str) -> Vec<(String, Place)> {
        let mut twice = Vec::new();
        let mut once = |taken: bool, node: &Node| {
            if taken {
                twice.push((node.name.to_string(), node.place));
            }
            !taken
        };
        let named = |kind: &str| top.path(&["http", kind]).map(|node| node.children.as_slice()).unwrap_or_default();
        for node in named("routers") {
            let name = full_name(&node.name, provider);
            if once(self.routers.contains_key(&name), node) {
                self.routers.insert(name, Router::of(node));
            }
        }
        for node in named("middlewares") {
            let name = full_name(&node.name, provider);
            if once(self.middlewares.contains_key(&name), node) {
                self.middlewares.insert(name, node.clone());
            }
        }
        for node in named("services") {
            let name = full_name(&node.name, provider);
            if once(self.services.contains_key(&name), node) {
                self.services.insert(name, node.clone());
            }
        }
        for node in named("serversTransports") {
            self.transports.entry(full_name(&node.name, provider)).or_insert_with(|| node.clone());
        }
        let options = top.path(&["tls", "options"]).map(|node| node.children.as_slice()).unwrap_or_default();
        let named = options.iter().map(|node| (full_name(&node.name, provider), tls::Options::of(node)));
        self.tls_options.extend(named);
        let files = top.path(&["tls", "certificates"]).map(|node| node.children.as_slice()).unwrap_or_default();
        self.certificates.extend(files.iter().map(|node| node.text("certFile").to_owned()));
        self.other_certificates |= top.path(&["tls", "stores"]).is_some();
        twice
    }
}
