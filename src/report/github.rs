//! Workflow commands of GitHub Actions: an annotation a finding.
//!
//! In: a report. Out: a line a finding. Invariant: no text can end its line or begin another command.

use super::{Report, notes};
use crate::finding::{Finding, Severity};

pub(super) fn write(report: &Report) -> String {
    report.findings.iter().map(line).collect()
}

fn line(finding: &Finding) -> String {
    let kind = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "notice",
    };
    let (start, end) = (finding.place.start(), finding.place.end());
    let file = property(&finding.place.file.name.replace('\\', "/"));
    // Columns of a place that has several lines would be taken for those of one.
    let to = match start.line == end.line {
        true => format!(",col={},endLine={},endColumn={}", start.column, end.line, end.column),
        false => format!(",endLine={}", end.line),
    };
    format!(
        "::{kind} file={file},line={}{to},title={}::{}\n",
        start.line,
        property(finding.rule),
        data(&notes::whole(finding))
    )
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
