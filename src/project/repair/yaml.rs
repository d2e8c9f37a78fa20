//! Changes to YAML: a key set, a value replaced, an entry taken away.
//!
//! In: a file and a row of keys, or a place. Out: [`Change`]s. Invariant: whatever comes out was read again, and says what it should.

use super::Change;
use crate::diag::Sink;
use crate::dialect::document::{Document, Entry, Kind, NodeId, Ref};
use crate::dialect::yaml;
use crate::source::{SourceFile, Span};

/// A YAML file.
#[derive(Debug)]
pub(super) struct Yaml<'s> {
    source: &'s SourceFile,
    document: Document,
}

/// What stands at a place.
pub(super) struct Found<'d> {
    /// The keys on the way.
    pub keys: Vec<&'d str>,
    /// The innermost entry, if it is one of a map that the place lies in directly.
    pub entry: Option<&'d Entry>,
    /// The innermost node.
    pub node: NodeId,
    /// The innermost item of a list around it, itself perhaps, and that list.
    pub item: Option<(NodeId, NodeId)>,
}

impl<'s> Yaml<'s> {
    /// `None`: it isn't valid.
    pub(super) fn read(source: &'s SourceFile) -> Option<Yaml<'s>> {
        let mut sink = Sink::default();
        let document = yaml::read(0, source, &mut sink);
        (!sink.has_errors()).then_some(Yaml { source, document })
    }

    pub(super) fn node(&self, id: NodeId) -> Ref<'_> {
        Ref { document: &self.document, id }
    }

    pub(super) fn span(&self, id: NodeId) -> Span {
        self.node(id).place().span()
    }

