//! A limit counts by something that callers choose: who changes it has a new count.
//!
//! ## What it finds
//!
//! A rate or connection limit whose key is, or is made from, a header, a cookie or an argument of the request; or the client's
//! address where anybody may claim it with `X-Forwarded-For`. It is tried: the same request with another value is counted apart.
//!
//! ## Why it matters
//!
//! A script that sends a new value each time is never limited.
//!
//! ## Wrong
//!
//! ```nginx
//! limit_req_zone $http_x_forwarded_for zone=llm:10m rate=10r/s;
//! ```
//!
//! ```nginx
//! set_real_ip_from 0.0.0.0/0;
//! real_ip_header X-Forwarded-For;
//! ```
//!
//! ```caddyfile
//! key {header.X-Client-Id}
//! ```
//!
//! ```yaml
//! rateLimit:
//!   average: 10
//!   sourceCriterion: {requestHeaderName: X-Client-Id}
//! ```
//!
//! ## Right
//!
//! ```nginx
//! limit_req_zone $binary_remote_addr zone=llm:10m rate=10r/s;
//! ```
//!
//! ```caddyfile
//! key {client_ip}
//! ```
//!
//! ```yaml
//! rateLimit: {average: 10}
//! ```
//!
//! Behind another proxy: believe that proxy's address alone (`set_real_ip_from 10.0.0.1;`, `trusted_proxies static 10.0.0.1`,
//! `forwardedHeaders.trustedIPs`).

use std::collections::BTreeSet;

use crate::analysis::measure::forwards;
use crate::analysis::survey::{self, Route};
use crate::finding::{Finding, Severity};
use crate::gateway::value::Value;
use crate::gateway::{LimitKind, Origin, Per, Step};
use crate::http::Request;
use crate::rules::treatment::{Counted, Told, findings, limits};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "client-chosen-limit-key",
    severity: Severity::Warning,
    source: include_str!("client_chosen_limit_key.rs"),
    check,
};

/// Headers by which addresses are claimed.
const CLAIMS: &[&str] = &["X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP", "True-Client-IP"];

/// What a caller may change about a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Choice {
    Header(String),
    Cookie(String),
    Argument(String),
    Host,
}

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let choices = choices(context);
    let judge = |route: &Route, _: &_| {
        let chosen: Vec<(Counted<'_>, Option<&Choice>)> = limits(route)
            .map(|limit| (limit.origin.clone(), limit))
            .map(|(at, limit)| (limit, chooses(context, route, &at, &choices)))
            .collect();
        chosen.iter().find_map(|(limit, choice)| {
            let choice = (*choice)?;
            // Where the policy has no limit on connections, a weak one is more than it asks for.
            let asked = context.measure.plan.limits.connections.is_some();
            if matches!(limit.limit.kind, LimitKind::Connections { .. }) && !asked {
                return None;
            }
            // Where another one of its kind counts by what nobody chooses, that one holds.
            let kind = std::mem::discriminant(&limit.limit.kind);
            let holds = |(other, choice): &(Counted<'_>, Option<&Choice>)| {
                choice.is_none() && std::mem::discriminant(&other.limit.kind) == kind && other.key != Some(b"")
            };
            (!chosen.iter().any(holds)).then(|| told(limit, choice))
        })
    };
    findings(context, &RULE, &judge, found);
}

fn told(limit: &Counted<'_>, choice: &Choice) -> Told {
    let what = match limit.limit.kind {
        LimitKind::Rate { .. } => "rate limit",
        LimitKind::Connections { .. } => "connection limit",
    };
    let by = match choice {
        Choice::Header(name) => format!("the header `{name}`"),
        Choice::Cookie(name) => format!("the cookie `{name}`"),
        Choice::Argument(name) => format!("the argument `{name}`"),
        Choice::Host => "the Host".to_owned(),
    };
    let message = match limit.limit.per {
        Per::Ip => format!("the {what} counts by an address that anybody may claim with {by}"),
        _ => format!("the {what} counts by {by}, which callers choose"),
    };
    let help = match limit.limit.per {
        Per::Ip => "believe the address of your own proxy alone, or count by the address of the connection",
        _ => {
            "count by the client's address: `$binary_remote_addr` (nginx), `{client_ip}` (Caddy), no `requestHeaderName` or `ipStrategy` (Traefik)"
        }
    };
    Told::new(limit.origin, message, "a new value is a new count", help)
}

