//! Another spelling of a path slips past its rule.
//!
//! ## What it finds
//!
//! A request whose path is written otherwise (a slash more, an escape, `..`, another case) reaches the upstream, although
//! the plain spelling is refused.
//!
//! ## Why it matters
//!
//! Rules that list what is forbidden miss what they do not list. The upstream reads escapes and redirects loose spellings
//! to the real path.
//!
//! ## A request that shows it
//!
//!     curl -i -X POST http://HOST:8080/api/pull/
//!
//! ## Wrong
//!
//! ```nginx
//! location ~ ^/api/(pull|push|delete)$ { return 403; }
//! location / { proxy_pass http://127.0.0.1:11434; }
//! ```
//!
//! ## Right
//!
//! ```nginx
//! location ~ ^/v1/(chat/completions|models)$ { proxy_pass http://127.0.0.1:11434; }
//! location / { return 403; }
//! ```

use super::{Words, findings};
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "path-spelling", severity: Severity::Error, source: include_str!("path_spelling.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let words = |_: &_| Words {
        label: "this spelling ends up here",
        help: "list what is allowed instead of what is forbidden, whole paths and nothing else".to_owned(),
    };
    found.extend(findings(context, RULE.id, RULE.severity, &words));
}
