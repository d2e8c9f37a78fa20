//! The server would refuse to load this config.
//!
//! ## What it finds
//!
//! An error that nginx, Caddy or Traefik reports when it reads the file. What can't be loaded isn't judged.
//!
//! ## Why it matters
//!
//! The server keeps running with its old config, or doesn't start.

use super::{Context, Rule};
use crate::diag::{self, Diagnostic};
use crate::finding::{Finding, Place, Severity};

/// The rule.
pub const RULE: Rule =
    Rule { id: "does-not-load", severity: Severity::Error, source: include_str!("does_not_load.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let own = context.problems.iter().filter(|problem| problem.severity == diag::Severity::Error);
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
