//! Nearly a key is enough.
//!
//! ## What it finds
//!
//! A request whose key differs from the right one is let through: the comparison ignores case, wants only the beginning
//! or the end, or looks anywhere in the value.
//!
//! ## Why it matters
//!
//! Every such freedom makes guessing easier, and some make it trivial.
//!
//! ## A request that shows it
//!
//!     curl -i -X POST -H 'Authorization: Bearer KEYx' http://HOST:8080/api/chat
//!
//! ## Wrong
//!
//! ```nginx
//! if ($http_authorization !~ "Bearer KEY") { return 401; }
//! ```
//!
//! ## Right
//!
//! ```nginx
//! if ($http_authorization != "Bearer KEY") { return 401; }
//! ```

use super::{Words, findings};
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "inexact-key", severity: Severity::Error, source: include_str!("inexact_key.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let words = |_: &_| Words {
        label: "a credential that is only nearly right gets here",
        help: "compare the whole credential, case and length included".to_owned(),
    };
    found.extend(findings(context, RULE.id, RULE.severity, &words));
}
