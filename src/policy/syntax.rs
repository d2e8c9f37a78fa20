//! Broken TOML, said in the policy's words.
//!
//! In: what the TOML parser found, and the problems of form in what it could still read. Out: the problems that are not mere
//! consequences of others. Invariant: a file that is no TOML has at least one; one line of text has at most one of syntax.

use crate::diag::{Diagnostic, Severity, Sink};
use crate::source::{SourceFile, Span};

/// A part of the parser's message, what is wrong, and the remedy; the first that fits counts.
const WORDS: &[(&str, &str, &str)] = &[
    ("duplicate key", "stands twice", "write each table and each key once; lists of tables as `[[client]]`"),
    ("key with no value", "no value for this key", "write KEY = VALUE"),
    ("invalid unquoted key", "this can't stand in a key", "TOML is KEY = VALUE, with `=`, not with `:`"),
    ("expected key", "no key here", "TOML is `[TABLE]` lines with KEY = VALUE lines below them"),
    ("escaped value", "unknown escape in a string", "write `\\\\` for a backslash, or put the text in single quotes"),
    ("expected non-double-quote", "a control character in a string", "take it out"),
    ("expected non-single-quote", "a control character in a string", "take it out"),
    ("invalid basic string", "the quote isn't closed on its line", "close it with `\"`"),
    ("invalid literal string", "the quote isn't closed on its line", "close it with `'`"),
    ("must be quoted", "a text without quotes", "put it in straight double quotes: \"…\""),
    ("invalid float", "this is no number", "put a text in double quotes: \"…\""),
    ("invalid integer", "this is no number", "put a text in double quotes: \"…\""),
    ("invalid datetime", "this is no number", "put a text in double quotes: \"…\""),
    (
        "inline table element",
        "the table before this isn't closed",
        "put `}` after its last value, or a comma between values",
    ),
    (
        "between key-value pairs",
        "the table before this isn't closed",
        "put `}` after its last value, or a comma between values",
    ),
    (
        "between array elements",
        "the list before this isn't closed",
        "put `]` after its last element, or a comma between elements",
    ),
    ("unclosed array", "a list isn't closed", "put `]` after its last element"),
    ("unclosed inline table", "a table isn't closed", "put `}` after its last value"),
    ("unclosed table", "the table's name isn't closed", "put `]` after it"),
];

/// After one of these the parser no longer knows where it is.
const LOST: &[&str] = &["between array elements", "unclosed array", "inline table", "between key-value pairs"];

/// The problems of syntax, and those of form that don't follow from them.
pub(super) fn problems(file: &SourceFile, errors: Vec<toml::de::Error>, form: Sink) -> Vec<Diagnostic> {
    let start = |error: &toml::de::Error| error.span().unwrap_or_default().start;
    let lost = errors.iter().filter(|error| LOST.iter().any(|word| error.message().contains(word))).map(start).min();
    let mut errors: Vec<_> = errors.iter().filter(|error| lost.is_none_or(|lost| start(error) <= lost)).collect();
    errors.sort_by_key(|error| start(error));
    let mut lines = std::collections::BTreeSet::new();
    let mut out = Vec::new();
    for error in errors {
        let span = Span::new(error.span().unwrap_or_default());
        let line = file.line_column(span.start).line;
        if !lines.insert(line) {
            continue;
        }
        out.push(problem(file, error.message(), span));
    }
    out.extend(form.list.into_iter().filter(|problem| {
        let at = problem.span.as_ref().map_or(0, |(span, _)| span.start);
        lost.is_none_or(|lost| at < lost) && !lines.contains(&file.line_column(at).line)
    }));
    out
}

fn problem(file: &SourceFile, message: &str, span: Span) -> Diagnostic {
    let found = WORDS.iter().find(|(part, _, _)| message.contains(part));
    let (said, help) = match found {
        Some((_, _, _)) if message.contains("must be quoted") && file.slice(span).trim().is_empty() => {
            ("no value after `=`".to_owned(), "write one, or take the key out")
        }
        Some((_, said, help)) if message.contains("duplicate key") => {
            (format!("`{}` {said}", file.slice(span).escape_debug()), *help)
        }
        Some((_, said, help)) => ((*said).to_owned(), *help),
        None => (first_lower(message), "look at the line before it too"),
    };
    Diagnostic::new(Severity::Error, format!("not valid TOML: {said}")).at(file, span, "").help(help)
}

fn first_lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
