//! TLS: which options a connection is opened with, and which routers it then may reach.
//!
//! In: the routers of an entry point and the TLS options. Out: where connections start, and for each router the options that it wants.
//! Invariant: options are chosen by the name in the handshake alone, so that a router without hosts in its rule has the default ones; a
//! request over a connection with other options than its router's is answered 421 (measured on 3.7.15).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::build::{Builder, origin};
use super::dynamic::{Dynamic, full_name, provider_of};
use super::node::Node;
use super::rule::Rule;
use super::statics::EntryPoint;
use crate::dialect::{Place, certificates};
use crate::gateway::value::Row;
use crate::gateway::{
    Captures, Chain, ChainId, Clause, Function, Lookup, Origin, Predicate, Step, Terminal, Test, Value,
};

/// The options that a connection was opened with.
const OPTIONS: &str = " tls options";
/// The name of those that hold where nothing else is said.
const DEFAULT: &str = "default";

/// TLS options, as far as they decide.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where they are set.
    place: Place,
    /// Who has no certificate isn't let in.
    required: bool,
    /// A name that no certificate is for isn't let in.
    strict: bool,
}

impl Options {
    /// Options from their settings.
    pub fn of(node: &Node) -> Options {
        let kind = node.path(&["clientAuth", "clientAuthType"]).map(|node| node.value.to_string()).unwrap_or_default();
        let required = ["RequireAnyClientCert", "RequireAndVerifyClientCert"].contains(&kind.as_str());
        Options { place: node.place, required, strict: node.flag("sniStrict") }
    }
}

/// What the routers of an entry point say about TLS.
#[derive(Debug, Default)]
pub struct Choice {
    /// The options of each host.
    hosts: BTreeMap<String, String>,
    /// The options that each router wants.
    routers: BTreeMap<String, String>,
}

impl Choice {
    /// Of the routers of an entry point that speak TLS.
    pub fn of(dynamic: &Dynamic, entry: &EntryPoint, names: &[&String]) -> Choice {
        let mut all: BTreeMap<String, (Vec<String>, String)> = BTreeMap::new();
        for name in names {
            let Some(router) = dynamic.routers.get(*name) else { continue };
            let own = router.tls.as_deref().or(entry.tls.as_deref()).unwrap_or_default();
            let options = match own {
                "" | DEFAULT => DEFAULT.to_owned(),
                own => full_name(own, provider_of(name)),
            };
            let mut hosts = Vec::new();
            if let Ok(rule) = Rule::parse(&router.rule) {
                hosts_of(&rule, &mut hosts);
            }
            all.insert((*name).clone(), (hosts, options));
        }
        let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (hosts, options) in all.values() {
            for host in hosts {
                wanted.entry(host).or_default().insert(options);
            }
        }
        let agreed = |hosts: &[String]| !hosts.is_empty() && hosts.iter().all(|host| wanted[host.as_str()].len() == 1);
        let mut choice = Choice::default();
        for (name, (hosts, options)) in &all {
            let options = if agreed(hosts) { options.as_str() } else { DEFAULT };
            choice.routers.insert(name.clone(), options.to_owned());
            for host in hosts {
                let own = choice.hosts.entry(host.clone()).or_insert_with(|| options.to_owned());
                if own != options {
                    *own = DEFAULT.to_owned();
                }
            }
        }
        choice
    }

    /// A request over a connection with other options than its router's is refused; absent: all have the same.
    pub fn misdirected(&self, router: &str, at: &Origin) -> Option<Clause> {
        let own = self.routers.get(router)?;
        if self.hosts.values().all(|options| options == own) && own == DEFAULT {
            return None;
        }
        let same = Predicate::Value(Value::Variable(OPTIONS.into()), Test::Equals(own.clone().into()));
        let note = format!("the connection was opened with other TLS options than `{own}` (421)");
        Some(Clause::new(same.negated(), Terminal::Error(421), at.noted(note)))
    }

    /// Where connections start that lead to `chain`; absent: all are alike.
    pub fn handshake(&self, builder: &mut Builder<'_>, entry: &EntryPoint, chain: ChainId) -> Option<ChainId> {
        let dynamic = builder.dynamic;
        let default = dynamic.tls_options.iter().find(|(name, _)| name.split('@').next() == Some(DEFAULT));
        let default = default.map(|(_, options)| options.clone()).unwrap_or_default();
        let plain = self.hosts.values().all(|options| options == DEFAULT);
        if plain && !default.required && !default.strict {
            return None;
        }
        let name = || Value::Apply(Function::Lower, Box::new(Value::ServerName));
        let literal = |options: &String| Value::literal(options.as_bytes());
        let (wild, exact): (Vec<_>, Vec<_>) = self.hosts.iter().partition(|(host, _)| host.contains('*'));
        let by_pattern = |(host, options): (&String, &String)| {
            let test = Test::Regex(certificates::pattern([host.as_str()]), Captures::Dropped);
            (Row::Test(test), literal(options))
        };
        let table = Lookup {
            name: "TLS options".to_owned(),
            on: name(),
            exact: exact.into_iter().map(|(host, options)| (host.clone().into_bytes(), literal(options))).collect(),
            any_case: false,
            rows: wild.into_iter().map(by_pattern).collect(),
            otherwise: Value::literal(DEFAULT),
            volatile: false,
        };
        let set = Step::set(OPTIONS.into(), Value::Lookup(Arc::new(table)), Origin::default());
        let mut clauses = vec![Clause::steps(vec![set], Origin::default())];
        let named: BTreeSet<&str> = self.hosts.values().map(String::as_str).chain([DEFAULT]).collect();
        let root = builder.options.root.as_deref();
        let covered = if entry.resolved { None } else { dynamic.certificate_names(&builder.gateway.files, root) };
        for own in named {
            let found = if own == DEFAULT { Some(&default) } else { dynamic.tls_options.get(own) };
            let these = Predicate::Value(Value::Variable(OPTIONS.into()), Test::Equals(own.as_bytes().to_vec()));
            let mut refused = |when: Vec<Predicate>, place: Place, note: String| {
                let when = std::iter::once(these.clone()).chain(when).collect();
                clauses.push(Clause::new(Predicate::All(when), Terminal::Respond(444), origin(place, note)));
            };
            let Some(options) = found else {
                refused(
                    Vec::new(),
                    Place::default(),
                    format!("there are no TLS options `{own}`: no connection comes about"),
                );
                continue;
            };
            if options.required {
                let note = format!(
                    "the TLS options `{own}` want a certificate of the client: without one no connection comes about"
                );
                refused(Vec::new(), options.place, note);
            }
            if let (true, Some(names)) = (options.strict, &covered) {
                let known = Test::Regex(certificates::pattern(names.iter().map(String::as_str)), Captures::Dropped);
                let known = Predicate::Value(name(), known).negated();
                let note =
                    format!("`sniStrict` of the TLS options `{own}`: no certificate is for the name in the handshake");
                refused(vec![known], options.place, note);
            }
        }
        Some(builder.gateway.add(Chain { clauses, otherwise: Terminal::Then(chain), origin: Origin::default() }))
    }
}

/// The hosts of a rule, in lower case; what a negation holds doesn't count.
fn hosts_of(rule: &Rule, out: &mut Vec<String>) {
    match rule {
        Rule::And(left, right) | Rule::Or(left, right) => {
            hosts_of(left, out);
            hosts_of(right, out);
        }
        Rule::Matcher(name, hosts) if name.eq_ignore_ascii_case("host") => {
            out.extend(hosts.iter().map(|host| host.to_lowercase()));
        }
        _ => {}
    }
}
