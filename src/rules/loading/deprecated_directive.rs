//! A directive that the next version of the server may refuse.
//!
//! ## What it finds
//!
//! Caddy's `basicauth` (now `basic_auth`), nginx's `listen … http2` (now `http2 on;`) and `ssl on;`, matchers of Traefik 2.
//!
//! ## Why it matters
//!
//! The server warns today. After an update it refuses the file, or drops the router, and with it the guard.
//!
//! ## Wrong
//!
//! ```caddyfile
//! basicauth {
//!     ann $2a$14$…
//! }
//! ```
//!
//! ## Right
//!
//! ```caddyfile
//! basic_auth {
//!     ann $2a$14$…
//! }
//! ```

use super::findings;
use crate::diag;
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "deprecated-directive",
    severity: Severity::Warning,
    source: include_str!("deprecated_directive.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    found.extend(findings(context, RULE.id, &|problem| match problem.severity {
        diag::Severity::Error | diag::Severity::Warning => Severity::Warning,
        diag::Severity::Note => Severity::Info,
    }));
}
