//! JUnit's XML: a file is a suite, a finding a failed case.
//!
//! In: a report. Out: XML. Invariant: whatever a text holds, the XML is well-formed: what XML 1.0 can't hold is U+FFFD.

use std::fmt::Write as _;

use super::{Report, notes};
use crate::finding::{Finding, Severity};

pub(super) fn write(report: &Report) -> String {
    let failures = report.findings.iter().filter(|finding| fails(finding)).count();
    let clean = |file: &&String| !report.findings.iter().any(|finding| is_in(finding, file));
    let cases = report.findings.len() + report.files.iter().filter(clean).count();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(out, "<testsuites name=\"llmguard\" tests=\"{cases}\" failures=\"{failures}\" errors=\"0\">");
    for file in &report.files {
        let own: Vec<&Finding> = report.findings.iter().filter(|finding| is_in(finding, file)).collect();
        let failures = own.iter().filter(|finding| fails(finding)).count();
        let name = escaped(file);
        let tests = own.len().max(1);
        let _ = writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\">"
        );
        if own.is_empty() {
            let _ = writeln!(out, "    <testcase classname=\"{name}\" name=\"nothing found\"/>");
        }
        own.iter().for_each(|finding| case(finding, &name, &mut out));
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn case(finding: &Finding, file: &str, out: &mut String) {
    let start = finding.place.start();
    let text =
        escaped(&format!("{}:{}:{}: {}", finding.place.file.name, start.line, start.column, notes::whole(finding)));
    let (rule, severity) = (escaped(finding.rule), finding.severity.name());
    let _ = writeln!(
        out,
        "    <testcase classname=\"{file}\" name=\"{rule} in line {}\" file=\"{file}\" line=\"{}\">",
        start.line, start.line
    );
    let _ = match fails(finding) {
        true => {
            let message = escaped(&finding.message);
            writeln!(out, "      <failure type=\"{severity}\" message=\"{message}\">{text}</failure>")
        }
        false => writeln!(out, "      <system-out>{text}</system-out>"),
    };
    out.push_str("    </testcase>\n");
}

/// Hygiene fails nothing.
fn fails(finding: &Finding) -> bool {
    finding.severity != Severity::Info
}

fn is_in(finding: &Finding, file: &str) -> bool {
    finding.place.file.name.replace('\\', "/") == file
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // Kept as they are in attributes too.
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_can_stand_in_xml() {
        assert_eq!(escaped("a<b>&\"'\n\u{1}\u{ffff}ä"), "a&lt;b&gt;&amp;&quot;&apos;&#10;\u{fffd}\u{fffd}ä");
    }
}
