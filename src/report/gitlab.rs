//! GitLab's code quality report.
//!
//! In: a report. Out: a JSON list. Invariant: a fingerprint stays when lines move, and no two findings have the same.

use serde_json::{Value, json};

use super::{Report, notes};
use crate::finding::Severity;
use crate::finding::fingerprint::fingerprints;

pub(super) fn write(report: &Report) -> String {
    let names = fingerprints(&report.findings);
    let list = report.findings.iter().zip(names).map(|(finding, fingerprint)| {
        let severity = match finding.severity {
            Severity::Error => "critical",
            Severity::Warning => "major",
            Severity::Info => "info",
        };
        let name = finding.place.file.name.replace('\\', "/");
        json!({
            "description": finding.message,
            "content": {"body": notes::whole(finding)},
            "check_name": finding.rule,
            "fingerprint": fingerprint,
            "severity": severity,
            "location": {
                "path": name.strip_prefix("./").unwrap_or(&name),
                "lines": {"begin": finding.place.start().line, "end": finding.place.end().line},
            },
        })
    });
    format!("{:#}\n", list.collect::<Value>())
}
