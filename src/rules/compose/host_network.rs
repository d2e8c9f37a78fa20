//! The model server is on the host's own network.
//!
//! ## What it finds
//!
//! A model server with `network_mode: host`: its port is the host's.
//!
//! ## Why it matters
//!
//! Every address of the host answers, past every proxy and without a line under `ports`. Ollama's image listens on all addresses.
//!
//! ## A request that shows it
//!
//!     curl -i -X POST http://HOST:11434/api/pull
//!
//! ## Wrong
//!
//! ```yaml
//! ollama:
//!   image: ollama/ollama:0.32.15
//!   network_mode: host
//! ```
//!
//! ## Right
//!
//! ```yaml
//! ollama:
//!   image: ollama/ollama:0.32.15
//!   expose: ["11434"]
//! ```

use super::super::access::{Words, findings};
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "host-network", severity: Severity::Error, source: include_str!("host_network.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let words = |_: &_| Words {
        label: "the model server's port is the host's own",
        help: "take `network_mode: host` away; if it must stay, set `OLLAMA_HOST=127.0.0.1`".to_owned(),
    };
    found.extend(findings(context, RULE.id, RULE.severity, &words));
}
