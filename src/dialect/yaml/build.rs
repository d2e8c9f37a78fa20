//! Events → one document.
//!
//! In: the parser's events. Out: nodes, maps with their merges. Invariant: an own stack, so that nesting costs no stack of the program's.

use std::collections::HashMap;

use granit_parser::{Event, ScalarStyle, StructureStyle, Tag};

use super::super::Place;
use super::super::document::{Document, Entry, Kind, NodeId, Style};
use super::super::scalar;
use crate::diag::{Diagnostic, Severity, Sink};
use crate::source::SourceFile;

/// The key that merges maps.
const MERGE: &str = "<<";

/// What is wrong with a key that isn't one.
const NO_KEY: &str = "not valid YAML: a key must be a text";

/// A map with more entries is searched by a table for keys that stand twice.
const FEW: usize = 16;

pub(super) struct Builder<'s> {
    source: &'s SourceFile,
    document: Document,
    open: Vec<Open>,
    /// How many of them stand in brackets.
    flows: usize,
    anchors: HashMap<usize, NodeId>,
    problems: Vec<(String, Place)>,
    /// Keys that stand again: the key, where, and where it stood first.
    repeated: Vec<(Box<str>, Place, Place)>,
}

/// A list or map that isn't closed yet.
struct Open {
    id: NodeId,
    items: Vec<NodeId>,
    entries: Vec<Entry>,
    key: Option<Key>,
    is_map: bool,
    /// Whether it stands in brackets.
    flow: bool,
}

/// A key that waits for its value.
struct Key {
    text: Box<str>,
    place: Place,
    merges: bool,
}

