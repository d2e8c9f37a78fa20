//! Anybody can act with the owner's account.
//!
//! ## What it finds
//!
//! A request without a valid credential reaches an endpoint of the group `account`: signing in and out, keys, and what
//! spends the owner’s quota.
//!
//! ## Why it matters
//!
//! These endpoints speak to the vendor in the owner’s name.
//!
//! ## A request that shows it
//!
//!     curl -i -X POST http://HOST:8080/api/me
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
    Rule { id: "account-reachable", severity: Severity::Error, source: include_str!("account_reachable.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let words = |_: &_| {
        Words {
        label: "nothing on the way stops a request without a credential",
        help: "ask for a credential before this line is reached, and refuse these endpoints to everybody who is not the owner".to_owned(),
    }
    };
    found.extend(findings(context, RULE.id, RULE.severity, &words));
}
