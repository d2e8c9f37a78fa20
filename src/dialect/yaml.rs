//! YAML text → [`Document`]s, as strict as Go's yaml.v3, which Compose and Traefik read with.
//!
//! In: a file. Out: its documents, and every place that Go would refuse. Invariant: total and iterative; an alias stays a reference, and a
//! document whose aliases run in circles or grow beyond bounds is given out empty, so that whoever walks one comes to an end.

mod build;
mod check;
#[cfg(test)]
mod tests;

use granit_parser::{Event, ParseResult, Parser};

use super::Place;
use super::document::Document;
use crate::diag::{Diagnostic, Severity, Sink};
use crate::source::{SourceFile, Span};
use build::Builder;

/// What a file is that begins like this, for Go and for the parser here.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads the first document of a file: what follows `---` is not looked at, as Go's `Unmarshal` doesn't. `file` is the index that its
/// places get.
pub fn read(file: usize, source: &SourceFile, sink: &mut Sink) -> Document {
    Reader::new(file, source).next(sink).unwrap_or_default()
}

/// Reads all documents of a file up to the first error.
pub fn read_all(file: usize, source: &SourceFile, sink: &mut Sink) -> Vec<Document> {
    let mut reader = Reader::new(file, source);
    std::iter::from_fn(|| reader.next(sink)).collect()
}

struct Reader<'s> {
    file: usize,
    source: &'s SourceFile,
    parser: Parser<'s, granit_parser::StrInput<'s>>,
    /// Bytes of a byte-order mark, which the parser doesn't see.
    skipped: usize,
    /// A byte that Go doesn't read over, and what it is.
    refused: Option<(usize, &'static str)>,
    ended: bool,
}

impl<'s> Reader<'s> {
    fn new(file: usize, source: &'s SourceFile) -> Reader<'s> {
        // Comments can be as many as they like; what nests deeper than the default of 255 no server takes.
        let options = granit_parser::options! {
            emit_unresolved_aliases: true,
            max_buffered_comment_events: usize::MAX,
        };
        let text = source.text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&source.text);
        let skipped = source.text.len() - text.len();
        let refused = source.first_non_utf8().map(|at| (at, "not UTF-8 text"));
        let refused = refused.or_else(|| control_character(text).map(|at| (at + skipped, "a control character")));
        let parser = Parser::new_from_str_with_options(text, options);
        Reader { file, source, parser, skipped, refused, ended: false }
    }

    /// The next document; absent: there is none, or what follows can't be read, which was said.
    fn next(&mut self, sink: &mut Sink) -> Option<Document> {
        if self.ended {
            return None;
        }
        if let Some((at, what)) = self.refused.take() {
            self.ended = true;
            sink.push(self.error(what, Span { start: at, end: at + 1 }));
            return None;
        }
        let mut builder = Builder::new(self.source);
        while let Some(next) = self.parser.next_event() {
            match self.event(next, &mut builder, sink) {
                Some(Event::DocumentEnd) => {
                    let mut document = builder.finish(sink);
                    check::aliases(&mut document, self.source, sink);
                    return Some(document);
                }
                Some(_) => {}
                None => break,
            }
        }
        self.ended = true;
        None
    }

    /// Takes one event in; absent: it is an error.
    fn event(&self, next: ParseResult<'s>, builder: &mut Builder<'_>, sink: &mut Sink) -> Option<Event<'s>> {
        let (event, span) = match next {
            Ok(next) => next,
            Err(error) => {
                let at = self.offset(error.marker());
                sink.push(self.error(&error.info(), Span { start: at, end: at }));
                return None;
            }
        };
        let range = Span { start: self.offset(&span.start), end: self.offset(&span.end) };
        if let Event::UnresolvedAlias(name) = &event {
            sink.push(self.error(&format!("nothing is anchored as `&{name}`"), range));
        }
        builder.take(&event, Place::new(self.file, range));
        Some(event)
    }

    fn offset(&self, marker: &granit_parser::Marker) -> usize {
        let at = (marker.byte_offset().unwrap_or_default() + self.skipped).min(self.source.text.len());
        (0..=at).rev().find(|&at| self.source.text.is_char_boundary(at)).unwrap_or_default()
    }

    fn error(&self, message: &str, span: Span) -> Diagnostic {
        Diagnostic::new(Severity::Error, format!("not valid YAML: {message}")).at(self.source, span, "")
    }
}

/// The first control character that Go's YAML refuses.
fn control_character(text: &str) -> Option<usize> {
    text.bytes().position(|byte| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r') || byte == 0x7f)
}
