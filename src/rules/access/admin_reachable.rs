//! Anybody can write, load or remove models.
//!
//! ## What it finds
//!
//! A request without a valid credential reaches an endpoint of the group `admin`: pull, push, create, copy, delete,
//! blobs.
//!
//! ## Why it matters
//!
//! Whoever finds the server fills its disk, deletes its models, pushes them elsewhere or loads a model of their own.
//! Scanners look for exactly this.
//!
//! ## A request that shows it
//!
//!     curl -i -X POST http://HOST:8080/api/pull
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
    Rule { id: "admin-reachable", severity: Severity::Error, source: include_str!("admin_reachable.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let words = |_: &_| Words {
        label: "nothing on the way stops a request without a credential",
        help: "ask for a credential before this line is reached, and let through only the endpoints that clients need"
            .to_owned(),
    };
    found.extend(findings(context, RULE.id, RULE.severity, &words));
}
