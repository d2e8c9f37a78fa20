//! TOML text → [`Document`].
//!
//! In: a file. Out: its tables as maps in the order of the file, and every error of syntax. Invariant: total and iterative.

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use super::Place;
use super::document::{Document, Entry, Kind, NodeId, Style};
use crate::diag::{Diagnostic, Severity, Sink};
use crate::source::{SourceFile, Span};

/// Reads a file. `file` is the index that its places get.
pub fn read(file: usize, source: &SourceFile, sink: &mut Sink) -> Document {
    if let Some(at) = source.first_non_utf8() {
        let problem = Diagnostic::new(Severity::Error, "not valid TOML: not UTF-8 text");
        sink.push(problem.at(source, Span { start: at, end: at + 1 }, ""));
        return Document::default();
    }
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    for error in errors {
        let span = Span::new(error.span().unwrap_or_default());
        let message = format!("not valid TOML: {}", error.message());
        sink.push(Diagnostic::new(Severity::Error, message).at(source, span, ""));
    }
    build(file, source, &table)
}

/// A value of the parser's whose node is there already and still empty.
enum Waiting<'t> {
    Table(NodeId, &'t DeTable<'t>),
    Value(NodeId, &'t Spanned<DeValue<'t>>),
}

fn build(file: usize, source: &SourceFile, top: &Spanned<DeTable<'_>>) -> Document {
    let mut document = Document::default();
    let place = |span: std::ops::Range<usize>| Place::new(file, Span::new(span));
    let root = document.add(place(0..source.text.len()), Kind::Null);
    document.root = Some(root);
    let mut waiting = vec![Waiting::Table(root, top.get_ref())];
    while let Some(next) = waiting.pop() {
        let (id, kind) = match next {
            Waiting::Table(id, table) => (id, entries(table, &mut document, &place, &mut waiting)),
            Waiting::Value(id, value) => {
                let kind = match value.get_ref() {
                    DeValue::Table(table) => entries(table, &mut document, &place, &mut waiting),
                    DeValue::Array(items) => {
                        let items = items.iter().map(|item| {
                            let id = document.add(place(item.span()), Kind::Null);
                            waiting.push(Waiting::Value(id, item));
                            id
                        });
                        Kind::List(items.collect())
                    }
                    DeValue::String(text) => Kind::Scalar((&**text).into(), Style::Quoted),
                    scalar => Kind::Scalar(plain(scalar, source.slice(Span::new(value.span()))), Style::Plain),
                };
                (id, kind)
            }
        };
        if let Some(node) = document.node_mut(id) {
            node.kind = kind;
        }
    }
    document
}

fn entries<'t>(
    table: &'t DeTable<'t>,
    document: &mut Document,
    place: &impl Fn(std::ops::Range<usize>) -> Place,
    waiting: &mut Vec<Waiting<'t>>,
) -> Kind {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| {
            let id = document.add(place(value.span()), Kind::Null);
            waiting.push(Waiting::Value(id, value));
            Entry { key: (&**key.get_ref()).into(), key_place: place(key.span()), value: id }
        })
        .collect();
    // The parser gives keys in the order of the alphabet.
    entries.sort_by_key(|entry| entry.key_place);
    Kind::Map(entries.into())
}

/// A bare value in YAML's spelling, which [`super::scalar`] knows.
fn plain(value: &DeValue<'_>, written: &str) -> Box<str> {
    match (value, written.trim_start_matches(['+', '-'])) {
        (DeValue::Boolean(value), _) => value.to_string().into(),
        (DeValue::Float(_), "nan") => ".nan".into(),
        (DeValue::Float(_), "inf") if written.starts_with('-') => "-.inf".into(),
        (DeValue::Float(_), "inf") => ".inf".into(),
        _ => written.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_keep_their_order_and_places() {
        let source = SourceFile::new("t", "t", "z = 1\n[b.c]\nx = [true, \"no\", 0x1f]\n[[a]]\nk = 'v'\n[[a]]\n");
        let mut sink = Sink::default();
        let document = read(0, &source, &mut sink);
        let root = document.root().unwrap();
        assert!(sink.list.is_empty());
        assert_eq!(root.entries().map(|(entry, _)| &*entry.key).collect::<Vec<_>>(), ["z", "b", "a"]);
        assert_eq!(
            root.path(&["b", "c", "x"]).unwrap().items().filter_map(|item| item.printed()).collect::<Vec<_>>(),
            ["true", "no", "31"]
        );
        let first = root.get("a").unwrap().items().next().unwrap();
        assert_eq!(source.slice(first.get("k").unwrap().place().span()), "'v'");
        assert_eq!(root.get("a").unwrap().items().count(), 2);
    }

    #[test]
    fn broken_files_are_told_of() {
        for text in
            ["a = ", "a = 1\na = 2\n", "[[[", "\u{0}", &"[".repeat(100_000), &format!("{}=1", "a.".repeat(100_000))]
        {
            let mut sink = Sink::default();
            read(0, &SourceFile::new("t", "t", text), &mut sink);
            assert!(sink.has_errors(), "{}", text.get(..20).unwrap_or(text));
        }
    }
}
