//! `environment` and `labels`: lists of `NAME=VALUE`, or maps; and the files that hold more of them.
//!
//! In: a node. Out: names with their values, sorted, the last of each name. Invariant: a service's own entry wins over one from a file.

use std::collections::BTreeMap;

use super::super::document::NodeId;
use super::super::{self as dialect, Place, Variables};
use super::include::read_env_file;
use super::load::Loader;
use super::model::{Label, Text, Variable};
use crate::secret::Secret;

/// What a name stands for; absent: it has no value of its own.
type Pairs = BTreeMap<String, (Option<Text>, Place)>;

impl Loader<'_> {
    /// The names of a list or map with their values.
    fn named(&mut self, id: NodeId) -> Pairs {
        let mut out = Pairs::new();
        if self.at(id).is_map() {
            for entry in self.entries(id) {
                out.insert(entry.key.into(), (self.text(entry.value), entry.key_place));
            }
            return out;
        }
        let items: Vec<NodeId> = self.at(id).items().map(|item| item.id).collect();
        for item in items {
            let Some(text) = self.text(item) else { continue };
            let place = text.place;
            match text.text.split_once('=') {
                Some((name, value)) => {
                    let value = Text { text: value.to_owned(), ..text.clone() };
                    out.insert(name.to_owned(), (Some(value), place));
                }
                None => drop(out.insert(text.text, (None, place))),
            }
        }
        out
    }

    /// The values below a key, as a map or a list, that hang on variables that aren't known: with those marked.
    fn marked(&self, id: NodeId) -> BTreeMap<String, String> {
        let text = |id: NodeId| Some(self.unknown.get(&self.tree.target(id)?)?.1.to_string());
        if self.at(id).is_map() {
            let entries = self.entries(id).into_iter();
            return entries.filter_map(|entry| Some((entry.key.to_string(), text(entry.value)?))).collect();
        }
        let items = self.at(id).items().filter_map(|item| text(item.id));
        items.filter_map(|item| item.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))).collect()
    }

    /// A service's environment.
    pub(super) fn environment(&mut self, service: NodeId, variables: &Variables) -> Vec<Variable> {
        let mut own = self.get(service, "environment").map(|id| self.named(id)).unwrap_or_default();
        for (name, (value, place)) in &mut own {
            if value.is_some() {
                continue;
            }
            // A name alone is passed on from Compose's own environment.
            *value = match variables.get(name) {
                dialect::Variable::Set(text) => Some(Text { text: text.to_owned(), place: *place, unknown: None }),
                dialect::Variable::Unset => None,
                dialect::Variable::Unknown => {
                    Some(Text { text: String::new(), place: *place, unknown: Some(name.clone()) })
                }
            };
        }
        let mut known = variables.clone();
        for (name, (value, _)) in &own {
            if let Some(value) = value.as_ref().filter(|value| value.unknown.is_none()) {
                known.values.entry(name.clone()).or_insert_with(|| value.text.clone());
            }
        }
        let mut all = self.in_files(service, "env_file", &known);
        for (name, (value, place)) in own {
            // A name that stays without a value hides one from a file.
            match value {
                Some(value) => drop(all.insert(name, (Some(value), place))),
                None => drop(all.remove(&name)),
            }
        }
        let variable = |(name, (value, place)): (String, (Option<Text>, Place))| {
            let unknown = value.as_ref().and_then(|value| value.unknown.clone());
            Variable { name, value: value.map(|value| Secret::new(value.text)), place, unknown }
        };
        all.into_iter().map(variable).collect()
    }

    /// Labels below a key, with those of `label_file` where the map has one.
    pub(super) fn labels(&mut self, map: NodeId) -> Vec<Label> {
        let none = Variables { complete: true, ..Variables::default() };
        let mut all = self.in_files(map, "label_file", &none);
        let own = self.get(map, "labels");
        all.extend(own.map(|id| self.named(id)).unwrap_or_default());
        let marked = own.map(|id| self.marked(id)).unwrap_or_default();
        let label = |(name, (value, place)): (String, (Option<Text>, Place))| {
            let value = value.unwrap_or(Text { place, ..Text::default() });
            let marked = marked.get(&name).filter(|_| value.unknown.is_some()).cloned();
            Label { name, marked: marked.unwrap_or_else(|| value.text.clone()), value }
        };
        all.into_iter().map(label).collect()
    }

    /// The arguments of a build; one without a value has none that is known.
    pub(super) fn arguments(&mut self, build: NodeId) -> Vec<Label> {
        let named = self.get(build, "args").map(|id| self.named(id)).unwrap_or_default();
        let value = |(name, (value, _)): (String, (Option<Text>, Place))| {
            let value = value?;
            Some(Label { name, marked: value.text.clone(), value })
        };
        named.into_iter().filter_map(value).collect()
    }

    /// What the files below a key hold; a later file wins.
    fn in_files(&mut self, map: NodeId, key: &str, known: &Variables) -> Pairs {
        let mut out = Pairs::new();
        let mut known = known.clone();
        let Some(files) = self.get(map, key) else { return out };
        let files: Vec<NodeId> = self.at(files).one_or_more().map(|file| file.id).collect();
        for file in files {
            let place = self.place(file);
            let long = self.at(file).is_map();
            let part = |key| if long { self.get(file, key) } else { None };
            let required = part("required").and_then(|id| self.at(id).bool()).unwrap_or(true);
            let raw = part("format").and_then(|id| self.text(id)).is_some_and(|format| format.text == "raw");
            let path = if long { part("path").and_then(|id| self.text(id)) } else { self.text(file) };
            let Some(path) = path else {
                self.error(place, "say which file: `path: FILE`");
                continue;
            };
            let path = self.folder(place).join(&path.text);
            if !required && !path.exists() {
                continue;
            }
            if raw {
                self.error(place, "files in the format `raw` are not read here");
                continue;
            }
            match read_env_file(&path, &known) {
                Ok(lines) => {
                    for line in lines {
                        let value = Text { text: line.value.clone(), place, unknown: line.unknown };
                        known.values.entry(line.name.clone()).or_insert(line.value);
                        out.insert(line.name, (Some(value), place));
                    }
                }
                Err(reason) => self.error(place, &reason),
            }
        }
        out
    }
}
