//! An empty key opens the gateway.
//!
//! ## What it finds
//!
//! A request whose key is empty is let through: mostly because the variable that should hold the key is unset.
//!
//! ## Why it matters
//!
//! A forgotten `.env` file opens the door to everybody.
//!
//! ## A request that shows it
//!
//!     curl -i -X POST -H 'X-API-Key;' http://HOST:8080/api/chat
//!
//! ## Wrong
//!
//! ```caddyfile
//! @key header X-API-Key {$KEY}
//! handle @key { reverse_proxy localhost:11434 }
//! ```
//!
//! ## Right
//!
//! ```caddyfile
//! @key {
//!     header X-API-Key {$KEY}
//!     header_regexp X-API-Key .
//! }
//! ```

use super::{Words, findings};
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "empty-key-accepted", severity: Severity::Error, source: include_str!("empty_key_accepted.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let words = |_: &_| Words {
        label: "an empty credential gets here",
        help: "give the variable a value, and refuse an empty credential".to_owned(),
    };
    found.extend(findings(context, RULE.id, RULE.severity, &words));
}
