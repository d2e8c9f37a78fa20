//! A limit allows more than the policy.
//!
//! ## What it finds
//!
//! With a policy file: a rate, a number of connections, a body or a client's time for its head or body that is beyond what the policy says.
//! What is stricter is never told.
//!
//! ## Why it matters
//!
//! The policy is what was agreed on; the gateway gives more.
//!
//! ## Wrong
//!
//! With `limits.body = "8MiB"` and `timeouts.client_header = "10s"` in `llmguard.toml`:
//!
//! ```nginx
//! client_max_body_size 100m;
//! client_header_timeout 60s;
//! ```
//!
//! ```caddyfile
//! request_body {
//!     max_size 100MiB
//! }
//! ```
//!
//! ```yaml
//! entryPoints:
//!   web: {transport: {respondingTimeouts: {readTimeout: 120s}}}
//! ```
//!
//! ## Right
//!
//! ```nginx
//! client_max_body_size 8m;
//! client_header_timeout 10s;
//! ```
//!
//! ```caddyfile
//! request_body {
//!     max_size 8MiB
//! }
//! ```
//!
//! ```yaml
//! entryPoints:
//!   web: {transport: {respondingTimeouts: {readTimeout: 10s}}}
//! ```

use super::{ENDLESS, longest, passes};
use crate::analysis::survey::Route;
use crate::catalog::CatalogEndpoint;
use crate::finding::{Finding, Severity};
use crate::gateway::{Limit, LimitKind, Origin, Per, Setting, TimeoutOf};
use crate::policy::rate::Rate;
use crate::rules::treatment::{Told, findings, limits, rates, seconds, setting, size, timeout};
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "looser-limit", severity: Severity::Warning, source: include_str!("looser_limit.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    if context.measure.is_built_in() {
        return;
    }
    let plan = &context.measure.plan;
    if let Some(rate) = plan.limits.rate {
        findings(context, &RULE, &|route, _| looser_rate(route, rate), found);
    }
    if let Some(most) = plan.limits.connections {
        findings(context, &RULE, &|route, _| more_connections(route, most), found);
    }
    findings(context, &RULE, &|route, endpoint| longer_body(context, route, endpoint), found);
    let times = [
        (TimeoutOf::ClientHeader, plan.timeouts.client_header, "its head"),
        (TimeoutOf::ClientBody, plan.timeouts.client_body, "a pause in its body"),
        (TimeoutOf::Request, plan.timeouts.client_header + plan.timeouts.client_body, "its whole request"),
    ];
    for (of, most, what) in times {
        let judge = |route: &Route, _: &CatalogEndpoint| {
            let (time, origin) = timeout(route, of)?;
            let time = time.filter(|time| *time > most)?;
            let message =
                format!("a client may take {} for {what}, and the policy allows {}", seconds(time), seconds(most));
            let help = format!("set it to {}", seconds(most));
            Some(Told::new(origin, message, "more than the policy allows", help).mended(Repair::Timeout(of, most)))
        };
        findings(context, &RULE, &judge, found);
    }
}

/// Requests in a second.
fn pace(limit: &Limit) -> Option<(f64, u32)> {
    match limit.kind {
        LimitKind::Rate { requests, window, burst } => {
            Some((f64::from(requests) / window.as_secs_f64().max(f64::MIN_POSITIVE), burst))
        }
        LimitKind::Connections { .. } => None,
    }
}

fn looser_rate(route: &Route, rate: Rate) -> Option<Told> {
    let allowed = f64::from(rate.requests) / rate.per.as_secs_f64().max(f64::MIN_POSITIVE);
    let all = || rates(route).filter(|counted| counted.limit.per != Per::Client);
    let paces = || all().filter_map(|counted| pace(counted.limit));
    let slow = paces().any(|(pace, _)| pace <= allowed * 1.001);
    let few = paces().any(|(_, burst)| burst <= rate.burst.max(1));
    let counted =
        all().min_by(|a, b| pace(a.limit).partial_cmp(&pace(b.limit)).unwrap_or(std::cmp::Ordering::Equal))?;
    let LimitKind::Rate { requests, window, burst } = counted.limit.kind else { return None };
    let message = match (slow, few) {
        (true, true) => return None,
        (false, _) => format!(
            "{requests} requests in {} are allowed, and the policy allows {} in {}",
            seconds(window),
            rate.requests,
            seconds(rate.per)
        ),
        (true, false) => {
            format!("{burst} requests at once are allowed, and the policy allows {}", rate.burst)
        }
    };
    let help = format!("allow {} requests in {}, {} at once", rate.requests, seconds(rate.per), rate.burst);
    Some(Told::new(counted.origin, message, "more than the policy allows", help))
}

fn more_connections(route: &Route, most: u32) -> Option<Told> {
    let max = |limit: &Limit| match limit.kind {
        LimitKind::Connections { max } => Some(max),
        LimitKind::Rate { .. } => None,
    };
    let (own, origin) =
        limits(route).filter_map(|counted| Some((max(counted.limit)?, counted.origin))).min_by_key(|(max, _)| *max)?;
    if own <= most {
        return None;
    }
    let message = format!("{own} requests at a time are allowed, and the policy allows {most}");
    Some(Told::new(origin, message, "more than the policy allows", format!("allow {most} at a time")))
}

fn longer_body(context: &Context<'_>, route: &Route, endpoint: &CatalogEndpoint) -> Option<Told> {
    let most = context.measure.plan.limits.body;
    let through = |bytes| passes(context, route, bytes, false);
    if endpoint.method != "POST" || !through(most + 1) || through(ENDLESS) {
        return None;
    }
    let own = longest(context, route, ENDLESS);
    let said = setting(route, |setting| match setting {
        Setting::BodyLimit(Some(said)) if *said == own => Some(()),
        _ => None,
    });
    let origin = said.map_or_else(Origin::default, |(_, origin)| origin.clone());
    let message = format!("bodies up to {} get through, and the policy allows {}", size(own), size(most));
    let help = format!("set the limit to {}", size(most));
    Some(Told::new(&origin, message, "more than the policy allows", help).mended(Repair::BodyLimit(most)))
}
