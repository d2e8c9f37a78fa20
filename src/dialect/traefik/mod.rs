//! Traefik's configuration → [`Gateway`]: a static part, dynamic files, labels.
//!
//! In: a [`System`]: the settings of one Traefik, each as documents or names with values. Out: what Traefik 3.7.15 makes of them. Invariant:
//! what Traefik drops is dropped here, with a warning that says what then happens; one source of the static part counts (file, else
//! flags, else environment).

pub mod address;
mod auth;
mod build;
pub mod docker;
pub mod dynamic;
mod entry;
pub mod fields;
mod files;
mod headers;
mod internal;
mod log;
pub mod matcher;
mod middleware;
pub mod node;
mod own;
mod path;
mod redirect;
mod router;
pub mod rule;
mod service;
pub mod statics;
pub mod template;
#[cfg(test)]
mod tests;
mod tls;
pub mod v2;

use std::collections::{BTreeMap, HashMap};

pub use auth::below;
pub use docker::LabelSet;
pub use files::{DynamicFile, read_dynamic, read_gateway, read_path, read_system};

use super::document::Document;
use super::{Options, Place};
use crate::diag::{Diagnostic, Kind, Severity, Sink};
use crate::gateway::{Chain, Gateway, Listener, Terminal};
use crate::source::SourceFile;
use build::Builder;
use dynamic::Dynamic;
use node::{Node, Refusal};
use router::{Family, Muxer};
use statics::{Docker, EntryPoint, Static};
use template::unknown_in;
use tls::Choice;

/// Everything that one Traefik reads.
#[derive(Debug, Clone, Default)]
pub struct System {
    /// The files that places point into.
    pub files: Vec<SourceFile>,
    /// The static configuration's file.
    pub configuration: Option<Document>,
    /// Command-line flags, without the program's name; they count where there is no file.
    pub flags: Vec<(String, Place)>,
    /// Environment variables; they count where there is neither a file nor a flag.
    pub environment: Vec<(String, String, Place)>,
    /// The files of the file provider, in the order of their names.
    pub dynamic: Vec<DynamicFile>,
    /// The labels that the Docker provider sees.
    pub labels: Vec<LabelSet>,
}

/// Problems as they are found.
struct Problems<'p> {
    files: &'p [SourceFile],
    sink: &'p mut Sink,
}

impl Problems<'_> {
    fn add(&mut self, severity: Severity, place: Place, message: impl Into<String>, help: Option<&str>) {
        let problem = Diagnostic::new(severity, message);
        let problem = match self.files.get(place.file()) {
            Some(file) => problem.at(file, place.span(), ""),
            None => problem,
        };
        self.sink.push(match help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }
}

/// What Traefik makes of a system.
pub fn gateway(mut system: System, options: &Options, sink: &mut Sink) -> Gateway {
    let files = std::mem::take(&mut system.files);
    let mut problems = Problems { files: &files, sink };
    let (mut statics, known) = read_static(&system, &mut problems);
    let mut all = read_providers(&system, &statics, known, &mut problems);
    if !known {
        assume_entry_points(&mut statics, &all, &mut problems);
    }
    internal::add(&mut all, &statics, &mut |place, why| problems.add(Severity::Error, place, why, None));
    for router in all.routers.values_mut().filter(|router| router.parents.is_none()) {
        if router.entry_points.is_empty() {
            router.entry_points.clone_from(&statics.default_entry_points);
        }
    }
    let mut gateway = Gateway { files: files.clone(), ..Gateway::default() };
    build(&mut gateway, &all, &statics, options, &mut problems);
    gateway
}

/// The entry points of a Traefik whose static configuration isn't here, with their ports; absent: it is here.
pub fn assumed(system: &System) -> Option<Vec<(String, u16)>> {
    let mut sink = Sink::default();
    let mut problems = Problems { files: &system.files, sink: &mut sink };
    let (mut statics, known) = read_static(system, &mut problems);
    if known {
        return None;
    }
    let all = read_providers(system, &statics, known, &mut problems);
    assume_entry_points(&mut statics, &all, &mut problems);
    Some(statics.entry_points.into_iter().map(|entry| (entry.name, entry.port)).collect())
}

/// The static configuration's names and values where it stands in no file.
pub fn names(system: &System) -> Vec<(String, String, Place)> {
    match system.flags.is_empty() {
        true => files::environment(&system.environment),
        false => files::flags(&system.flags),
    }
}

