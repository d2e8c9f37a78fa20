//! What a server says of a config, or would say: refused, overlooked, deprecated, missing.
//!
//! In: the problems that reading brought up. Out: findings, each problem with a place told by exactly one rule. Invariant: the rule
//! follows from a problem's kind and severity alone; [`rule_of`] is total but for notes of no kind, which aren't told.

pub mod deprecated_directive;
pub mod does_not_load;
pub mod loads_with_problems;
pub mod missing_include;
pub mod missing_module;

use super::Context;
use crate::diag::{self, Diagnostic, Kind};
use crate::finding::{Finding, Place, Severity};

/// The rule that a problem belongs to. `None`: it is only worth a note.
fn rule_of(problem: &Diagnostic) -> Option<&'static str> {
    match (problem.kind, problem.severity) {
        (Kind::Deprecated, _) => Some(deprecated_directive::RULE.id),
        (Kind::MissingModule, _) => Some(missing_module::RULE.id),
        (Kind::MissingFile, _) => Some(missing_include::RULE.id),
        (Kind::Other, diag::Severity::Error) => Some(does_not_load::RULE.id),
        (Kind::Other, diag::Severity::Warning) => Some(loads_with_problems::RULE.id),
        (Kind::Other, diag::Severity::Note) => None,
    }
}

/// The problems of a rule as findings, each as bad as `severity` says.
fn findings(context: &Context<'_>, rule: &'static str, severity: &dyn Fn(&Diagnostic) -> Severity) -> Vec<Finding> {
    // What a module would do isn't known, and that it is missing says so.
    let place = |problem: &Diagnostic| Some((problem.file.as_ref()?.name.clone(), problem.span.as_ref()?.0));
    let missing: Vec<_> = context.problems.iter().filter(|own| own.kind == Kind::MissingModule).map(place).collect();
    let told = |problem: &&Diagnostic| problem.kind == Kind::Other && missing.contains(&place(problem));
    let own = context.problems.iter().filter(|problem| rule_of(problem) == Some(rule) && !told(problem));
    own.filter_map(|problem| finding(problem, rule, severity(problem))).collect()
}

fn finding(problem: &Diagnostic, rule: &'static str, severity: Severity) -> Option<Finding> {
    let (span, label) = problem.span.clone()?;
    let place = Place { file: problem.file.clone()?, span };
    let finding = Finding::new(rule, severity, problem.message.clone(), place).label(label);
    Some(match &problem.help {
        Some(help) => finding.help(help.clone()),
        None => finding,
    })
}
