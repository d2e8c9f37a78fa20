//! A header, a cookie or an argument that anybody can send opens the gateway.
//!
//! ## What it finds
//!
//! A request without a credential is let through if it carries a header, a cookie or a query argument that the config looks
//! for; or if a header such as `X-Forwarded-For`, which the config believes, claims an address that may get in.
//!
//! ## Why it matters
//!
//! Callers choose their headers: what they can write is no proof of who they are.
//!
//! ## A request that shows it
//!
//!     curl -i -X POST -H 'X-Internal: 1' http://HOST:8080/api/pull
//!
//! ## Wrong
//!
//! ```nginx
//! if ($http_x_internal = "1") { set $ok 1; }
//! ```
//!
//! ## Right
//!
//! ```nginx
//! allow 127.0.0.1;
//! deny all;
//! ```

use super::{Words, findings};
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "client-header-opens",
    severity: Severity::Error,
    source: include_str!("client_header_opens.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let words = |_: &_| Words {
        label: "what anybody can send leads here",
        help: "decide by a credential or by the address of the connection".to_owned(),
    };
    found.extend(findings(context, RULE.id, RULE.severity, &words));
}