/// The static configuration, and whether there is one.
fn read_static(system: &System, problems: &mut Problems<'_>) -> (Static, bool) {
    let known = &fields::STATIC;
    let names: Vec<(String, String, Place)>;
    let read = if let Some(document) = &system.configuration {
        if let Some(root) = document.root() {
            for (entry, _) in root.entries().filter(|(entry, _)| known.get(&entry.key, false).is_none()) {
                let why = format!("`{}` is no setting of Traefik: it is overlooked", entry.key);
                problems.add(Severity::Warning, entry.key_place, why, None);
            }
        }
        Node::of_document(document, known)
    } else {
        names = self::names(system);
        Node::of_names(
            names.iter().map(|(name, value, place)| (name.as_str(), value.as_str(), *place)),
            "traefik",
            known,
        )
    };
    let given = system.configuration.is_some() || !system.flags.is_empty() || !system.environment.is_empty();
    let top = read.unwrap_or_else(|Refusal { place, why }| {
        let help = "Traefik ends at once with such a setting in its static configuration";
        problems.add(Severity::Error, place, why, Some(help));
        Node::default()
    });
    let mut refused = Vec::new();
    let statics = Static::of(&top, &mut refused);
    for (place, why) in refused {
        problems.add(Severity::Error, place, why, Some("Traefik ends at once with such a setting"));
    }
    (statics, given)
}

/// What the providers deliver; `known`: whether there is a static configuration.
fn read_providers(system: &System, statics: &Static, known: bool, problems: &mut Problems<'_>) -> Dynamic {
    let mut all = Dynamic::default();
    let mut tops = Vec::new();
    let mut refused = false;
    for file in &system.dynamic {
        let document = match file {
            DynamicFile::Loaded(document) => document,
            DynamicFile::Refused => {
                refused = true;
                continue;
            }
            DynamicFile::Opaque(place, why) => {
                all.opaque.get_or_insert_with(|| (*place, why.clone()));
                continue;
            }
        };
        match Node::of_document(document, &fields::DYNAMIC) {
            Ok(top) => tops.push(top),
            Err(Refusal { place, why }) => {
                refused = true;
                problems.add(Severity::Error, place, why, Some("Traefik loads nothing of its dynamic files then"));
            }
        }
    }
    for top in tops.iter().filter(|_| !refused) {
        for (name, place) in all.add(top, "file") {
            let why = format!("`{name}` is defined in another file already: that one counts");
            problems.add(Severity::Warning, place, why, None);
        }
    }
    let default = Docker { exposed_by_default: true, default_rule: String::new(), constraints: String::new() };
    match &statics.docker {
        Some(docker) => read_labels(&system.labels, docker, &mut all, problems),
        None if !known => read_labels(&system.labels, &default, &mut all, problems),
        None => {
            let labels = system.labels.iter().flat_map(|set| &set.labels);
            let own = labels.into_iter().find(|(name, ..)| name.to_ascii_lowercase().starts_with("traefik."));
            if let Some((.., place)) = own {
                let why = "Traefik reads no labels: its settings have no `providers.docker`";
                problems.add(Severity::Warning, *place, why, None);
            }
        }
    }
    all
}

fn read_labels(sets: &[LabelSet], docker: &Docker, all: &mut Dynamic, problems: &mut Problems<'_>) {
    let mut exposed = Vec::new();
    for set in sets {
        match docker::expose(set, docker) {
            Ok(found) => exposed.push(found),
            // Whether it is passed over hangs on variables that aren't known.
            Err(passed) if set.labels.iter().any(|(_, value, _)| unknown_in(value).is_some()) => {
                let why = set.labels.iter().find_map(|(_, value, _)| unknown_in(value)).unwrap_or_default();
                all.opaque.get_or_insert((passed.place, format!("the labels of `{}`: {why}", set.service)));
            }
            Err(passed) if passed.wanted => {}
            Err(passed) => {
                let why = format!("Traefik passes over the service `{}`: {}", set.service, passed.why);
                problems.add(Severity::Warning, passed.place, why, None);
            }
        }
    }
    let (top, conflicts) = docker::merge(exposed);
    for (what, place) in conflicts {
        let why = format!("{what} is defined twice with different settings: Traefik drops both");
        problems.add(Severity::Error, place, why, None);
    }
    all.add(&top, "docker");
    for router in all.routers.iter_mut().filter(|(name, _)| name.ends_with("@docker")) {
        router.1.default_rule = router.1.rule_place == router.1.place;
    }
}

