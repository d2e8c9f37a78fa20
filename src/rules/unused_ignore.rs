//! A comment suppresses nothing, or gives no reason.
//!
//! ## What it finds
//!
//! `# llmguard: ignore[rule] reason` where that rule finds nothing in the line or the next one, names no rule, or has no reason.
//!
//! ## Why it matters
//!
//! What is no longer needed hides what comes next.

use super::{Context, Rule};
use crate::finding::{Finding, Severity, ignore};

/// The rule; [`ignore::apply`] finds it.
pub const RULE: Rule =
    Rule { id: ignore::UNUSED, severity: Severity::Warning, source: include_str!("unused_ignore.rs"), check };

fn check(_: &Context<'_>, _: &mut Vec<Finding>) {}
