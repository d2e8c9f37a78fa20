//! Baselines: findings that are known, so that only new ones are told.
//!
//! In: findings, and the file that records earlier ones. Out: those that are new. Invariant: a finding is known by its rule, its file, the
//! text of its line and the request that shows it, not by the line's number; of several alike as many are known as were recorded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Finding;

/// A baseline as written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    findings: Vec<Known>,
}

/// What names a finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    rule: String,
    file: String,
    context: String,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    count: usize,
}

fn one() -> usize {
    1
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

/// The text of a baseline that knows these findings.
pub fn write(findings: &[Finding]) -> String {
    let findings = counted(findings)
        .into_iter()
        .map(|((rule, file, context), count)| Known { rule, file, context, count })
        .collect();
    let text = serde_json::to_string_pretty(&File { version: 1, findings }).unwrap_or_default();
    text + "\n"
}

/// The findings that a baseline doesn't know, and how many it knows. Errors: the text is none.
pub fn apply(text: &str, findings: Vec<Finding>) -> Result<(Vec<Finding>, usize), String> {
    let file: File = serde_json::from_str(text).map_err(|error| format!("not a baseline: {error}"))?;
    if file.version != 1 {
        return Err(format!("a baseline of version {}: this program writes version 1", file.version));
    }
    let mut left: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    for known in file.findings {
        *left.entry((known.rule, known.file, known.context)).or_default() += known.count;
    }
    let before = findings.len();
    let new: Vec<Finding> = findings
        .into_iter()
        .filter(|finding| match left.get_mut(&name(finding)) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        })
        .collect();
    let known = before - new.len();
    Ok((new, known))
}

fn counted(findings: &[Finding]) -> BTreeMap<(String, String, String), usize> {
    let mut counts = BTreeMap::new();
    for finding in findings {
        *counts.entry(name(finding)).or_default() += 1;
    }
    counts
}

fn name(finding: &Finding) -> (String, String, String) {
    (finding.rule.to_owned(), finding.place.file.name.clone(), finding.context())
}

#[cfg(test)]
mod tests {
    use super::super::{Place, Severity};
    use super::*;
    use crate::source::{SourceFile, Span};

    #[test]
    fn known_findings_are_found_again_where_lines_move() {
        let finding = |text: &str| {
            let at = text.find("bad").unwrap();
            let place = Place { file: SourceFile::new("f", "f", text), span: Span::new(at..at + 3) };
            Finding::new("r", Severity::Error, "m", place)
        };
        let known = write(&[finding("a\n  bad  thing;\n")]);
        let moved = vec![finding("new\nlines\na\nbad thing;\n"), finding("bad thing;"), finding("another bad thing;")];
        let (new, suppressed) = apply(&known, moved).unwrap();
        assert_eq!((new.len(), suppressed), (2, 1));
        assert!(apply("{}", Vec::new()).is_err());
    }
}
