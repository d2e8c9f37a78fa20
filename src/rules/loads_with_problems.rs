//! The server loads this config, but not as it is written.
//!
//! ## What it finds
//!
//! Something that the server leaves out, or that can't be read here: a file that isn't there, a part that is overlooked.
//!
//! ## Why it matters
//!
//! What the server overlooks guards nothing.

use super::{Context, Rule};
use crate::diag::{self, Diagnostic};
use crate::finding::{Finding, Place, Severity};

/// The rule.
pub const RULE: Rule = Rule {
    id: "loads-with-problems",
    severity: Severity::Warning,
    source: include_str!("loads_with_problems.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let own = context.problems.iter().filter(|problem| problem.severity == diag::Severity::Warning);
    found.extend(own.filter_map(finding));
}

fn finding(problem: &Diagnostic) -> Option<Finding> {
    let (span, label) = problem.span.clone()?;
    let place = Place { file: problem.file.clone()?, span };
    let finding = Finding::new(RULE.id, RULE.severity, problem.message.clone(), place).label(label);
    Some(match &problem.help {
        Some(help) => finding.help(help.clone()),
        None => finding,
    })
}
