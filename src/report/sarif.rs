//! SARIF 2.1.0, for code scanning.
//!
//! In: a report. Out: one run. Invariant: columns count characters; relative paths are below `%SRCROOT%`; suppressed findings aren't in it
//! (GitHub shows those as open); fingerprints stay when lines move.

use serde_json::{Map, Value, json};

use super::{Report, notes};
use crate::finding::fingerprint::fingerprints;
use crate::finding::{Finding, Fix, Place, Severity};
use crate::rules::{RULES, Rule};
use crate::source::SourceFile;

/// What a severity is called there, and how severe GitHub takes it for, from 0 to 10.
fn level(severity: Severity) -> (&'static str, &'static str) {
    match severity {
        Severity::Error => ("error", "8.8"),
        Severity::Warning => ("warning", "5.5"),
        Severity::Info => ("note", "2.5"),
    }
}

pub(super) fn write(report: &Report) -> String {
    let names = fingerprints(&report.findings);
    let results: Vec<Value> =
        report.findings.iter().zip(&names).map(|(finding, name)| result(report, finding, name)).collect();
    let value = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "llmguard",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": RULES.iter().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "artifacts": report.files.iter().map(|file| json!({"location": location(file)})).collect::<Vec<_>>(),
            "results": results,
        }],
    });
    format!("{value:#}\n")
}

fn rule(rule: &Rule) -> Value {
    let (level, severity) = level(rule.severity);
    json!({
        "id": rule.id,
        "shortDescription": {"text": rule.summary()},
        "help": {"text": format!("`llmguard explain {}` says more.", rule.id), "markdown": rule.page()},
        "defaultConfiguration": {"level": level},
        "properties": {"security-severity": severity, "tags": ["security"]},
    })
}

fn result(report: &Report, finding: &Finding, fingerprint: &str) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| drop(object.insert(key.to_owned(), value));
    put("ruleId", finding.rule.into());
    if let Some(index) = RULES.iter().position(|rule| rule.id == finding.rule) {
        put("ruleIndex", index.into());
    }
    put("level", level(finding.severity).0.into());
    put("message", json!({"text": notes::whole(finding)}));
    put("locations", json!([{"physicalLocation": physical(&finding.place)}]));
    if !finding.related.is_empty() {
        let related = finding.related.iter().map(|(place, label)| located(place, label));
        put("relatedLocations", related.collect());
    }
    put("partialFingerprints", json!({"llmguard/v1": fingerprint}));
    if let Some(fix) = finding.fix.as_ref().and_then(|own| fix(report, own)) {
        put("fixes", json!([fix]));
    }
    Value::Object(object)
}

fn located(place: &Place, label: &str) -> Value {
    match label {
        "" => json!({"physicalLocation": physical(place)}),
        label => json!({"physicalLocation": physical(place), "message": {"text": label}}),
    }
}

fn physical(place: &Place) -> Value {
    json!({"artifactLocation": location(&place.file.name), "region": region(&place.file, place.span.start, place.span.end)})
}

fn region(file: &SourceFile, start: usize, end: usize) -> Value {
    let (start, end) = (file.line_column(start), file.line_column(end));
    json!({"startLine": start.line, "startColumn": start.column, "endLine": end.line, "endColumn": end.column})
}

/// A file as a URI: below the root of the sources, or absolute.
fn location(name: &str) -> Value {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let name = name.replace('\\', "/");
    let escape = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    let path: String = name.strip_prefix("./").unwrap_or(&name).bytes().map(escape).collect();
    match path.starts_with('/') {
        true => json!({"uri": format!("file://{path}")}),
        false => json!({"uri": path, "uriBaseId": "%SRCROOT%"}),
    }
}

/// A fix, its edits by file. `None`: one of the files wasn't read.
fn fix(report: &Report, fix: &Fix) -> Option<Value> {
    let mut changes: Vec<(&str, Vec<Value>)> = Vec::new();
    for edit in &fix.edits {
        let file = report.sources.iter().find(|file| file.name == edit.file)?;
        let replacement = json!({
            "deletedRegion": region(file, edit.span.start, edit.span.end),
            "insertedContent": {"text": edit.text},
        });
        match changes.iter_mut().find(|(name, _)| *name == edit.file) {
            Some((_, list)) => list.push(replacement),
            None => changes.push((&edit.file, vec![replacement])),
        }
    }
    let changes = changes.into_iter();
    let changes: Vec<Value> =
        changes.map(|(file, list)| json!({"artifactLocation": location(file), "replacements": list})).collect();
    Some(json!({"description": {"text": fix.description}, "artifactChanges": changes}))
}
