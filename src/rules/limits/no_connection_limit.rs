//! The policy limits how many requests one address may have in hand at once, and the config does not.
//!
//! ## What it finds
//!
//! With `limits.connections` in the policy: requests that make a model work are not counted by any limit on connections.
//!
//! ## Why it matters
//!
//! A rate limit counts how often somebody asks, not how long the answers take: a few long generations at once keep every slot of the model
//! busy.
//!
//! ## Wrong
//!
//! ```nginx
//! limit_req zone=llm burst=20 nodelay;
//! proxy_pass http://127.0.0.1:11434;
//! ```
//!
//! ## Right
//!
//! ```nginx
//! limit_conn_zone $binary_remote_addr zone=llm_at_once:10m;
//! limit_conn llm_at_once 4;
//! limit_conn_status 429;
//! ```
//!
//! ```yaml
//! middlewares:
//!   at-once:
//!     inFlightReq: {amount: 4, sourceCriterion: {ipStrategy: {ipv6Subnet: 64}}}
//! ```
//!
//! Caddy has no such limit.

use crate::finding::{Finding, Severity};
use crate::gateway::{LimitKind, Origin};
use crate::rules::treatment::{Told, findings, limits};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "no-connection-limit",
    severity: Severity::Warning,
    source: include_str!("no_connection_limit.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let Some(most) = context.measure.plan.limits.connections else { return };
    let judge = |route: &_, _: &_| {
        if limits(route).any(|counted| matches!(counted.limit.kind, LimitKind::Connections { .. })) {
            return None;
        }
        let message = format!("nothing limits requests at a time, and the policy allows {most} for each address");
        let help = format!("`limit_conn ZONE {most};` (nginx), `inFlightReq` with `amount: {most}` (Traefik)");
        Some(Told::new(&Origin::default(), message, "any number at a time", help))
    };
    findings(context, &RULE, &judge, found);
}
