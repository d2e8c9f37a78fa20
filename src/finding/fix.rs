//! Fixes of findings → files as they would be.
//!
//! In: findings with their fixes, and the files that they are about. Out: [`Mended`] files. Invariant: of fixes that overlap only the first is
//! applied; a fix is applied as a whole or not at all; whatever isn't edited stays byte for byte.

use std::collections::BTreeMap;

use super::{Edit, Finding};
use crate::source::{SourceFile, Span};

/// A file that fixes change.
#[derive(Debug)]
pub struct Mended {
    /// As it is.
    pub file: SourceFile,
    /// As it would be.
    pub bytes: Vec<u8>,
}

/// The files that the fixes of some findings change, and how many findings that mends. Unsafe fixes only where asked for.
pub fn apply(files: &[SourceFile], findings: &[Finding], unsafe_too: bool) -> (Vec<Mended>, usize) {
    let mut accepted: BTreeMap<&str, Vec<&Edit>> = BTreeMap::new();
    let mut mended = 0;
    for fix in findings.iter().filter_map(|finding| finding.fix.as_ref()).filter(|fix| fix.safe || unsafe_too) {
        let known = |edit: &Edit| files.iter().any(|file| file.name == edit.file);
        let free = |edit: &Edit| {
            let others = accepted.get(edit.file.as_str()).into_iter().flatten();
            others.into_iter().all(|other| *other == edit || !overlap(other, edit))
        };
        if fix.edits.is_empty() || !fix.edits.iter().all(|edit| known(edit) && free(edit)) {
            continue;
        }
        for edit in &fix.edits {
            let own = accepted.entry(&edit.file).or_default();
            if !own.contains(&edit) {
                own.push(edit);
            }
        }
        mended += 1;
    }
    let changed = files.iter().filter_map(|file| {
        let edits = accepted.get(file.name.as_str())?;
        Some(Mended { file: file.clone(), bytes: edited(file.bytes(), edits) })
    });
    (changed.collect(), mended)
}

/// Whether both can't be applied. Two insertions at one place can.
fn overlap(a: &Edit, b: &Edit) -> bool {
    let (one, other) = (a.span, b.span);
    match (one.is_empty(), other.is_empty()) {
        (true, true) => false,
        (true, false) => other.start < one.start && one.start < other.end,
        (false, true) => one.start < other.start && other.start < one.end,
        (false, false) => one.start < other.end && other.start < one.end,
    }
}

/// The bytes with these edits applied.
fn edited(bytes: &[u8], edits: &[&Edit]) -> Vec<u8> {
    let mut whole: Vec<(Span, String)> = Vec::new();
    let mut sorted = edits.to_vec();
    // At one place what goes on in its line comes before new lines; else insertions stay in the order of the findings.
    sorted.sort_by_key(|edit| (edit.span, edit.text.starts_with(['\r', '\n'])));
    for edit in sorted {
        match whole.last_mut().filter(|(span, _)| span.is_empty() && *span == edit.span) {
            Some((_, text)) => *text = joined(text, &edit.text),
            None => whole.push((edit.span, edit.text.clone())),
        }
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    for (span, text) in whole {
        out.extend_from_slice(bytes.get(at..span.start).unwrap_or_default());
        out.extend_from_slice(text.as_bytes());
        at = span.end.max(at);
    }
    out.extend_from_slice(bytes.get(at..).unwrap_or_default());
    out
}

/// Two insertions at one place: blocks that both open are opened once.
fn joined(first: &str, second: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (first.lines().collect(), second.lines().collect());
    let (a_end, b_end) = (first.ends_with('\n'), second.ends_with('\n'));
    let head = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    if head == 0 || a_end != b_end {
        return format!("{first}{second}");
    }
    let mut open = a[..head].iter().filter(|line| line.ends_with('{')).count();
    let mut tail = 0;
    for (one, other) in a[head..].iter().rev().zip(b[head..].iter().rev()) {
        let closes = one.trim() == "}";
        if one != other || closes && open == 0 {
            break;
        }
        open -= usize::from(closes);
        tail += 1;
    }
    let line_break = if first.contains("\r\n") { "\r\n" } else { "\n" };
    let lines: Vec<&str> = a[..a.len() - tail].iter().chain(&b[head..]).copied().collect();
    format!("{}{}", lines.join(line_break), if a_end { line_break } else { "" })
}

#[cfg(test)]
mod tests {
    use super::super::{Fix, Place, Severity};
    use super::*;

    /// Start, end, text.
    type Replaced<'t> = (usize, usize, &'t str);

    fn mended(text: &str, fixes: &[(bool, &[Replaced<'_>])]) -> (String, usize) {
        let file = SourceFile::new("f", "f", text);
        let findings = fixes.iter().map(|(safe, edits)| {
            let place = Place { file: file.clone(), span: Span::default() };
            let edits = edits.iter().map(|&(start, end, text)| Edit {
                file: "f".to_owned(),
                span: Span { start, end },
                text: text.to_owned(),
            });
            let fix = Fix { description: String::new(), safe: *safe, edits: edits.collect() };
            Finding::new("r", Severity::Error, "m", place).fixed_by(Some(fix))
        });
        let findings: Vec<Finding> = findings.collect();
        let (files, count) = apply(std::slice::from_ref(&file), &findings, false);
        let new = files.first().map_or(text.as_bytes(), |mended| &mended.bytes);
        (String::from_utf8(new.to_vec()).unwrap(), count)
    }

    #[test]
    fn fixes_that_overlap_are_not_both_applied() {
        let replace: &[_] = &[(0, 3, "X")];
        let within: &[_] = &[(1, 1, "Y"), (5, 5, "Z")];
        let beside: &[_] = &[(3, 3, "B")];
        assert_eq!(mended("abcdef", &[(true, replace), (true, within), (true, beside)]), ("XBdef".to_owned(), 2));
        assert_eq!(mended("abcdef", &[(true, within), (true, replace)]), ("aYbcdeZf".to_owned(), 1));
        assert_eq!(mended("abcdef", &[(false, replace)]), ("abcdef".to_owned(), 0));
        // Two findings with one fix are both mended by it.
        assert_eq!(mended("abcdef", &[(true, replace), (true, replace)]), ("Xdef".to_owned(), 2));
    }

    #[test]
    fn insertions_at_one_place_share_their_blocks() {
        for (first, second, both) in [
            ("\n  a 1;", "\n  b 2;", "\n  a 1;\n  b 2;"),
            (" a 1;", " b 2;", " a 1; b 2;"),
            (" {\n  a\n}", " {\n  b\n}", " {\n  a\n  b\n}"),
            (" {\r\n  a\r\n}", " {\r\n  b\r\n}", " {\r\n  a\r\n  b\r\n}"),
            ("{\n  t {\n    a\n  }\n}\n\n", "{\n  t {\n    b\n  }\n}\n\n", "{\n  t {\n    a\n    b\n  }\n}\n\n"),
            ("{\n  x off\n}\n\n", "{\n  t {\n    b\n  }\n}\n\n", "{\n  x off\n  t {\n    b\n  }\n}\n\n"),
            ("\n  x {\n  a\n  }", "\n  y {\n  b\n  }", "\n  x {\n  a\n  }\n  y {\n  b\n  }"),
            ("\n  b", " {\n  a\n}", " {\n  a\n}\n  b"),
            ("\n  t:\n    a: 1", "\n  t:\n    b: 2", "\n  t:\n    a: 1\n    b: 2"),
        ] {
            assert_eq!(mended("<>", &[(true, &[(1, 1, first)]), (true, &[(1, 1, second)])]).0, format!("<{both}>"));
        }
    }
}