/// What makes a limit count the same request apart.
fn chooses<'c>(
    context: &Context<'_>,
    route: &Route,
    origin: &Origin,
    choices: &'c BTreeSet<Choice>,
) -> Option<&'c Choice> {
    let key = limits(route).find(|limit| limit.origin == origin)?.key?.to_vec();
    choices.iter().find(|choice| {
        if **choice == Choice::Host && route.witness.host.is_some() {
            return false;
        }
        let outcome = survey::again(context.gateway, &route.witness, &|request| changed(request, choice));
        let other = Route { outcome, ..route.clone() };
        let counted = limits(&other).find(|limit| limit.origin == origin);
        let other_key = counted.and_then(|limit| limit.key);
        forwards(&other.outcome.verdict) && other_key.is_some_and(|other| other != key)
    })
}

fn changed(request: &mut Request, choice: &Choice) {
    let line = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    match choice {
        Choice::Header(name) => {
            let value = if name == "Forwarded" { "for=198.51.100.77" } else { "198.51.100.77" };
            request.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name.as_bytes()));
            request.headers.push(line(name, value));
        }
        Choice::Cookie(name) => request.headers.push(line("Cookie", &format!("{name}=another"))),
        Choice::Argument(name) => {
            request.target.push(if request.target.contains(&b'?') { b'&' } else { b'?' });
            request.target.extend(format!("{name}=another").bytes());
        }
        Choice::Host => {
            request.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(b"host"));
            request.headers.push(line("Host", "another.example.com"));
        }
    }
}

/// What a caller may change: what claims an address, and what the config's own values are made of, credentials aside.
fn choices(context: &Context<'_>) -> BTreeSet<Choice> {
    let mut choices: BTreeSet<Choice> = CLAIMS.iter().map(|name| Choice::Header((*name).to_owned())).collect();
    let mut note = |value: &Value| {
        value.any(&mut |part| {
            match part {
                Value::Header(name, _) => {
                    let same = |known: &Choice| matches!(known, Choice::Header(own) if own.eq_ignore_ascii_case(name));
                    let chosen = !part.is_credential() && name != "*" && !name.eq_ignore_ascii_case("host");
                    if chosen && !choices.iter().any(same) {
                        choices.insert(Choice::Header(name.clone()));
                    }
                }
                Value::Cookie(name) => drop(choices.insert(Choice::Cookie(name.clone()))),
                Value::Argument(name) | Value::Parameter(name) => drop(choices.insert(Choice::Argument(name.clone()))),
                Value::Query | Value::SentTarget | Value::OriginalTarget | Value::Target => {
                    choices.insert(Choice::Argument("x".to_owned()));
                }
                Value::Host | Value::Authority => drop(choices.insert(Choice::Host)),
                _ => {}
            }
            false
        });
    };
    let by_variable = limits_by_variable(context);
    let chains = context.gateway.chains.iter();
    for step in chains.flat_map(|chain| &chain.clauses).flat_map(|clause| &clause.steps) {
        match step {
            Step::Limit(limit) => note(&limit.what.key),
            // Whatever a variable is made of may be what a key is made of.
            Step::Set(set) if by_variable => note(&set.what.1),
            _ => {}
        }
    }
    choices
}

/// Whether some limit counts by a variable.
fn limits_by_variable(context: &Context<'_>) -> bool {
    let steps = context.gateway.chains.iter().flat_map(|chain| &chain.clauses).flat_map(|clause| &clause.steps);
    steps.into_iter().any(|step| match step {
        Step::Limit(limit) => limit.what.key.any(&mut |part| matches!(part, Value::Variable(_))),
        _ => false,
    })
}
