//! A key that Compose no longer reads.
//!
//! ## What it finds
//!
//! `version` at the top of a compose file.
//!
//! ## Why it matters
//!
//! Compose has ignored it since version 2 and warns of it on every call. Who believes that it chooses a format is misled.
//!
//! ## Wrong
//!
//! ```yaml
//! version: "3.8"
//! services: {}
//! ```
//!
//! ## Right
//!
//! ```yaml
//! services: {}
//! ```

use super::finding;
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Repair, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "obsolete-key", severity: Severity::Info, source: include_str!("obsolete_key.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let keys = context.deployed.iter().flat_map(|own| &own.deployment.obsolete);
    for (key, origin) in keys {
        let own = finding(context, (RULE.id, RULE.severity), origin, format!("Compose ignores `{key}`"));
        let own = own.map(|own| own.label("read by no version that is supported").help("take the line away"));
        let fix = context.repair(Repair::Remove, origin);
        found.extend(own.map(|own| Finding { fix, ..own }));
    }
}
