//! Every key may manage models.
//!
//! ## What it finds
//!
//! A request with a valid credential reaches endpoints of the groups `admin` or `account`, which the policy gives to none
//! of its clients, or not to this one.
//!
//! ## Why it matters
//!
//! One leaked key of a chat client is enough to delete the models.
//!
//! ## A request that shows it
//!
//!     curl -i -X DELETE -H "Authorization: Bearer $KEY" http://HOST:8080/api/delete
//!
//! ## Wrong
//!
//! ```nginx
//! auth_basic "LLM API";
//! auth_basic_user_file /etc/nginx/llm.htpasswd;
//! location / { proxy_pass http://127.0.0.1:11434; }
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
    Rule { id: "every-key-is-admin", severity: Severity::Error, source: include_str!("every_key_is_admin.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let words = |_: &_| Words {
        label: "any valid credential gets here",
        help: "let clients reach only the endpoints that they use: list them, and refuse the rest with 403".to_owned(),
    };
    found.extend(findings(context, RULE.id, RULE.severity, &words));
}
