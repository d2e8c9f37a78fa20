//! `extends`: a service on top of another one, of the same file or another.
//!
//! In: a file's map. Out: the same with every service whole. Invariant: as compose-go 2.9.1 (loader/extends.go); a service that extends
//! itself in the end is an error and stays as it is.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::super::Variables;
use super::super::document::{Entry, Kind, NodeId};
use super::load::Loader;
use super::reset::Pattern;

/// Services by their names.
type Services = HashMap<Box<str>, NodeId>;

/// The services of a file, and what it takes away from what they extend.
type There = (Rc<Services>, Rc<[Pattern]>);

/// What is done already: each file is read once, each service made once.
#[derive(Default)]
struct Cache {
    files: HashMap<PathBuf, There>,
    /// Services that are whole already.
    whole: HashMap<NodeId, NodeId>,
}

/// A service that waits for the one that it extends.
struct Waiting {
    service: NodeId,
    name: Box<str>,
    /// What its file takes away from what it extends.
    resets: Rc<[Pattern]>,
}

impl Loader<'_> {
    /// The file's map with every service whole.
    pub(super) fn extend(&mut self, top: NodeId, resets: &[Pattern], variables: &Variables) -> NodeId {
        let Some(services) = self.get(top, "services") else { return top };
        if !self.at(services).is_map() {
            self.error(self.place(services), "`services` is a map");
            return top;
        }
        let own = self.entries(services);
        if !own.iter().any(|entry| self.get(entry.value, "extends").is_some()) {
            return top;
        }
        let by_name: Services = own.iter().map(|entry| (entry.key.clone(), entry.value)).collect();
        let there: There = (Rc::new(by_name), resets.into());
        let mut cache = Cache::default();
        let mut whole = Vec::new();
        for entry in own {
            let value = self.whole(&entry, &there, variables, &mut cache);
            whole.push(Entry { value, ..entry });
        }
        let services = self.tree.add(self.place(services), Kind::Map(whole.into()));
        let entries = self.entries(top).into_iter();
        let entries = entries.map(|entry| match &*entry.key {
            "services" => Entry { value: services, ..entry },
            _ => entry,
        });
        let entries = entries.collect();
        self.tree.add(self.place(top), Kind::Map(entries))
    }

    fn whole(&mut self, entry: &Entry, there: &There, variables: &Variables, cache: &mut Cache) -> NodeId {
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut been: HashSet<NodeId> = HashSet::new();
        let (mut service, mut name) = (entry.value, entry.key.clone());
        let mut there = there.clone();
        while let Some(extends) = self.get(service, "extends") {
            if let Some(whole) = cache.whole.get(&service) {
                service = *whole;
                break;
            }
            if !been.insert(service) {
                self.error(self.place(extends), "a service can't extend itself in the end");
                return entry.value;
            }
            let map = self.at(extends).is_map();
            let part = |loader: &Self, key| loader.get(extends, key).and_then(|id| loader.text(id));
            let (base, file) =
                if map { (part(self, "service"), part(self, "file")) } else { (self.text(extends), None) };
            let Some(base) = base else {
                self.error(self.place(extends), "say which service to extend: `service: NAME`");
                return entry.value;
            };
            waiting.push(Waiting { service, name, resets: there.1.clone() });
            if let Some(file) = file {
                let path = self.folder(file.place).join(&file.text);
                if !cache.files.contains_key(&path) {
                    let read = self.extended(&path, variables, extends);
                    cache.files.insert(path.clone(), read);
                }
                if let Some(file) = cache.files.get(&path) {
                    there = file.clone();
                }
            }
            let Some(next) = there.0.get(base.text.as_str()) else {
                self.error(base.place, &format!("there is no service `{}` to extend", base.text));
                return entry.value;
            };
            (service, name) = (*next, base.text.into());
        }
        for upper in waiting.into_iter().rev() {
            service = self.over(service, &upper);
            cache.whole.insert(upper.service, service);
        }
        service
    }

    /// A service over the whole one that it extends.
    fn over(&mut self, base: NodeId, upper: &Waiting) -> NodeId {
        let own: Vec<Pattern> = upper.resets.iter().filter_map(|pattern| service_part(pattern, &upper.name)).collect();
        let base = if self.at(base).is_null() { base } else { self.without(base, &own) };
        let path = &mut vec!["services".into(), upper.name.clone()];
        let merged = if self.at(base).is_null() { upper.service } else { self.merge(base, upper.service, path) };
        let entries = self.entries(merged).into_iter().filter(|entry| &*entry.key != "extends").collect();
        self.tree.add(self.place(upper.service), Kind::Map(entries))
    }

    /// The services of another file, as they stand there.
    fn extended(&mut self, path: &Path, variables: &Variables, asked: NodeId) -> There {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut services = Services::new();
        let mut resets = Vec::new();
        for document in self.file(path, &folder, variables, Some(self.place(asked))) {
            let Some(there) = self.get(document.root, "services") else { continue };
            services.extend(self.entries(there).into_iter().map(|entry| (entry.key, entry.value)));
            resets.extend(document.resets);
        }
        (Rc::new(services), resets.into())
    }
}

/// What a pattern takes away from a service.
fn service_part(pattern: &Pattern, name: &str) -> Option<Pattern> {
    match pattern.as_slice() {
        [services, service, rest @ ..] if &**services == "services" && &**service == name => Some(rest.to_vec()),
        _ => None,
    }
}
