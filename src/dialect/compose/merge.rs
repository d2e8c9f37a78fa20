//! One compose tree laid over another.
//!
//! In: two maps at a path. Out: a new map. Invariant: as compose-go 2.9.1 (override/merge.go): maps merge, lists append, scalars are
//! replaced, and the table says where it is otherwise; neither of the two maps is changed.

use std::collections::HashMap;

use super::super::Place;
use super::super::document::{Entry, Kind, NodeId, Style};
use super::load::Loader;
use super::reset::Pattern;
use crate::source::Span;

/// Where values are not merged by their kind.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rule {
    /// The new one counts alone.
    Replace,
    /// `NAME=VALUE` texts of both, a map's too.
    Pairs,
    /// A list is a map with empty values.
    Names,
    /// A text is a map with this key.
    Text(&'static str),
    /// Maps merge unless this key differs.
    Same(&'static str),
}

/// `*` is any key.
const RULES: &[(&[&str], Rule)] = &[
    (&["networks", "*", "labels"], Rule::Pairs),
    (&["volumes", "*", "labels"], Rule::Pairs),
    (&["services", "*", "annotations"], Rule::Pairs),
    (&["services", "*", "build"], Rule::Text("context")),
    (&["services", "*", "build", "args"], Rule::Pairs),
    (&["services", "*", "build", "additional_contexts"], Rule::Pairs),
    (&["services", "*", "build", "extra_hosts"], Rule::Pairs),
    (&["services", "*", "build", "labels"], Rule::Pairs),
    (&["services", "*", "command"], Rule::Replace),
    (&["services", "*", "depends_on"], Rule::Names),
    (&["services", "*", "deploy", "labels"], Rule::Pairs),
    (&["services", "*", "dns"], Rule::Pairs),
    (&["services", "*", "dns_opt"], Rule::Pairs),
    (&["services", "*", "dns_search"], Rule::Pairs),
    (&["services", "*", "entrypoint"], Rule::Replace),
    (&["services", "*", "env_file"], Rule::Pairs),
    (&["services", "*", "environment"], Rule::Pairs),
    (&["services", "*", "extra_hosts"], Rule::Pairs),
    (&["services", "*", "healthcheck", "test"], Rule::Replace),
    (&["services", "*", "label_file"], Rule::Pairs),
    (&["services", "*", "labels"], Rule::Pairs),
    (&["services", "*", "logging"], Rule::Same("driver")),
    (&["services", "*", "models"], Rule::Names),
    (&["services", "*", "networks"], Rule::Names),
    (&["services", "*", "sysctls"], Rule::Pairs),
    (&["services", "*", "tmpfs"], Rule::Pairs),
    (&["services", "*", "ulimits", "*"], Rule::Replace),
];

/// A project of ten thousand services merges into a million entries.
const MOST_MERGED: usize = 10_000_000;

/// No compose file nests deeper.
const DEEPEST: usize = 100;

impl Loader<'_> {
    /// One map over another, at a path.
    pub(super) fn merge(&mut self, base: NodeId, over: NodeId, path: &mut Vec<Box<str>>) -> NodeId {
        if self.merged > MOST_MERGED {
            return over;
        }
        let fits = |pattern: &[&str]| {
            pattern.len() == path.len() && pattern.iter().zip(&*path).all(|(part, key)| *part == "*" || *part == &**key)
        };
        let rule = RULES.iter().find(|(pattern, _)| fits(pattern)).map(|(_, rule)| *rule);
        match rule {
            Some(Rule::Replace) => over,
            Some(Rule::Pairs) => {
                let mut items = self.pairs(base);
                items.extend(self.pairs(over));
                self.count(items.len(), self.place(over));
                self.tree.add(self.place(over), Kind::List(items.into()))
            }
            Some(Rule::Names) => {
                let (base, over) = (self.names(base), self.names(over));
                self.merge_maps(base, over, path)
            }
            Some(Rule::Text(key)) => {
                let (base, over) = (self.keyed(base, key), self.keyed(over, key));
                self.merge_maps(base, over, path)
            }
            Some(Rule::Same(key)) => {
                let value = |id| self.get(id, key).and_then(|id| self.text(id)).map(|text| text.text);
                match (value(base), value(over)) {
                    (Some(old), Some(new)) if old != new => over,
                    _ => self.merge_maps(base, over, path),
                }
            }
            None => self.merge_by_kind(base, over, path),
        }
    }

    fn merge_by_kind(&mut self, base: NodeId, over: NodeId, path: &mut Vec<Box<str>>) -> NodeId {
        let (old, new) = (self.at(base), self.at(over));
        if new.is_null() {
            return base;
        }
        if old.is_map() && new.is_map() {
            return self.merge_maps(base, over, path);
        }
        if old.is_list() && new.is_list() {
            let items: Vec<NodeId> = old.items().chain(new.items()).map(|item| item.id).collect();
            let place = new.place();
            self.count(items.len(), place);
            return self.tree.add(place, Kind::List(items.into()));
        }
        if old.is_map() || old.is_list() {
            let message = format!("can't be laid over `{}`: it is {} there", path.join("."), old.kind_name());
            self.error(self.place(over), &message);
        }
        over
    }

    fn merge_maps(&mut self, base: NodeId, over: NodeId, path: &mut Vec<Box<str>>) -> NodeId {
        if path.len() > DEEPEST {
            self.error(self.place(over), "nested too deep");
            return over;
        }
        let mut entries = self.entries(base);
        let mut known: HashMap<Box<str>, usize> =
            entries.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
        for entry in self.entries(over) {
            match known.get(&entry.key) {
                Some(&at) => {
                    path.push(entry.key.clone());
                    let value = self.merge(entries[at].value, entry.value, path);
                    path.pop();
                    entries[at] = Entry { value, ..entry };
                }
                None => {
                    known.insert(entry.key.clone(), entries.len());
                    entries.push(entry);
                }
            }
        }
        self.count(entries.len(), self.place(over));
        self.tree.add(self.place(over), Kind::Map(entries.into()))
    }

    /// Counts what merges have made.
    fn count(&mut self, entries: usize, place: Place) {
        let before = self.merged;
        self.merged += entries;
        if before <= MOST_MERGED && self.merged > MOST_MERGED {
            self.error(place, "the files merge into too much: Compose would hardly read them");
        }
    }

    /// A map as it is, without what is to be taken away from it.
    pub(super) fn without(&mut self, map: NodeId, patterns: &[Pattern]) -> NodeId {
        if patterns.is_empty() {
            return map;
        }
        let fitting = |key: &str| -> Vec<Pattern> {
            let fits = patterns.iter().filter(|pattern| pattern.first().is_some_and(|first| &**first == key));
            fits.map(|pattern| pattern[1..].to_vec()).collect()
        };
        let mut entries = Vec::new();
        for entry in self.entries(map) {
            let below = fitting(&entry.key);
            if below.iter().any(Vec::is_empty) {
                continue;
            }
            let value = if self.at(entry.value).is_map() { self.without(entry.value, &below) } else { entry.value };
            entries.push(Entry { value, ..entry });
        }
        self.tree.add(self.place(map), Kind::Map(entries.into()))
    }

    /// The items of a list, or the entries of a map as `NAME=VALUE` texts in the order of the alphabet, or the one text.
    fn pairs(&mut self, id: NodeId) -> Vec<NodeId> {
        if !self.at(id).is_map() {
            return self.at(id).one_or_more().map(|item| item.id).collect();
        }
        let mut pairs: Vec<(String, Entry)> = Vec::new();
        for entry in self.entries(id) {
            let values: Vec<_> = self.at(entry.value).one_or_more().map(|value| value.printed()).collect();
            if values.is_empty() {
                pairs.push((entry.key.to_string(), entry));
                continue;
            }
            for value in values.into_iter().flatten() {
                pairs.push((format!("{}={value}", entry.key), entry.clone()));
            }
        }
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.into_iter().map(|(text, entry)| self.scalar(text, &entry)).collect()
    }

    /// A new text in the place of an entry.
    fn scalar(&mut self, text: String, entry: &Entry) -> NodeId {
        let mut place = self.place(entry.value);
        if place.file() == entry.key_place.file() {
            let start = place.span().start.min(entry.key_place.span().start);
            place = Place::new(place.file(), Span { start, ..place.span() });
        }
        let id = self.tree.add(place, Kind::Scalar(text.into(), Style::Quoted));
        if let Some(unknown) = self.tree.target(entry.value).and_then(|id| self.unknown.get(&id)).cloned() {
            self.unknown.insert(id, unknown);
        }
        id
    }

    /// A list of names as a map with empty values; a map as it is.
    fn names(&mut self, id: NodeId) -> NodeId {
        if !self.at(id).is_list() {
            return id;
        }
        let names: Vec<_> = self.at(id).items().filter_map(|item| Some((item.printed()?, item.place()))).collect();
        let mut entries: Vec<Entry> = Vec::new();
        for (name, key_place) in names {
            let value = self.tree.add(key_place, Kind::Null);
            entries.push(Entry { key: name.into(), key_place, value });
        }
        self.tree.add(self.place(id), Kind::Map(entries.into()))
    }

    /// A text as a map with this key; a map as it is.
    fn keyed(&mut self, id: NodeId, key: &str) -> NodeId {
        if self.at(id).text().is_none() {
            return id;
        }
        let place = self.place(id);
        self.tree.add(place, Kind::Map(Box::new([Entry { key: key.into(), key_place: place, value: id }])))
    }
}
