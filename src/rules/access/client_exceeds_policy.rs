//! A client reaches more than the policy gives it.
//!
//! ## What it finds
//!
//! A request with a valid credential reaches an endpoint that the policy does not allow this client.
//!
//! ## Why it matters
//!
//! The policy says what each key is for; the config gives it more.
//!
//! ## A request that shows it
//!
//!     curl -i -X POST -H "Authorization: Bearer $KEY" http://HOST:8080/api/embed
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
pub const RULE: Rule = Rule {
    id: "client-exceeds-policy",
    severity: Severity::Warning,
    source: include_str!("client_exceeds_policy.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let words = |_: &_| Words {
        label: "this credential gets here",
        help: "refuse with 403 what the policy does not allow this client".to_owned(),
    };
    found.extend(findings(context, RULE.id, RULE.severity, &words));
}
