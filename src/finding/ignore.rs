//! Suppression in the configs themselves: `# llmguard: ignore[rule-id] reason` on the line of a finding or the line above.
//!
//! In: files and findings. Out: the findings that stay, how many don't, and a finding for each comment that suppresses nothing or gives no
//! reason. Invariant: nothing is suppressed without a reason; a comment in any of the languages begins with `#`.

use super::{Edit, Finding, Fix, Place, Severity};
use crate::source::{SourceFile, Span};

/// The rule of comments that no longer match.
pub const UNUSED: &str = "unused-ignore";

/// What comments begin with, behind the `#`.
const MARK: &str = "llmguard: ignore[";

/// One comment.
#[derive(Debug)]
struct Ignore {
    place: Place,
    line: usize,
    /// Whether it stands alone in its line, and so is about the next one too.
    alone: bool,
    rules: Vec<String>,
    reason: bool,
    used: bool,
}

/// The findings that stay, and how many were suppressed.
pub fn apply(files: &[SourceFile], findings: Vec<Finding>, known: &dyn Fn(&str) -> bool) -> (Vec<Finding>, usize) {
    let mut ignores: Vec<Ignore> = files.iter().flat_map(read).collect();
    let before = findings.len();
    let mut kept: Vec<Finding> = Vec::with_capacity(before);
    for finding in findings {
        let line = finding.place.start().line;
        let mut covers = ignores.iter_mut().filter(|ignore| {
            ignore.place.file.name == finding.place.file.name
                && (ignore.line == line || (ignore.alone && ignore.line + 1 == line))
                && ignore.rules.iter().any(|rule| rule == finding.rule)
        });
        match covers.next() {
            Some(ignore) => {
                ignore.used = true;
                if !ignore.reason {
                    kept.push(finding);
                }
            }
            None => kept.push(finding),
        }
    }
    let suppressed = before - kept.len();
    kept.extend(ignores.iter().filter_map(|ignore| complaint(ignore, known)));
    (kept, suppressed)
}

/// What is wrong with a comment.
fn complaint(ignore: &Ignore, known: &dyn Fn(&str) -> bool) -> Option<Finding> {
    let unknown = ignore.rules.iter().find(|rule| !known(rule));
    let (message, help) = match (unknown, ignore.used, ignore.reason) {
        (Some(rule), ..) => (format!("there is no rule `{rule}`"), "`llmguard rules` lists them"),
        (None, false, _) => (
            format!("nothing is found here that `ignore[{}]` would suppress", ignore.rules.join(", ")),
            "take the comment away",
        ),
        (None, true, false) => (
            "a suppression needs a reason, and has none: nothing is suppressed".to_owned(),
            "write behind the bracket why this is as it should be",
        ),
        (None, true, true) => return None,
    };
    let fix = (unknown.is_none() && !ignore.used).then(|| taken_away(ignore));
    Some(Finding::new(UNUSED, Severity::Warning, message, ignore.place.clone()).help(help).fixed_by(fix))
}

/// The change that takes a comment away, with its line where it stands alone.
fn taken_away(ignore: &Ignore) -> Fix {
    let Place { file, span } = &ignore.place;
    let text: &str = &file.text;
    let from = text[..span.start].trim_end_matches([' ', '\t']).len();
    let end = text[span.end..].find('\n').map_or(text.len(), |at| span.end + at + 1);
    let span = if ignore.alone { Span { start: from, end } } else { Span { start: from, end: span.end } };
    let edits = vec![Edit { file: file.name.clone(), span, text: String::new() }];
    Fix { description: "take the comment away".to_owned(), safe: true, edits }
}

/// The comments of a file.
fn read(file: &SourceFile) -> Vec<Ignore> {
    let mut found = Vec::new();
    for (at, _) in file.text.match_indices(MARK) {
        let from = file.text[..at].rfind('\n').map_or(0, |at| at + 1);
        let to = file.text[at..].find('\n').map_or(file.text.len(), |end| at + end);
        let before = &file.text[from..at];
        // The comment sign, and nothing else between it and the mark.
        let Some(sign) = before.rfind('#').filter(|sign| before[sign + 1..].trim().is_empty()) else { continue };
        let rest = &file.text[at + MARK.len()..to];
        let Some((rules, reason)) = rest.split_once(']') else { continue };
        let rules = rules.split(',').map(|rule| rule.trim().to_owned()).filter(|rule| !rule.is_empty()).collect();
        let span = Span { start: from + sign, end: from + file.text[from..to].trim_end().len() };
        found.push(Ignore {
            place: Place { file: file.clone(), span },
            line: file.line_column(at).line,
            alone: before[..sign].trim().is_empty(),
            rules,
            reason: !reason.trim().is_empty(),
            used: false,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(file: &SourceFile, text: &str) -> Finding {
        let start = file.text.find(text).unwrap();
        let place = Place { file: file.clone(), span: Span::new(start..start + text.len()) };
        Finding::new("a-rule", Severity::Error, "it is wrong", place)
    }

    #[test]
    fn comments_suppress_their_line_and_the_next() {
        let text = "one; # llmguard: ignore[a-rule] meant so\n# llmguard: ignore[b-rule, a-rule] too\ntwo;\nthree;\n\
                    # llmguard: ignore[a-rule]\nfour;\n# llmguard: ignore[a-rule] old\nx \"#\" llmguard: ignore[a-rule] no\n";
        let file = SourceFile::new("f", "f", text);
        let all = ["one", "two", "three", "four"].map(|word| finding(&file, word)).to_vec();
        let (kept, suppressed) = apply(std::slice::from_ref(&file), all, &|rule| rule.ends_with("-rule"));
        let told: Vec<(&str, usize)> = kept.iter().map(|one| (one.rule, one.place.start().line)).collect();
        assert_eq!(told, [("a-rule", 4), ("a-rule", 6), (UNUSED, 5), (UNUSED, 7)]);
        assert_eq!(suppressed, 2);
    }
}
