//! Callers choose the server that the gateway sends their request to.
//!
//! ## What it finds
//!
//! The address of the upstream is made of something that callers write: a header, an argument of the query, a cookie, the path, the Host.
//!
//! ## Why it matters
//!
//! The gateway stands where callers don't: it reaches the model server's port, other machines of its network, a cloud's metadata service.
//! Who chooses the server needs none of the rules for the ones that are meant (server-side request forgery).
//!
//! ## A request that shows it
//!
//!     curl -i -H 'X-Upstream: 127.0.0.1:11434' -X DELETE http://HOST:8080/api/delete
//!
//! ## Wrong
//!
//! ```nginx
//! location / { proxy_pass http://$http_x_upstream; }
//! ```
//!
//! ```caddyfile
//! reverse_proxy {header.X-Upstream}
//! ```
//!
//! ## Right
//!
//! Choose among servers that the config names:
//!
//! ```nginx
//! map $http_x_upstream $server { gpu2 10.0.0.2:11434; default 10.0.0.1:11434; }
//! location / { proxy_pass http://$server; }
//! ```
//!
//! ```caddyfile
//! @gpu2 header X-Upstream gpu2
//! reverse_proxy @gpu2 10.0.0.2:11434
//! reverse_proxy 10.0.0.1:11434
//! ```
//!
//! Traefik's servers are fixed.

use std::collections::HashSet;

use std::collections::BTreeSet;

use super::{asked, lets_through, on_the_way};
use crate::analysis::answer;
use crate::analysis::caller::{Caller, Who};
use crate::analysis::entry::{self, Entry};
use crate::analysis::survey::{self, Witness};
use crate::analysis::witness::Twist;
use crate::finding::{Finding, Severity};
use crate::gateway::eval::{Outcome, Verdict};
use crate::gateway::{Gateway, Step, Terminal, Value};
use crate::rules::leaks::spelled;
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "upstream-chosen-by-client",
    severity: Severity::Error,
    source: include_str!("upstream_chosen_by_client.rs"),
    check,
};

/// A server that no config names; an address, since names need a resolver.
const SERVER: &str = "198.51.100.99";
/// How callers write it: alone, and as a whole URL.
const CHOSEN: [&str; 2] = [SERVER, "http://198.51.100.99/"];
/// How many paths of a config are tried.
const MOST_PATHS: usize = 40;

/// What callers write, and that an upstream's address may be made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Carrier {
    /// The Host.
    Host,
    /// A header.
    Header(String),
    /// An argument of the query.
    Argument(String),
    /// A cookie.
    Cookie(String),
    /// A part of the path.
    Path,
}

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let carriers = carriers(context.gateway);
    if carriers.is_empty() {
        return;
    }
    let mut known = HashSet::new();
    for entry in entry::entries(context.gateway).iter().filter(|entry| entry.forwards(context.gateway)) {
        for caller in callers(context, entry) {
            for (carrier, text) in carriers.iter().flat_map(|carrier| CHOSEN.map(|text| (carrier, text))) {
                for target in targets(context.gateway, entry, carrier) {
                    let Some(witness) = asks(context.gateway, entry, &caller, (carrier, text), &target) else {
                        continue;
                    };
                    let outcome = answer::ask(context.gateway, &witness.request);
                    let Some(outcome) = outcome.filter(is_chosen) else { continue };
                    let place = survey::gap_at(&outcome);
                    if known.contains(&place) {
                        continue;
                    }
                    known.insert(place);
                    found.extend(finding(context, carrier, &witness, &outcome));
                }
            }
        }
    }
}

fn is_chosen(outcome: &Outcome) -> bool {
    matches!(&outcome.verdict, Verdict::Proxied { upstream, .. } if upstream.contains(SERVER))
}

fn finding(context: &Context<'_>, carrier: &Carrier, witness: &Witness, outcome: &Outcome) -> Option<Finding> {
    let who = if witness.caller.who == Who::Client { "any client" } else { "anybody" };
    let by = match carrier {
        Carrier::Host => "the Host".to_owned(),
        Carrier::Header(name) => format!("the header `{}`", spelled(name)),
        Carrier::Argument(name) => format!("`?{name}=`"),
        Carrier::Cookie(name) => format!("the cookie `{name}`"),
        Carrier::Path => "the path".to_owned(),
    };
    let message = format!("{who} chooses the server that gets the request, by {by}");
    let severity = if witness.caller.who == Who::Client { Severity::Warning } else { RULE.severity };
    let finding = Finding::new(RULE.id, severity, message, lets_through(context.gateway, outcome)?);
    let finding =
        finding.label("the address is made of what callers write").help("choose among servers that the config names");
    Some(on_the_way(context.gateway, outcome, finding).shown_by(witness, asked(context, witness, outcome)))
}

