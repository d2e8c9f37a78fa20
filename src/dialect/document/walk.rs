//! Looking around in a document: entries with merged maps, unknown keys.
//!
//! In: a node. Out: its entries in the order in which Go's YAML library finds them, or what is wrong with its keys. Invariant: no map is
//! visited twice for one question, so that merges in circles end.

use std::collections::HashSet;

use super::{Document, Entry, Kind, NodeId, Ref};
use crate::diag::{Diagnostic, Severity, Sink};
use crate::source::SourceFile;

/// The entries of a map; see [`Ref::entries`].
#[derive(Debug)]
pub struct Entries<'d> {
    document: &'d Document,
    now: std::slice::Iter<'d, Entry>,
    /// Maps that are still to be asked, the next one last.
    later: Vec<NodeId>,
    /// Maps and keys that have been; only kept where something is merged.
    maps: HashSet<NodeId>,
    keys: HashSet<&'d str>,
}

impl<'d> Entries<'d> {
    pub(super) fn new(map: Ref<'d>) -> Entries<'d> {
        let document = map.document;
        let mut entries =
            Entries { document, now: [].iter(), later: Vec::new(), maps: HashSet::new(), keys: HashSet::new() };
        if let Some(id) = document.target(map.id) {
            entries.enter(id);
        }
        entries
    }

    /// Goes on with a map, and after it with what it merges.
    fn enter(&mut self, id: NodeId) {
        let Some(Kind::Map(own)) = self.document.node(id).map(|node| &node.kind) else { return };
        self.now = own.iter();
        if let Some(merged) = self.document.merges.get(&id) {
            self.maps.insert(id);
            self.later.extend(merged.iter().rev());
        }
    }
}

impl<'d> Iterator for Entries<'d> {
    type Item = (&'d Entry, Ref<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            for entry in self.now.by_ref() {
                if self.maps.is_empty() || self.keys.insert(&entry.key) {
                    return Some((entry, Ref { document: self.document, id: entry.value }));
                }
            }
            if let Some(next) = self.document.target(self.later.pop()?)
                && self.maps.insert(next)
            {
                self.enter(next);
            }
        }
    }
}

/// Tells of every key of a map that isn't one of `known`, with the nearest known one.
pub fn unknown_keys(map: Ref<'_>, known: &[&str], source: &SourceFile, severity: Severity, sink: &mut Sink) {
    for (entry, _) in map.entries().filter(|(entry, _)| !known.contains(&&*entry.key)) {
        let message = format!("unknown key `{}`", entry.key);
        let near = |name: &&&str| strsim::osa_distance(name, &entry.key);
        let nearest = known.iter().min_by_key(near).filter(|name| near(name) * 3 <= name.len().max(3));
        let problem = Diagnostic::new(severity, message).at(source, entry.key_place.span(), "not known here");
        sink.push(match nearest {
            Some(nearest) => problem.help(format!("did you mean `{nearest}`?")),
            None => problem,
        });
    }
}
