//! A published port leads around the proxy that guards the model server.
//!
//! ## What it finds
//!
//! The proxy of a compose project asks who is calling, and a port of the same project leads to the model server without it.
//!
//! ## Why it matters
//!
//! The guard keeps out only those who use the front door. Docker publishes ports past the host's firewall, too.
//!
//! ## A request that shows it
//!
//!     curl -i -X POST http://HOST:11434/api/pull
//!
//! ## Wrong
//!
//! ```yaml
//! services:
//!   caddy:
//!     image: caddy:2.11.7
//!     ports: ["8080:8080"]
//!   ollama:
//!     image: ollama/ollama:0.32.15
//!     ports: ["11434:11434"]
//! ```
//!
//! ## Right
//!
//! ```yaml
//!   ollama:
//!     image: ollama/ollama:0.32.15
//!     expose: ["11434"]
//! ```

use super::super::access::{Words, published};
use super::guard;
use crate::analysis::survey;
use crate::finding::Finding;
use crate::finding::Severity;
use crate::rules::{Context, Rule, place};

/// The rule.
pub const RULE: Rule = Rule {
    id: "guard-walked-around",
    severity: Severity::Error,
    source: include_str!("guard_walked_around.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let Some((gateway, route)) = guard(context) else { return };
    let guard = survey::place(&route.outcome).and_then(|origin| place(gateway, origin));
    let words = |_: &_| Words {
        label: "this port leads around the proxy",
        help: "take the published port away: the proxy reaches the server by the project's own network".to_owned(),
    };
    for mut finding in published(context, &RULE, &words) {
        if let Some(guard) = &guard {
            let (file, line) = (&guard.file.name, guard.start().line);
            finding.message = format!("{}, around the guard at `{file}:{line}`", finding.message);
        }
        found.push(finding.with(guard.clone(), "here the proxy refuses who shows no credential"));
    }
}