/// Nobody, and a client who gets through the same way in.
fn callers(context: &Context<'_>, entry: &Entry) -> Vec<Caller> {
    let routes = context.survey.routes.iter().map(|route| &route.witness);
    let mut own = routes.filter(|own| own.caller.who == Who::Client && own.listener == entry.listener);
    std::iter::once(Caller::nobody()).chain(own.next().map(|own| own.caller.clone())).collect()
}

/// The targets to try: paths of the config, with the address in place of a part where the path carries it.
fn targets(gateway: &Gateway, entry: &Entry, carrier: &Carrier) -> BTreeSet<String> {
    let own = entry.boundaries(gateway).paths.iter().filter_map(|path| std::str::from_utf8(path).ok());
    let sendable = |path: &&str| path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    let own = || std::iter::once("/").chain(own.clone().filter(sendable).take(MOST_PATHS));
    if *carrier != Carrier::Path {
        return own().map(str::to_owned).collect();
    }
    let replaced = own().flat_map(|path| {
        let parts: Vec<&str> = path.split('/').collect();
        let with = |at: usize| {
            let part = |(index, part): (usize, &&str)| if index == at { SERVER.to_owned() } else { (*part).to_owned() };
            parts.iter().enumerate().map(part).collect::<Vec<_>>().join("/")
        };
        let behind = format!("{}/{SERVER}/x", path.trim_end_matches('/'));
        (1..parts.len()).map(with).chain([behind, format!("{path}{SERVER}")]).collect::<Vec<_>>()
    });
    replaced.collect()
}

/// The request that carries the address.
fn asks(
    gateway: &Gateway,
    entry: &Entry,
    caller: &Caller,
    (carrier, text): (&Carrier, &str),
    target: &str,
) -> Option<Witness> {
    let mut caller = caller.clone();
    let mut host = entry.host.clone();
    match carrier {
        Carrier::Host => host = Some(text.into()),
        Carrier::Header(name) => caller.headers.push((spelled(name).into_bytes(), text.into())),
        Carrier::Cookie(name) => caller.headers.push((b"Cookie".to_vec(), format!("{name}={text}").into_bytes())),
        Carrier::Argument(name) if caller.argument.is_none() => caller.argument = Some((name.clone(), text.into())),
        Carrier::Argument(_) | Carrier::Path => {}
    }
    let listener = gateway.listeners.get(entry.listener)?;
    let request = caller.sends(entry::request(listener, host.as_deref(), "GET", target));
    Some(Witness { request, caller, twist: Twist::Own, listener: entry.listener, host, extra: Vec::new() })
}

/// What the computed addresses of upstreams may be made of; empty: they are all fixed.
fn carriers(gateway: &Gateway) -> BTreeSet<Carrier> {
    let mut found = BTreeSet::new();
    let chains = || gateway.chains.iter();
    let ends = chains().flat_map(|chain| chain.clauses.iter().map(|clause| &clause.then).chain([&chain.otherwise]));
    let mut computed = false;
    for end in ends {
        if let Terminal::Forward(forward) = end
            && forward.upstream.as_literal().is_none()
        {
            computed = true;
            collect(&forward.upstream, &mut found);
        }
    }
    if computed {
        let steps = chains().flat_map(|chain| &chain.clauses).flat_map(|clause| &clause.steps);
        for step in steps {
            if let Step::Set(said) = step {
                collect(&said.what.1, &mut found);
            }
        }
        found.extend([Carrier::Host, Carrier::Path]);
    }
    found
}

fn collect(value: &Value, found: &mut BTreeSet<Carrier>) {
    value.any(&mut |part| {
        match part {
            Value::Header(name, _) if !name.eq_ignore_ascii_case("host") => {
                found.insert(Carrier::Header(name.to_ascii_lowercase()));
            }
            Value::Argument(name) | Value::Parameter(name) => {
                found.insert(Carrier::Argument(name.clone()));
            }
            Value::Cookie(name) => {
                found.insert(Carrier::Cookie(name.clone()));
            }
            _ => {}
        }
        false
    });
}
