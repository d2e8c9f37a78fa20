//! Any key opens the gateway.
//!
//! ## What it finds
//!
//! A request with a key or a login that is nobody's is let through: the config looks whether there is a credential, not
//! whether it is right.
//!
//! ## Why it matters
//!
//! Whoever sends anything at all is in.
//!
//! ## A request that shows it
//!
//!     curl -i -X POST -H 'X-API-Key: x' http://HOST:8080/api/chat
//!
//! ## Wrong
//!
//! ```nginx
//! if ($http_x_api_key = "") { return 401; }
//! proxy_pass http://127.0.0.1:11434;
//! ```
//!
//! ## Right
//!
//! ```nginx
//! if ($http_x_api_key != "KEY") { return 401; }
//! proxy_pass http://127.0.0.1:11434;
//! ```

use super::{Words, findings};
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "any-key-accepted", severity: Severity::Error, source: include_str!("any_key_accepted.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let words = |_: &_| Words {
        label: "any value of the credential gets here",
        help: "compare the credential with the keys that are valid".to_owned(),
    };
    found.extend(findings(context, RULE.id, RULE.severity, &words));
}
