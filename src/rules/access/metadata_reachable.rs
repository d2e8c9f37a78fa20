//! Anybody can see which models there are.
//!
//! ## What it finds
//!
//! A request without a valid credential reaches an endpoint that lists models or shows their details, or the version.
//!
//! ## Why it matters
//!
//! The version tells which holes are open, the list which models are worth taking; it is what scanners collect.
//!
//! ## A request that shows it
//!
//!     curl -i http://HOST:8080/api/tags
//!
//! ## Wrong
//!
//! ```nginx
//! location / {
//!     proxy_pass http://127.0.0.1:11434;
//! }
//! ```
//!
//! ## Right
//!
//! ```nginx
//! location = /api/chat {
//!     auth_basic "LLM API";
//!     auth_basic_user_file /etc/nginx/llm.htpasswd;
//!     proxy_pass http://127.0.0.1:11434;
//! }
//! location / { return 403; }
//! ```

use super::{Words, findings};
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "metadata-reachable", severity: Severity::Error, source: include_str!("metadata_reachable.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let words = |_: &_| Words {
        label: "nothing on the way stops a request without a credential",
        help: "ask for a credential here too; answer health checks by the gateway itself".to_owned(),
    };
    found.extend(findings(context, RULE.id, RULE.severity, &words));
}
