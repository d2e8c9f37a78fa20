//! The model server is reachable without any gateway.
//!
//! ## What it finds
//!
//! A port of the model server is published: requests reach it past every proxy.
//!
//! ## Why it matters
//!
//! Whatever the proxy refuses is open on the other port. About 175,000 such servers stand open.
//!
//! ## A request that shows it
//!
//!     curl -i -X POST http://HOST:11434/api/pull
//!
//! ## Wrong
//!
//! ```yaml
//! ports: ["11434:11434"]
//! ```
//!
//! ## Right
//!
//! ```yaml
//! expose: ["11434"]
//! ```
//!
//! A port that is published on `127.0.0.1` alone is for the host's own programs, and isn't told of. `--fix --unsafe-fixes` makes that of it.

use super::{Words, published};
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "upstream-published", severity: Severity::Error, source: include_str!("upstream_published.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let words = |_: &_| Words {
        label: "this port leads to the model server with nothing between",
        help: "take the published port away: the proxy reaches the server by the project's own network".to_owned(),
    };
    found.extend(published(context, &RULE, &words));
}
