//! The report for programs: the format that the command line promises, version 1.

use serde_json::{Map, Value, json};

use super::Report;
use crate::finding::{Finding, Fix, Severity};

pub(super) fn write(report: &Report) -> String {
    let value = json!({
        "version": 1,
        "policy": report.policy,
        "files": report.files,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "suppressed": report.suppressed,
        "summary": {
            "error": report.count(Severity::Error),
            "warning": report.count(Severity::Warning),
            "info": report.count(Severity::Info),
        },
    });
    format!("{value:#}\n")
}

fn finding(finding: &Finding) -> Value {
    let (start, end) = (finding.place.start(), finding.place.end());
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| drop(object.insert(key.to_owned(), value));
    put("rule", finding.rule.into());
    put("severity", finding.severity.name().into());
    put("message", finding.message.clone().into());
    put("file", finding.place.file.name.replace('\\', "/").into());
    put("line", start.line.into());
    put("column", start.column.into());
    put("end_line", end.line.into());
    put("end_column", end.column.into());
    if let Some(evidence) = &finding.evidence {
        put("request", evidence.request.clone());
        put("expected", evidence.expected.clone());
        put("actual", evidence.actual.clone());
        put("steps", evidence.steps.clone());
    }
    if let Some(help) = &finding.help {
        put("help", help.clone().into());
    }
    if let Some(own) = &finding.fix {
        put("fix", fix(own));
    }
    Value::Object(object)
}

fn fix(fix: &Fix) -> Value {
    let edits = fix
        .edits
        .iter()
        .map(|edit| json!({"file": edit.file, "start": edit.span.start, "end": edit.span.end, "text": edit.text}));
    json!({"description": fix.description, "safe": fix.safe, "edits": edits.collect::<Vec<_>>()})
}
