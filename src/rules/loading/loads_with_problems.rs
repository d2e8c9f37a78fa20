//! The server loads this config, but not as it is written.
//!
//! ## What it finds
//!
//! Something that the server leaves out, or that can't be read here: a file that isn't there, a part that is overlooked.
//!
//! ## Why it matters
//!
//! What the server overlooks guards nothing.

use super::findings;
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "loads-with-problems",
    severity: Severity::Warning,
    source: include_str!("loads_with_problems.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    found.extend(findings(context, RULE.id, &|_| RULE.severity));
}
