//! Anybody can send requests to the upstream, at paths that the catalogue does not know.
//!
//! ## What it finds
//!
//! A request without a valid credential reaches the upstream at a path of no known endpoint, at its start page or at its
//! health check.
//!
//! ## Why it matters
//!
//! What the path does is up to the upstream and its next version. The start page tells scanners what runs here.
//!
//! ## A request that shows it
//!
//!     curl -i http://HOST:8080/
//!
//! ## Wrong
//!
//! ```nginx
//! location / {
//!     auth_basic "LLM API";
//!     auth_basic_user_file /etc/nginx/llm.htpasswd;
//!     proxy_pass http://127.0.0.1:11434;
//! }
//! location /health {
//!     auth_basic off;
//!     proxy_pass http://127.0.0.1:11434;
//! }
//! ```
//!
//! ## Right
//!
//! ```nginx
//! location = /health {
//!     auth_basic off;
//!     return 200 "OK";
//! }
//! ```

use super::{Words, findings};
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "unlisted-path-reachable",
    severity: Severity::Warning,
    source: include_str!("unlisted_path_reachable.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let words = |_: &_| Words {
        label: "this passes on requests without a credential",
        help: "answer such a path by the gateway itself, or ask for a credential".to_owned(),
    };
    found.extend(findings(context, RULE.id, RULE.severity, &words));
}
