//! What to say about the form of a file that nginx refuses.
//!
//! In: a [`Fault`] and its file. Out: an error with its place and a remedy.

use crate::diag::{Diagnostic, Severity};
use crate::source::SourceFile;

use super::lexer::{Fault, FaultKind};

/// The error for a fault.
pub fn diagnostic(file: &SourceFile, fault: Fault) -> Diagnostic {
    let line = |at: usize| file.line_column(at).line;
    let first_word = |at: usize| {
        let text = &file.text[at.min(file.text.len())..];
        text.split(|c: char| c.is_whitespace() || c == ';').next().unwrap_or("").to_owned()
    };
    let (message, label, help) = match fault.kind {
        FaultKind::Unexpected(byte) => {
            (format!("unexpected `{}`", byte as char), "no directive stands before it", "take it out".to_owned())
        }
        FaultKind::UnexpectedClose => {
            ("unexpected `}`".to_owned(), "no block of this file is open here", "take it out".to_owned())
        }
        FaultKind::MissingEnd(start) => (
            "unexpected `}`: a directive has no `;`".to_owned(),
            "`;` was expected before it",
            format!("end `{}` of line {} with `;`", first_word(start), line(start)),
        ),
        FaultKind::Glued(byte) => (
            format!("unexpected `{}` behind a quote", char::from(byte).escape_default()),
            "a blank, `;`, `{` or `)` was expected",
            "put the whole word in quotes, or leave a blank behind the quote".to_owned(),
        ),
        FaultKind::EndInDirective(start) => (
            "the file ends inside a directive".to_owned(),
            "`;` was expected",
            format!("end `{}` of line {} with `;`", first_word(start), line(start)),
        ),
        FaultKind::EndInQuotes(start) => (
            "the file ends inside a quoted word".to_owned(),
            "the closing quote was expected",
            format!("close the quote of line {}", line(start)),
        ),
        FaultKind::EndInBlock(start) => (
            "the file ends inside a block".to_owned(),
            "`}` was expected",
            format!(
                "close the block `{}` of line {}; a block can't be closed in another file",
                first_word(start),
                line(start)
            ),
        ),
        FaultKind::TooLong(quote) => (
            "a word or comment of over 4095 bytes: nginx reads no longer ones".to_owned(),
            "it begins here",
            match quote {
                0 => "make it shorter".to_owned(),
                quote => format!("close it with `{}`", quote as char),
            },
        ),
        FaultKind::ByteOrderMark => (
            "the file begins with a byte-order mark, which nginx takes for a part of the first directive's name"
                .to_owned(),
            "",
            "save the file as UTF-8 without a byte-order mark".to_owned(),
        ),
    };
    Diagnostic::new(Severity::Error, message).at(file, fault.span, label).help(help)
}
