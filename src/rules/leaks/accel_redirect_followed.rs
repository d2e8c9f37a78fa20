//! The upstream's answer may lead a request into places that clients don't reach.
//!
//! ## What it finds
//!
//! nginx follows `X-Accel-Redirect` in the upstream's answer, and the config has `internal` locations, which are open to nobody else.
//!
//! ## Why it matters
//!
//! An upstream that can be made to send that header (a model server with plugins, a page that echoes headers) opens what the config closed.
//!
//! ## Wrong
//!
//! ```nginx
//! location /v1/ { proxy_pass http://127.0.0.1:11434; }
//! location /files/ { internal; root /srv; }
//! ```
//!
//! ## Right
//!
//! ```nginx
//! location /v1/ {
//!     proxy_pass http://127.0.0.1:11434;
//!     proxy_ignore_headers X-Accel-Redirect X-Accel-Buffering X-Accel-Charset X-Accel-Expires X-Accel-Limit-Rate;
//! }
//! ```

use std::collections::HashSet;

use crate::analysis::survey;
use crate::finding::{Finding, Severity};
use crate::gateway::{Origin, Setting, Step};
use crate::rules::access::cause;
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "accel-redirect-followed",
    severity: Severity::Info,
    source: include_str!("accel_redirect_followed.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let Some(inner) = inner(context) else { return };
    let mut known = HashSet::new();
    for route in &context.survey.routes {
        let mut settings = route.outcome.settings().rev();
        let follows = settings.find(|(setting, _)| matches!(setting, Setting::FollowsUpstream(_)));
        let key = survey::cause(&route.outcome);
        if !matches!(follows, Some((Setting::FollowsUpstream(true), _))) || known.contains(&key) {
            continue;
        }
        known.insert(key);
        let Some(place) = cause(context.gateway, &route.outcome) else { continue };
        let fix = survey::place(&route.outcome).and_then(|at| context.repair(Repair::IgnoreUpstreamOrders, at));
        let message = "the upstream's `X-Accel-Redirect` is followed into `internal` locations";
        let finding = Finding::new(RULE.id, RULE.severity, message, place).label("its answers are obeyed");
        let finding = finding.with(context.place(inner), "no client reaches this, the upstream does");
        found.push(finding.help("add `proxy_ignore_headers X-Accel-Redirect X-Accel-Buffering X-Accel-Charset X-Accel-Expires X-Accel-Limit-Rate;`").about(&route.witness).fixed_by(fix));
    }
}

/// A place that clients don't reach.
fn inner<'c>(context: &Context<'c>) -> Option<&'c Origin> {
    let clauses = context.gateway.chains.iter().flat_map(|chain| &chain.clauses);
    clauses.flat_map(|clause| &clause.steps).find_map(|step| match step {
        Step::Setting(said) if said.what == Setting::Inner => Some(&said.origin),
        _ => None,
    })
}
