//! Requests over the rate wait in a queue instead of being refused.
//!
//! ## What it finds
//!
//! A rate limit that holds requests back until their turn comes: nginx's `limit_req` with `burst` and without `nodelay`.
//!
//! ## Why it matters
//!
//! A burst that the limit allows is slowed down to the rate: a page that asks ten things at once waits for the last one, and each that
//! waits holds a connection. Clients can't tell a queue from a slow model, while 429 with `Retry-After` tells them what to do.
//!
//! ## Wrong
//!
//! ```nginx
//! limit_req zone=llm burst=20;
//! ```
//!
//! ## Right
//!
//! ```nginx
//! limit_req zone=llm burst=20 nodelay;
//! ```
//!
//! Caddy's module and Traefik's `rateLimit` refuse by themselves.

use std::time::Duration;

use crate::finding::{Finding, Severity};
use crate::gateway::LimitKind;
use crate::rules::treatment::{Told, findings, rates, seconds};
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "limit-queues", severity: Severity::Info, source: include_str!("limit_queues.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let judge = |route: &_, _: &_| {
        let counted = rates(route).find(|counted| counted.limit.waits)?;
        let LimitKind::Rate { requests, window, burst } = counted.limit.kind else { return None };
        let longest = window.as_millis() * u128::from(burst.saturating_sub(1)) / u128::from(requests.max(1));
        let longest = Duration::from_millis(u64::try_from(longest).unwrap_or(u64::MAX));
        let message = format!("requests over the rate wait up to {} instead of being refused", seconds(longest));
        let label = "holds back what is over the rate";
        Some(Told::new(counted.origin, message, label, "add `nodelay`").mended(Repair::RefuseAtOnce))
    };
    findings(context, &RULE, &judge, found);
}
