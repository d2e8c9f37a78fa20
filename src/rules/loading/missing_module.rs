//! The config needs a part that a stock server doesn't have.
//!
//! ## What it finds
//!
//! Directives of modules and plugins: Caddy's `rate_limit` (`info`, since what it does is understood), and those that nobody
//! here knows (a warning: what they do can't be judged).
//!
//! ## Why it matters
//!
//! A server that was built without the part refuses the whole file. In a container of the official image it doesn't start, and with
//! it goes the guard.
//!
//! ## Wrong
//!
//! ```yaml
//! caddy:
//!   image: caddy:2.11.7   # and a Caddyfile with rate_limit
//! ```
//!
//! ## Right
//!
//! ```dockerfile
//! FROM caddy:2.11.7-builder AS build
//! RUN xcaddy build --with github.com/mholt/caddy-ratelimit
//! FROM caddy:2.11.7
//! COPY --from=build /usr/bin/caddy /usr/bin/caddy
//! ```

use super::findings;
use crate::diag;
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "missing-module", severity: Severity::Warning, source: include_str!("missing_module.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let own = findings(context, RULE.id, &|problem| match problem.severity {
        diag::Severity::Error | diag::Severity::Warning => Severity::Warning,
        diag::Severity::Note => Severity::Info,
    });
    // One build serves every place that needs it.
    for finding in own {
        if !found.iter().any(|other| other.rule == RULE.id && other.message == finding.message) {
            found.push(finding);
        }
    }
}
