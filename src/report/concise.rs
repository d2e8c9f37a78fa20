//! A line a finding: `file:line:column: severity[rule] message`.

use super::Report;

pub(super) fn write(report: &Report) -> String {
    let lines = report.findings.iter().map(|finding| {
        let (at, severity) = (finding.place.start(), finding.severity.name());
        let name = &finding.place.file.name;
        format!("{name}:{}:{}: {severity}[{}] {}\n", at.line, at.column, finding.rule, finding.message)
    });
    lines.collect()
}
