//! An origin that only looks like an allowed one is allowed too.
//!
//! ## What it finds
//!
//! The pattern for origins isn't anchored, or its dots stand for any character: `https://app.example.com.evil.example` passes, or
//! `https://evilexample.com`, or `null`, which every sandboxed page sends.
//!
//! ## Why it matters
//!
//! Anybody can have such a name, and then the pages there are as good as your own.
//!
//! ## A request that shows it
//!
//!     curl -i -H 'Origin: https://app.example.com.evil.example' http://HOST:8080/v1/models
//!
//! ## Wrong
//!
//! ```nginx
//! map $http_origin $cors { default ""; "~^https://app.example.com" $http_origin; }
//! ```
//!
//! ```yaml
//! accessControlAllowOriginListRegex: ["https://app.example.com"]
//! ```
//!
//! ## Right
//!
//! ```nginx
//! map $http_origin $cors { default ""; "~^https://app\.example\.com$" $http_origin; }
//! ```
//!
//! ```yaml
//! accessControlAllowOriginList: ["https://app.example.com"]
//! ```

use std::collections::HashSet;

use super::{FOREIGN, allowed, asked, host, needs_no_key, once, own_origins, readable, routes, with_credentials};
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "origin-lookalike-allowed",
    severity: Severity::Error,
    source: include_str!("origin_lookalike_allowed.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let routes = routes(context);
    if routes.is_empty() {
        return;
    }
    let origins = own_origins(context);
    let mut known = HashSet::new();
    for route in routes {
        let reads = |origin: &str| {
            let outcome = asked(context, route, origin)?;
            Some((allowed(&outcome, origin)?, with_credentials(&outcome), outcome))
        };
        if reads(FOREIGN).is_some() {
            continue;
        }
        let others = origins.iter().flat_map(|origin| lookalikes(origin));
        let others = others.filter(|other| !origins.contains(&other.origin));
        let null = Lookalike { origin: "null".to_owned(), unlike: None };
        for other in others.chain([null]) {
            // Where its neighbours are allowed as well, all of that domain are meant.
            if other.unlike.as_ref().is_some_and(|unlike| reads(unlike).is_some()) {
                continue;
            }
            let Some((line, kept, outcome)) = reads(&other.origin) else { continue };
            let Some(place) = context.place(&line.origin).filter(|_| once(&mut known, &line)) else { continue };
            let severity = if kept && needs_no_key(context, route) { Severity::Error } else { Severity::Warning };
            let message = format!("pages of `{}` may read the answers", other.origin);
            let help = match other.origin.as_str() {
                "null" => "don't allow `null`: every sandboxed page has it".to_owned(),
                _ => "compare the whole origin: `^` before it, `$` behind it, `\\.` for its dots".to_owned(),
            };
            let label = "this header lets them";
            let finding = Finding::new(RULE.id, severity, message, place).label(label).help(help);
            let (witness, evidence) = readable(context, route, &other.origin, &outcome, &line);
            found.push(finding.shown_by(&witness, evidence));
        }
    }
}

/// An origin that somebody else may have.
struct Lookalike {
    origin: String,
    /// One of the same domain: if that passes, the whole domain is meant.
    unlike: Option<String>,
}

/// What looks like an origin.
fn lookalikes(origin: &str) -> Vec<Lookalike> {
    let Some(host) = host(origin) else { return Vec::new() };
    let Some((scheme, rest)) = origin.split_once("://") else { return Vec::new() };
    let port = &rest[host.len()..];
    let labels: Vec<&str> = host.split('.').collect();
    let mut found = vec![Lookalike { origin: format!("{scheme}://{host}.evil.example{port}"), unlike: None }];
    if labels.len() >= 2 {
        let parent = labels[1..].join(".");
        let unlike = (labels.len() > 2).then(|| format!("{scheme}://unrelated.{parent}{port}"));
        found.push(Lookalike { origin: format!("{scheme}://evil{host}{port}"), unlike });
    }
    if labels.len() > 2 {
        let unlike = Some(format!("{scheme}://unrelated.{}{port}", labels[1..].join(".")));
        found.push(Lookalike { origin: format!("{scheme}://{}x{}{port}", labels[0], labels[1..].join(".")), unlike });
    }
    found
}
