//! `include`: other projects as parts of this one.
//!
//! In: a file's map. Out: the same with what the included files declare. Invariant: as compose-go 2.9.1 (loader/include.go): an included
//! file has its own folder and its own `.env`; it adds and never replaces.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::super::document::{Entry, Kind, NodeId};
use super::super::{Place, Variables};
use super::load::Loader;
use super::{env_file, model::Text};
use crate::diag::Severity;
use crate::source::SourceFile;

/// What an included file may declare.
const RESOURCES: &[&str] = &["services", "volumes", "networks", "secrets", "configs", "models"];

/// So many files include one another at most.
const MOST_INCLUDES: usize = 50;

/// An entry of `include`.
struct Include {
    paths: Vec<Text>,
    folder: Option<Text>,
    env_files: Vec<Text>,
    place: Place,
}

impl Loader<'_> {
    /// The file's map with what it includes. `above` are the files that are being included.
    pub(super) fn include(&mut self, top: NodeId, folder: &Path, variables: &Variables, above: &[PathBuf]) -> NodeId {
        let Some(include) = self.get(top, "include") else { return top };
        if !self.at(include).is_list() {
            if !self.at(include).is_null() {
                self.error(self.place(include), "`include` is a list of paths");
            }
            return top;
        }
        let items: Vec<NodeId> = self.at(include).items().map(|item| item.id).collect();
        let mut entries: Vec<Entry> = self.entries(top).into_iter().filter(|entry| &*entry.key != "include").collect();
        for item in items {
            let include = self.included(item);
            if let Some(from) = self.load_included(&include, folder, variables, above) {
                for resource in RESOURCES {
                    self.import(resource, from, &mut entries, include.place);
                }
            }
        }
        self.tree.add(self.place(top), Kind::Map(entries.into()))
    }

    fn included(&self, item: NodeId) -> Include {
        let place = self.place(item);
        if let Some(path) = self.text(item) {
            return Include { paths: vec![path], folder: None, env_files: Vec::new(), place };
        }
        let texts = |key| -> Vec<Text> {
            let Some(value) = self.get(item, key) else { return Vec::new() };
            self.at(value).one_or_more().filter_map(|one| self.text(one.id)).collect()
        };
        let folder = self.get(item, "project_directory").and_then(|id| self.text(id));
        Include { paths: texts("path"), folder, env_files: texts("env_file"), place }
    }

    fn load_included(
        &mut self,
        include: &Include,
        folder: &Path,
        variables: &Variables,
        above: &[PathBuf],
    ) -> Option<NodeId> {
        let Some(first) = include.paths.first() else {
            self.error(include.place, "say what to include: `path: FILE`");
            return None;
        };
        if let Some(remote) = include.paths.iter().find(|path| is_remote(&path.text)) {
            let message = format!("`{}` is not on this machine: what it includes isn't known", remote.text);
            self.problem(Severity::Warning, Some(remote.place), message);
            return None;
        }
        let paths: Vec<PathBuf> = include.paths.iter().map(|path| folder.join(&path.text)).collect();
        let main = folder.join(&first.text);
        if above.contains(&main) || above.len() > MOST_INCLUDES {
            self.error(first.place, "a file can't include itself in the end");
            return None;
        }
        let own = match &include.folder {
            Some(own) => folder.join(&own.text),
            None => main.parent().unwrap_or(Path::new("")).to_owned(),
        };
        let env_files: Vec<(PathBuf, Option<Place>)> = match include.env_files.as_slice() {
            [] => Some(own.join(".env")).filter(|path| path.is_file()).map(|path| (path, None)).into_iter().collect(),
            files => files.iter().map(|file| (folder.join(&file.text), Some(file.place))).collect(),
        };
        let mut variables = variables.clone();
        for (path, asked) in env_files {
            self.add_variables(&path, asked.or(Some(include.place)), &mut variables);
        }
        Some(self.unit(&paths, &own, &variables, above))
    }

    /// Adds the variables of a file that aren't set yet.
    pub(super) fn add_variables(&mut self, path: &Path, asked: Option<Place>, variables: &mut Variables) {
        // What neither this file nor the environment has is unset.
        variables.complete = true;
        match read_env_file(path, variables) {
            Ok(lines) => {
                let own: BTreeMap<_, _> = lines.into_iter().map(|line| (line.name, line.value)).collect();
                for (name, value) in own {
                    variables.values.entry(name).or_insert(value);
                }
            }
            Err(reason) => self.error_at(asked, reason),
        }
    }

    /// Adds a resource of an included project to the file's own.
    fn import(&mut self, resource: &str, from: NodeId, entries: &mut Vec<Entry>, place: Place) {
        let Some(there) = self.get(from, resource) else { return };
        let at = entries.iter().position(|entry| &*entry.key == resource);
        let mut own = at.map(|at| self.entries(entries[at].value)).unwrap_or_default();
        let known: HashMap<_, _> = own.iter().map(|entry| (entry.key.clone(), entry.value)).collect();
        for entry in self.entries(there) {
            match known.get(&entry.key) {
                Some(known) if self.equal(*known, entry.value) => {}
                Some(_) => {
                    let message = format!("`{resource}.{}` is declared here and in what is included", entry.key);
                    self.error(place, &message);
                }
                None => own.push(entry),
            }
        }
        let value = self.tree.add(place, Kind::Map(own.into()));
        match at {
            Some(at) => entries[at].value = value,
            None => entries.push(Entry { key: resource.into(), key_place: place, value }),
        }
    }

    /// Whether two nodes say the same.
    fn equal(&self, a: NodeId, b: NodeId) -> bool {
        let mut stack = vec![(a, b)];
        while let Some((a, b)) = stack.pop() {
            let (a, b) = (self.at(a), self.at(b));
            if a.is_map() && b.is_map() {
                if a.entries().count() != b.entries().count() {
                    return false;
                }
                for (entry, value) in a.entries() {
                    match b.get(&entry.key) {
                        Some(other) => stack.push((value.id, other.id)),
                        None => return false,
                    }
                }
            } else if a.is_list() && b.is_list() {
                if a.items().count() != b.items().count() {
                    return false;
                }
                stack.extend(a.items().zip(b.items()).map(|(a, b)| (a.id, b.id)));
            } else if a.kind_name() != b.kind_name() || a.printed() != b.printed() {
                return false;
            }
        }
        true
    }
}

/// Whether a path of `include` or `extends` names something elsewhere.
fn is_remote(path: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "oci://", "git@", "github.com/"]
        .iter()
        .any(|start| path.starts_with(start))
}

/// Reads a file of variables.
///
/// Errors: why it can't be read; its text may hold keys and is not shown.
pub(super) fn read_env_file(path: &Path, known: &Variables) -> Result<Vec<env_file::Line>, String> {
    let name = path.display();
    let file = SourceFile::read(path).map_err(|reason| format!("can't read the variables `{name}`: {reason}"))?;
    env_file::parse(&file.text, known).map_err(|(at, reason)| {
        let place = file.line_column(at);
        format!("{name}:{}:{}: {reason}", place.line, place.column)
    })
}
