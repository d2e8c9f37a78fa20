//! Nothing limits how many generations a caller may ask for.
//!
//! ## What it finds
//!
//! Requests that make a model work reach the upstream, and no rate limit counts them: there is none, or it stands on other
//! routes.
//!
//! ## Why it matters
//!
//! One generation keeps a GPU busy for seconds. One caller with one key, or a loop in somebody's script, keeps everybody
//! else waiting, and keys can be guessed as fast as the network allows.
//!
//! ## Wrong
//!
//! ```nginx
//! limit_req_zone $binary_remote_addr zone=llm:10m rate=10r/s;
//! server {
//!     location = /login { limit_req zone=llm burst=20 nodelay; proxy_pass http://127.0.0.1:3000; }
//!     location /v1/ { proxy_pass http://127.0.0.1:11434; }
//! }
//! ```
//!
//! ## Right
//!
//! ```nginx
//! limit_req_zone $binary_remote_addr zone=llm:10m rate=10r/s;
//! limit_req_status 429;
//! server {
//!     limit_req zone=llm burst=20 nodelay;
//!     location /v1/ { proxy_pass http://127.0.0.1:11434; }
//! }
//! ```
//!
//! Caddy needs the module `github.com/mholt/caddy-ratelimit`:
//!
//! ```caddyfile
//! rate_limit {
//!     zone llm {
//!         key {client_ip}
//!         events 60
//!         window 1m
//!     }
//! }
//! ```
//!
//! Traefik, on the router of the model server:
//!
//! ```yaml
//! middlewares:
//!   rate:
//!     rateLimit: {average: 10, burst: 20}
//! ```

use crate::finding::{Finding, Severity};
use crate::gateway::{LimitKind, Origin, Step};
use crate::rules::treatment::{Told, findings, rates};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "no-rate-limit", severity: Severity::Warning, source: include_str!("no_rate_limit.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let limits = &context.measure.plan.limits;
    if limits.rate.is_none() && context.measure.plan.clients.iter().all(|client| client.rate.is_none()) {
        return;
    }
    let elsewhere = elsewhere(context);
    let judge = |route: &_, _: &_| {
        if rates(route).next().is_some() {
            return None;
        }
        let told = Told::new(
            &Origin::default(),
            "no rate limit counts requests that make the model work",
            "these requests are not counted",
            "limit the rate for each client address: `limit_req` (nginx), `rate_limit` (Caddy, with its module), `rateLimit` \
             (Traefik)",
        );
        Some(match &elsewhere {
            Some(origin) => told.with(origin, "this rate limit counts other requests"),
            None => told,
        })
    };
    findings(context, &RULE, &judge, found);
}

/// A rate limit of this gateway.
fn elsewhere(context: &Context<'_>) -> Option<Origin> {
    let clauses = context.gateway.chains.iter().flat_map(|chain| &chain.clauses);
    clauses.flat_map(|clause| &clause.steps).find_map(|step| match step {
        Step::Limit(limit) if matches!(limit.what.kind, LimitKind::Rate { .. }) => Some(limit.origin.clone()),
        _ => None,
    })
}