    /// What stands at a byte.
    pub(super) fn find(&self, at: usize) -> Option<Found<'_>> {
        let mut found = Found { keys: Vec::new(), entry: None, node: self.document.root?, item: None };
        loop {
            let holds = |id: NodeId| {
                let span = self.span(id);
                span.start <= at && at < span.end
            };
            match &self.document.node(found.node)?.kind {
                Kind::Map(entries) => {
                    let begun = |entry: &&Entry| entry.key_place.span().start <= at;
                    let Some(entry) = entries.iter().rfind(begun) else { return Some(found) };
                    let on_key = at < entry.key_place.span().end;
                    if !on_key && !holds(entry.value) {
                        return Some(found);
                    }
                    found = Found { entry: Some(entry), node: entry.value, ..found };
                    found.keys.push(&entry.key);
                    if on_key {
                        return Some(found);
                    }
                }
                Kind::List(items) => {
                    let Some(item) = items.iter().copied().find(|id| holds(*id)) else { return Some(found) };
                    found = Found { entry: None, item: Some((item, found.node)), node: item, ..found };
                }
                Kind::Null | Kind::Scalar(..) | Kind::Alias(_) => return Some(found),
            }
        }
    }

    /// A value below a row of keys, in any case; `value` is YAML.
    pub(super) fn set(&self, keys: &[&str], value: &str) -> Option<Change> {
        self.set_in(self.document.root?, keys, value)
    }

    /// The same from a map on.
    pub(super) fn set_in(&self, mut at: NodeId, keys: &[&str], value: &str) -> Option<Change> {
        for (depth, key) in keys.iter().enumerate() {
            let Kind::Map(entries) = &self.document.node(at)?.kind else { return None };
            let Some(entry) = entries.iter().find(|entry| entry.key.eq_ignore_ascii_case(key)) else {
                let last = entries.last()?;
                return self.checked(self.add(at, entries.first()?, last, &keys[depth..], value)?);
            };
            at = entry.value;
            if matches!(self.document.node(at)?.kind, Kind::Null) && depth + 1 < keys.len() {
                let end = self.line_end(entry.key_place.span().end);
                if !self.source.text[entry.key_place.span().end..end].trim().trim_end_matches(':').is_empty() {
                    return None;
                }
                let column = self.column(entry.key_place.span().start) + 2;
                return self.checked(Change {
                    span: Span { start: end, end },
                    text: self.nested(column, &keys[depth + 1..], value),
                });
            }
        }
        match self.document.node(at)?.kind {
            Kind::Scalar(..) | Kind::Null if !self.span(at).is_empty() => {
                self.checked(Change { span: self.span(at), text: value.to_owned() })
            }
            _ => None,
        }
    }

    /// The value at a place becomes another one; `value` is its text.
    pub(super) fn replace(&self, at: usize, value: &str) -> Option<Change> {
        let node = self.find(at)?.node;
        self.node(node).text()?;
        let span = self.span(node);
        let text = match self.source.slice(span).chars().next() {
            Some('"') => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
            Some('\'') => format!("'{}'", value.replace('\'', "''")),
            Some('|' | '>') => return None,
            _ => value.to_owned(),
        };
        self.checked(Change { span, text })
    }

    /// Where the value of the key at a place begins.
    pub(super) fn value_at(&self, at: usize) -> Option<usize> {
        Some(self.span(self.find(at)?.entry?.value).start)
    }

    /// New keys at the end of a map.
    fn add(&self, map: NodeId, first: &Entry, last: &Entry, keys: &[&str], value: &str) -> Option<Change> {
        let text: &str = &self.source.text;
        let span = self.span(map);
        if text[span.start..].starts_with('{') {
            let start = first.key_place.span().start;
            let text = format!("{}: {value}{}, ", keys.join(": {"), "}".repeat(keys.len() - 1));
            return Some(Change { span: Span { start, end: start }, text });
        }
        let end = text[..self.end(last)].trim_end().len();
        let end = self.line_end(end);
        let column = self.column(first.key_place.span().start);
        Some(Change { span: Span { start: end, end }, text: self.nested(column, keys, value) })
    }

    fn nested(&self, column: usize, keys: &[&str], value: &str) -> String {
        let end = if self.source.text.contains("\r\n") { "\r\n" } else { "\n" };
        let lines =
            keys.iter().enumerate().map(|(depth, key)| format!("{end}{}{key}:", " ".repeat(column + 2 * depth)));
        format!("{} {value}", lines.collect::<String>())
    }

    /// A new item behind another one of a block list.
    pub(super) fn add_item(&self, item: NodeId, value: &str) -> Option<Change> {
        let span = self.span(item);
        let text: &str = &self.source.text;
        let from = self.line_start(span.start);
        let before = &text[from..span.start];
        if before.trim() != "-" {
            return None;
        }
        let end = self.line_end(span.end);
        let line_break = if text.contains("\r\n") { "\r\n" } else { "\n" };
        self.checked(Change { span: Span { start: end, end }, text: format!("{line_break}{before}{value}") })
    }

    /// The entry or item at a place goes, if it has its lines for itself.
    pub(super) fn remove(&self, at: usize) -> Option<Change> {
        let found = self.find(at)?;
        let start = found.entry.map_or(self.span(found.node).start, |entry| entry.key_place.span().start);
        let end = self.span(found.node).end.max(found.entry.map_or(0, |entry| entry.key_place.span().end));
        let text: &str = &self.source.text;
        let from = self.line_start(start);
        let before = text[from..start].trim();
        let alone = before.is_empty() && found.entry.is_some()
            || before == "-" && found.entry.is_none() && found.item.is_some();
        let end = self.line_end(text[..end].trim_end().len());
        let end = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
        if alone { self.checked(Change { span: Span { start: from, end }, text: String::new() }) } else { None }
    }

    /// The change, if what it makes is still YAML.
    pub(super) fn checked(&self, change: Change) -> Option<Change> {
        let text: &str = &self.source.text;
        let new = format!("{}{}{}", &text[..change.span.start], change.text, &text[change.span.end..]);
        let source = SourceFile::new(self.source.name.clone(), self.source.path.clone(), new);
        Yaml::read(&source).map(|_| change)
    }

    fn end(&self, entry: &Entry) -> usize {
        self.span(entry.value).end.max(entry.key_place.span().end)
    }

    fn column(&self, at: usize) -> usize {
        self.source.text[self.line_start(at)..at].chars().count()
    }

    fn line_start(&self, at: usize) -> usize {
        self.source.text[..at].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        let text: &str = &self.source.text;
        let end = text[at..].find('\n').map_or(text.len(), |found| at + found);
        end - usize::from(end > at && text[..end].ends_with('\r'))
    }
}
