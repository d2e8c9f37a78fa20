//! Nothing limits how long a request's body may be.
//!
//! ## What it finds
//!
//! Requests that make a model work get through with a body of any size; or with one of any size if it is sent in chunks, without
//! a `Content-Length`. It is tried, so a limit that stands on another route doesn't count.
//!
//! ## Why it matters
//!
//! The upstream reads a body into memory before it looks at it: a few long ones stop it. Caddy and Traefik have no limit by default.
//!
//! ## Wrong
//!
//! ```nginx
//! client_max_body_size 0;
//! ```
//!
//! ```caddyfile
//! reverse_proxy 127.0.0.1:11434
//! ```
//!
//! ## Right
//!
//! ```nginx
//! client_max_body_size 32m;
//! ```
//!
//! ```caddyfile
//! request_body {
//!     max_size 32MiB
//! }
//! reverse_proxy 127.0.0.1:11434
//! ```
//!
//! Traefik's `buffering` limits bodies and holds streams as well. A router that asks for a short `Content-Length` doesn't:
//!
//! ```yaml
//! rule: PathPrefix(`/v1/`) && HeaderRegexp(`Content-Length`, `^[0-9]{1,8}$`)
//! ```

use super::{ENDLESS, passes};
use crate::finding::{Finding, Severity};
use crate::gateway::{Origin, Setting};
use crate::rules::treatment::{Told, findings, setting};
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "no-body-limit", severity: Severity::Warning, source: include_str!("no_body_limit.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let most = context.measure.plan.limits.body;
    let help = "limit the body: `client_max_body_size` (nginx), `request_body { max_size … }` (Caddy), a rule on `Content-Length` (Traefik)";
    let judge = |route: &_, endpoint: &crate::catalog::CatalogEndpoint| {
        if endpoint.method != "POST" {
            return None;
        }
        let message = match (passes(context, route, ENDLESS, false), passes(context, route, ENDLESS, true)) {
            (true, _) => "bodies of any size get through to the upstream",
            (false, true) => "bodies of any size get through to the upstream if they are sent in chunks",
            (false, false) => return None,
        };
        let said = setting(route, |setting| match setting {
            Setting::BodyLimit(most) => Some(most.is_none()),
            _ => None,
        });
        let origin = said.filter(|(none, _)| *none).map_or_else(Origin::default, |(_, origin)| origin.clone());
        Some(Told::new(&origin, message, "no limit for bodies", help).mended(Repair::BodyLimit(most)))
    };
    findings(context, &RULE, &judge, found);
}