impl<'s> Builder<'s> {
    pub(super) fn new(source: &'s SourceFile) -> Builder<'s> {
        Builder {
            source,
            document: Document::default(),
            open: Vec::new(),
            flows: 0,
            anchors: HashMap::new(),
            problems: Vec::new(),
            repeated: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, event: &Event<'_>, place: Place) {
        if event.is_node() && self.flows == 0 && self.indented_by_tab(place) {
            self.problem("a tab can't indent: Go's YAML takes spaces alone", place);
        }
        match event {
            Event::Scalar(text, style, 0, tag) if self.awaits_key() => {
                let key = self.plain_key(text, *style, tag.as_deref(), place);
                if let Some(open) = self.open.last_mut() {
                    open.key = Some(key);
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let id = self.scalar(text, *style, tag.as_deref(), place);
                self.anchor(*anchor, id);
                self.put(id);
            }
            Event::Alias(anchor) => {
                let kind = self.anchors.get(anchor).map_or(Kind::Null, |&target| Kind::Alias(target));
                let id = self.document.add(place, kind);
                self.put(id);
            }
            Event::UnresolvedAlias(_) => {
                let id = self.document.add(place, Kind::Null);
                self.put(id);
            }
            Event::SequenceStart(style, anchor, tag) => {
                let id = self.add(place, Kind::List(Box::default()), tag.as_deref().map(tag_text));
                self.begin(id, false, *style, *anchor);
            }
            Event::MappingStart(style, anchor, tag) => {
                let id = self.add(place, Kind::Map(Box::default()), tag.as_deref().map(tag_text));
                self.begin(id, true, *style, *anchor);
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(place),
            Event::Comment(..) => self.document.comments.push(place),
            // Marks of the stream and names of anchors, which the nodes have already.
            _ => {}
        }
    }

    /// The document, and what is wrong with its keys.
    pub(super) fn finish(self, sink: &mut Sink) -> Document {
        let source = self.source;
        for (message, place) in self.problems {
            sink.push(Diagnostic::new(Severity::Error, message).at(source, place.span(), ""));
        }
        for (key, again, first) in self.repeated {
            let line = source.line_column(first.span().start).line;
            let message = format!("the key `{key}` stands twice in one map");
            let problem = Diagnostic::new(Severity::Error, message);
            sink.push(problem.at(source, again.span(), format!("it stands on line {line} already")));
        }
        self.document
    }

    /// Whether a map waits for its next key.
    fn awaits_key(&self) -> bool {
        self.open.last().is_some_and(|open| open.is_map && open.key.is_none())
    }

    /// A key that is a scalar of its own: it needs no node.
    fn plain_key(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> Key {
        let bare = style == ScalarStyle::Plain;
        let tag = tag.map(tag_text);
        if bare && place.span().is_empty() && tag.is_none() {
            self.problems.push((NO_KEY.to_owned(), place));
        }
        let merges = bare && text == MERGE && tag.is_none() || tag.as_deref() == Some("!!merge");
        let text = if bare && tag.is_none() && scalar::is_null(text) { "" } else { text };
        Key { text: text.into(), place, merges }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> NodeId {
        let tag = tag.map(tag_text);
        // A tag that isn't YAML's own makes a text of a bare scalar, in Go's eyes.
        let own = matches!(
            tag.as_deref(),
            None | Some("!!null" | "!!bool" | "!!int" | "!!float" | "!!timestamp" | "!!merge")
        );
        let kind = match style {
            ScalarStyle::Plain if own && scalar::is_null(text) => Kind::Null,
            ScalarStyle::Plain if own => Kind::Scalar(text.into(), Style::Plain),
            _ => Kind::Scalar(text.into(), Style::Quoted),
        };
        if style == ScalarStyle::Plain && !tag.as_deref().is_none_or(|tag| scalar::fits(text, tag)) {
            self.problem("this isn't what its tag says", place);
        }
        self.add(place, kind, tag)
    }

    fn add(&mut self, place: Place, kind: Kind, tag: Option<Box<str>>) -> NodeId {
        let id = self.document.add(place, kind);
        self.document.tags.extend(tag.map(|tag| (id, tag)));
        id
    }

    fn anchor(&mut self, anchor: usize, id: NodeId) {
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
    }

    fn begin(&mut self, id: NodeId, is_map: bool, style: StructureStyle, anchor: usize) {
        self.anchor(anchor, id);
        let flow = style == StructureStyle::Flow;
        self.flows += usize::from(flow);
        self.open.push(Open { id, items: Vec::new(), entries: Vec::new(), key: None, is_map, flow });
    }

    fn problem(&mut self, message: &str, place: Place) {
        self.problems.push((format!("not valid YAML: {message}"), place));
    }

    /// Whether something is the first on its line with a tab before it.
    fn indented_by_tab(&self, place: Place) -> bool {
        let before = &self.source.text.as_bytes()[..place.span().start];
        let blanks = before.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let (line, blanks) = before.split_at(before.len() - blanks);
        matches!(line.last(), None | Some(b'\n' | b'\r')) && blanks.contains(&b'\t')
    }

    fn end(&mut self, place: Place) {
        let Some(done) = self.open.pop() else { return };
        self.flows -= usize::from(done.flow);
        let last = done.items.last().or(done.entries.last().map(|entry| &entry.value));
        let last = last.and_then(|&id| self.document.node(id)).map_or(0, |node| node.place.span().end);
        self.find_repeated(&done.entries);
        if let Some(node) = self.document.node_mut(done.id) {
            // A block has no mark of its own at its end: there it is where the next thing begins.
            let end = if place.span().is_empty() { last } else { place.span().end };
            node.place = node.place.until(end.max(node.place.span().end));
            node.kind = if done.is_map { Kind::Map(done.entries.into()) } else { Kind::List(done.items.into()) };
        }
        self.put(done.id);
    }

    /// Puts a finished node where it belongs: as the top, an item, a key or a value.
    fn put(&mut self, id: NodeId) {
        let Some(open) = self.open.last_mut() else {
            self.document.root = Some(id);
            return;
        };
        if !open.is_map {
            open.items.push(id);
            return;
        }
        match open.key.take() {
            None => {
                let key = key(&self.document, id);
                open.key = Some(key.unwrap_or_else(|place| {
                    self.problems.push((NO_KEY.to_owned(), place));
                    Key { text: "".into(), place, merges: false }
                }));
            }
            Some(key) if key.merges => self.merge(id, key.place),
            Some(key) => open.entries.push(Entry { key: key.text, key_place: key.place, value: id }),
        }
    }

    /// Merges a map, or a list of them, into the map that is being read.
    fn merge(&mut self, id: NodeId, key: Place) {
        let Some(into) = self.open.last().map(|open| open.id) else { return };
        let target = self.document.target(id).unwrap_or(id);
        let maps = match self.document.node(target).map(|node| &node.kind) {
            Some(Kind::List(items)) => items.to_vec(),
            _ => vec![id],
        };
        let is_map = |id: &NodeId| {
            let target = self.document.target(*id).and_then(|id| self.document.node(id));
            matches!(target.map(|node| &node.kind), Some(Kind::Map(_)))
        };
        if !maps.iter().all(is_map) {
            self.problem("`<<` merges maps, and this is none", key);
            return;
        }
        match self.document.merges.entry(into) {
            std::collections::btree_map::Entry::Vacant(place) => drop(place.insert(maps)),
            std::collections::btree_map::Entry::Occupied(_) => self.repeated.push((MERGE.into(), key, key)),
        }
    }

    /// Notes keys that stand twice. Go compares their texts alone.
    fn find_repeated(&mut self, entries: &[Entry]) {
        let mut note = |again: &Entry, first: &Entry| {
            self.repeated.push((again.key.clone(), again.key_place, first.key_place));
        };
        if entries.len() <= FEW {
            for (at, entry) in entries.iter().enumerate() {
                if let Some(first) = entries[..at].iter().find(|first| first.key == entry.key) {
                    note(entry, first);
                }
            }
            return;
        }
        let mut seen: HashMap<&str, &Entry> = HashMap::with_capacity(entries.len());
        for entry in entries {
            match seen.get(&*entry.key) {
                Some(first) => note(entry, first),
                None => drop(seen.insert(&entry.key, entry)),
            }
        }
    }
}

/// A node as a key. Errors: it can't be one.
fn key(document: &Document, id: NodeId) -> Result<Key, Place> {
    let place = document.node(id).map(|node| node.place).unwrap_or_default();
    let target = document.target(id);
    match target.and_then(|id| Some((&document.node(id)?.kind, document.tag(id)))) {
        Some((Kind::Scalar(text, style), tag)) => {
            let merges = &**text == MERGE && *style == Style::Plain || tag == Some("!!merge");
            Ok(Key { text: text.clone(), place, merges })
        }
        Some((Kind::Null, _)) if !place.span().is_empty() => Ok(Key { text: "".into(), place, merges: false }),
        _ => Err(place),
    }
}

/// A tag in its short form: `!!str`, `!override`.
fn tag_text(tag: &Tag) -> Box<str> {
    match tag.core_suffix() {
        Some(suffix) => format!("!!{suffix}").into(),
        None => format!("{}{}", tag.handle(), tag.suffix()).into(),
    }
}
