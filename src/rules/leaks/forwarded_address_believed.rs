//! Anybody may say which address they come from.
//!
//! ## What it finds
//!
//! The gateway takes a caller's address from a header, whoever sends it (`set_real_ip_from 0.0.0.0/0`, `trusted_proxies 0.0.0.0/0`), and
//! limits or lists go by that address.
//!
//! ## Why it matters
//!
//! A new address with each request is a new limit with each request: keys can be guessed as fast as the line allows. Lists of addresses open
//! for whoever names one of them.
//!
//! ## A request that shows it
//!
//!     curl -i -H 'X-Forwarded-For: 198.51.100.1' http://HOST:8080/v1/models
//!
//! ## Wrong
//!
//! ```nginx
//! set_real_ip_from 0.0.0.0/0;
//! real_ip_header X-Forwarded-For;
//! ```
//!
//! ## Right
//!
//! ```nginx
//! set_real_ip_from 10.0.0.5;
//! real_ip_header X-Forwarded-For;
//! ```
//!
//! ```caddyfile
//! { servers { trusted_proxies static 10.0.0.5/32 } }
//! ```

use ipnet::IpNet;

use super::said;
use crate::finding::{Finding, Severity};
use crate::gateway::{Origin, Per, Predicate, Step, Trust};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "forwarded-address-believed",
    severity: Severity::Warning,
    source: include_str!("forwarded_address_believed.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let routes = context.survey.routes.iter().chain(&context.survey.refusals);
    let limited = routes.flat_map(|route| &route.outcome.limits).any(|(limit, _)| limit.per == Per::Ip);
    let clauses = || context.gateway.chains.iter().flat_map(|chain| &chain.clauses);
    let listed = clauses().any(|clause| clause.when.any(&mut |part| matches!(part, Predicate::Client(_))));
    let what = match (limited, listed) {
        (true, _) => "limits for each address",
        (false, true) => "lists of addresses",
        (false, false) => return,
    };
    let steps = clauses().flat_map(|clause| clause.steps.iter().map(move |step| (step, &clause.origin)));
    let all: Vec<&Origin> = steps.filter_map(|(step, origin)| everybody(step, origin)).collect();
    let mut known = Vec::new();
    for place in all.into_iter().filter_map(|origin| said(context, origin)) {
        let key = (place.file.name.clone(), place.span);
        if known.contains(&key) {
            continue;
        }
        known.push(key);
        let message = format!("anybody may say which address they come from, and {what} go by that");
        let finding = Finding::new(RULE.id, RULE.severity, message, place).label("every peer is believed");
        found.push(finding.help("believe the addresses of your own proxies and nobody else's"));
    }
}

/// The place of a step that believes everybody.
fn everybody<'o>(step: &'o Step, clause: &'o Origin) -> Option<&'o Origin> {
    let Step::ClientIp(said) = step else { return None };
    let Trust { peers, .. } = &said.what;
    let all = |network: &IpNet| network.prefix_len() == 0;
    let own = if said.origin == Origin::default() { clause } else { &said.origin };
    peers.iter().any(all).then_some(own)
}