/// Without a static configuration, the entry points that routers name are taken to be there.
fn assume_entry_points(statics: &mut Static, all: &Dynamic, problems: &mut Problems<'_>) {
    let mut named: BTreeMap<&str, Place> = BTreeMap::new();
    for router in all.routers.values() {
        for name in &router.entry_points {
            named.entry(name).or_insert(router.place);
        }
    }
    statics.plugins = None;
    statics.docker = None;
    if named.is_empty() {
        return;
    }
    let mut next = 8000;
    let mut assumed = Vec::new();
    statics.entry_points.clear();
    for (name, place) in named {
        let port = match name {
            "web" | "http" => 80,
            "websecure" | "https" => 443,
            _ => {
                next += 1;
                next - 1
            }
        };
        assumed.push(format!("`{name}` :{port}"));
        statics.entry_points.push(EntryPoint { place, ..EntryPoint::new(name, port) });
    }
    statics.default_entry_points = statics::default_entry_points(&statics.entry_points);
    let note = format!("without a static configuration these entry points are assumed: {}", assumed.join(", "));
    problems.sink.push(Diagnostic::new(Severity::Note, note));
}

fn build(gateway: &mut Gateway, all: &Dynamic, statics: &Static, options: &Options, problems: &mut Problems<'_>) {
    let family = Family::of(all);
    let log = log::access_log(statics);
    let mut dropped: BTreeMap<String, String> = family.dropped.clone();
    dropped.retain(|name, _| all.routers.get(name).is_some_and(|router| router.parents.is_some()));
    let mut builder = Builder { gateway, dynamic: all, statics, options, caught: Vec::new(), services: HashMap::new() };
    for entry in statics.entry_points.iter().filter(|entry| !entry.udp) {
        let on = |tls: bool| -> Vec<&String> {
            let here = all.routers.iter().filter(|(_, router)| {
                router.parents.is_none()
                    && router.entry_points.contains(&entry.name)
                    && (router.tls.is_some() || entry.tls.is_some()) == tls
            });
            here.map(|(name, _)| name).collect()
        };
        let (secure, plain) = (on(true), on(false));
        let mut kinds = vec![(false, &plain)];
        if !secure.is_empty() || entry.tls.is_some() {
            kinds.insert(usize::from(!plain.is_empty() && entry.tls.is_none()), (true, &secure));
        }
        for (tls, routers) in kinds {
            let choice = if tls { Choice::of(all, entry, routers) } else { Choice::default() };
            let (mut chain, mut here) = {
                let mut muxer = Muxer {
                    builder: &mut builder,
                    family: &family,
                    entry,
                    choice: &choice,
                    built: BTreeMap::new(),
                    dropped: BTreeMap::new(),
                };
                (muxer.chain(routers), muxer.dropped)
            };
            dropped.append(&mut here);
            if let Some((place, why)) = &all.opaque {
                let unknown = Terminal::unknown(format!("depends on a file that isn't understood: {why}"));
                chain = builder.gateway.add(Chain {
                    clauses: Vec::new(),
                    otherwise: unknown,
                    origin: build::origin(*place, ""),
                });
            }
            entry::listen(builder.gateway, entry, tls, chain, log.as_ref());
            if let Some(listener) = builder.gateway.listeners.pop() {
                let handshake = choice.handshake(&mut builder, entry, listener.chain);
                builder.gateway.listeners.push(Listener { handshake, ..listener });
            }
        }
    }
    for (name, why) in dropped {
        let Some(router) = all.routers.get(&name) else { continue };
        let help = "a router that is dropped answers nothing: its requests go to the next router that takes them";
        problems.add(Severity::Warning, router.place, format!("Traefik drops router `{name}`: {why}"), Some(help));
        if why.contains(matcher::OF_TRAEFIK_2)
            && let Some(last) = problems.sink.list.last_mut()
        {
            last.kind = Kind::Deprecated;
        }
    }
    for (name, router) in &all.routers {
        for entry in &router.entry_points {
            if !statics.entry_points.iter().any(|known| known.name == *entry) {
                let why = format!("router `{name}` is on the entry point `{entry}`, which does not exist");
                problems.add(Severity::Warning, router.place, why, None);
            }
        }
    }
}
