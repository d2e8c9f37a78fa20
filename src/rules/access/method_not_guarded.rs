//! Another method slips past the guard.
//!
//! ## What it finds
//!
//! A request with a method that the rule does not name reaches the upstream without a credential, although the usual
//! method is refused.
//!
//! ## Why it matters
//!
//! What a rule does not name, it does not stop.
//!
//! ## A request that shows it
//!
//!     curl -i -X PUT http://HOST:8080/api/chat
//!
//! ## Wrong
//!
//! ```nginx
//! limit_except GET HEAD OPTIONS { auth_basic "LLM API"; auth_basic_user_file /etc/nginx/llm.htpasswd; }
//! proxy_pass http://127.0.0.1:11434;
//! ```
//!
//! ## Right
//!
//! ```nginx
//! auth_basic "LLM API";
//! auth_basic_user_file /etc/nginx/llm.htpasswd;
//! proxy_pass http://127.0.0.1:11434;
//! ```

use super::{Words, findings};
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "method-not-guarded", severity: Severity::Error, source: include_str!("method_not_guarded.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let words = |_: &_| Words {
        label: "this method ends up here without a credential",
        help: "ask for a credential whatever the method, and name the methods that are allowed".to_owned(),
    };
    found.extend(findings(context, RULE.id, RULE.severity, &words));
}
