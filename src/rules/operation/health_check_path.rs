//! The gateway's health check asks a path that the upstream does not have.
//!
//! ## What it finds
//!
//! An active health check of Caddy or Traefik whose path is no endpoint of the upstream. Ollama has no `/health` in any version.
//!
//! ## Why it matters
//!
//! The answer is 404, the server is taken for down, and every request gets 503.
//!
//! ## Wrong
//!
//! ```caddyfile
//! reverse_proxy 127.0.0.1:11434 {
//!     health_uri /health
//! }
//! ```
//!
//! ```yaml
//! loadBalancer:
//!   healthCheck: {path: /health}
//! ```
//!
//! ## Right
//!
//! ```caddyfile
//! reverse_proxy 127.0.0.1:11434 {
//!     health_uri /api/version
//! }
//! ```
//!
//! ```yaml
//! loadBalancer:
//!   healthCheck: {path: /api/version}
//! ```

use crate::catalog::Reach;
use crate::finding::{Finding, Severity};
use crate::gateway::Setting;
use crate::rules::treatment::{Told, findings, setting};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "health-check-path", severity: Severity::Warning, source: include_str!("health_check_path.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let kind = &context.measure.kind;
    let (_, good) = &context.measure.plan.upstream.health;
    let judge = |route: &_, _: &_| {
        let ((method, path), origin) = setting(route, |setting| match setting {
            Setting::HealthCheck(method, path) => Some((method, path)),
            _ => None,
        })?;
        let known = kind.reached(method.as_bytes(), path.as_bytes());
        if known.is_some_and(|(_, reach)| reach == Reach::Handled) {
            return None;
        }
        let message = format!(
            "the health check asks `{method} {path}`, which {} does not have: the server is taken for down",
            kind.title
        );
        let help = format!("ask `{good}`");
        Some(Told::new(origin, message, "this is answered with 404", help))
    };
    findings(context, &RULE, &judge, found);
}
