//! The server would refuse to load this config.
//!
//! ## What it finds
//!
//! An error that nginx, Caddy or Traefik reports when it reads the file. What can't be loaded isn't judged.
//!
//! ## Why it matters
//!
//! The server keeps running with its old config, or doesn't start.

use super::findings;
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "does-not-load", severity: Severity::Error, source: include_str!("does_not_load.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    found.extend(findings(context, RULE.id, &|_| RULE.severity));
}
