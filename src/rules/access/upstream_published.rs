//! The model server is reachable without any gateway.
//!
//! ## What it finds
//!
//! A port of the model server is published: requests reach it past every proxy. A port that is published on the host's own address
//! (`127.0.0.1:11434:11434`) is told of as `info`: programs and users of the host are in.
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

use super::{Words, findings, raw};
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "upstream-published", severity: Severity::Error, source: include_str!("upstream_published.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let words = |gap: &_| match raw(context, gap).is_some_and(|listener| listener.address.is_loopback()) {
        true => Words {
            label: "every program and every user of this host is in",
            help: "take the published port away, unless this host is nobody else's".to_owned(),
        },
        false => Words {
            label: "this port leads to the model server with nothing between",
            help: "take the published port away: the proxy reaches the server by the project's own network".to_owned(),
        },
    };
    found.extend(findings(context, RULE.id, RULE.severity, &words));
}
