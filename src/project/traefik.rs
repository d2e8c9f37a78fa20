//! Traefik in a compose project: its own settings and the labels of all services.
//!
//! In: a project, and the service that runs Traefik if one does. Out: what Traefik makes of it. Invariant: Traefik sees the files that its
//! container sees; without a Traefik in the project the labels are read as one elsewhere would read them.

use std::path::{Path, PathBuf};

use super::container::Container;
use super::inside::{Given, Inside};
use super::{Dialect, System};
use crate::diag::Sink;
use crate::dialect::compose::model::{NetworkMode, Project, Service};
use crate::dialect::compose::own_port;
use crate::dialect::traefik::{self, LabelSet};
use crate::dialect::{Options, document::Document, toml, yaml};

/// Where Traefik looks for its static file when none is named.
const CONFIGURATION: &[&str] = &["/etc/traefik/traefik.toml", "/etc/traefik/traefik.yaml", "/etc/traefik/traefik.yml"];

/// Whether a service has labels for Traefik.
pub fn has_labels(service: &Service) -> bool {
    service.labels.iter().any(|label| label.name.to_ascii_lowercase().starts_with("traefik."))
}

/// What Traefik makes of a project.
pub fn read(project: &Project, own: Option<(&Service, Container<'_>)>, options: &Options, sink: &mut Sink) -> System {
    let mut system = traefik::System { files: project.files.clone(), ..traefik::System::default() };
    let enabled = project.services.iter().filter(|service| service.enabled);
    system.labels = enabled.map(|service| labels(project, service)).collect();
    let mut inner = Sink::default();
    let mut seen = options.clone();
    if let Some((service, container)) = &own {
        seen = container.options(options);
        settings(&mut system, service, container, &seen, &mut inner);
    }
    let given = Given::Traefik(Box::new(system.clone()));
    let mut gateway = traefik::gateway(system, &seen, &mut inner);
    let inside = match own {
        Some((_, container)) => {
            container.rename(&mut gateway, &mut inner);
            container.inside(given, options)
        }
        None => Inside { given, options: seen, published: Vec::new(), _files: None },
    };
    sink.list.append(&mut inner.list);
    let main = project.files.first().map(|file| file.name.clone()).unwrap_or_default();
    System { inside: Some(inside), ..System::new(Dialect::Traefik, main, gateway) }
}

fn labels(project: &Project, service: &Service) -> LabelSet {
    let pairs = service.labels.iter();
    let host_network = matches!(service.network, NetworkMode::Host(_));
    let own_name = service.container_name.as_ref().map(|name| name.text.clone());
    LabelSet {
        service: service.name.clone(),
        container: own_name.unwrap_or_else(|| match project.name.as_str() {
            "" => service.name.clone(),
            project => format!("{project}-{}-1", service.name),
        }),
        project: project.name.clone(),
        place: service.place,
        labels: pairs.map(|label| (label.name.clone(), label.marked.clone(), label.value.place)).collect(),
        // On the host's network Docker tells of none.
        ports: if host_network { Vec::new() } else { exposed(service) },
        host_network,
    }
}

/// The ports that a container exposes.
fn exposed(service: &Service) -> Vec<u16> {
    service
        .expose
        .iter()
        .filter_map(|port| port.text.split('/').next()?.parse().ok())
        .chain(service.ports.iter().map(|port| port.target))
        .chain(exposed_by_image(service))
        .collect()
}

/// The port that the image of a model server exposes by itself (Ollama's does, the others' don't).
fn exposed_by_image(service: &Service) -> Option<u16> {
    let (kind, ..) = own_port(service)?;
    kind.default_port.filter(|_| kind.kind == "ollama")
}

/// Traefik's own settings: its file, else its flags, else its environment; and the files of its file provider.
fn settings(
    system: &mut traefik::System,
    service: &Service,
    container: &Container<'_>,
    options: &Options,
    sink: &mut Sink,
) {
    let words = service.entrypoint.iter().flatten().skip(1).chain(service.command.iter().flatten());
    // The image's own entry point takes a first word that is no flag for the program.
    let flags: Vec<_> = words.skip_while(|word| !word.text.starts_with('-')).collect();
    system.flags = flags.iter().map(|flag| (flag.text.clone(), flag.place)).collect();
    let value = |name: &str| {
        let start = format!("--{name}=");
        let found = flags.iter().find(|flag| flag.text.to_ascii_lowercase().starts_with(&start));
        found.map(|flag| flag.text[start.len()..].to_owned())
    };
    let named = value("configfile");
    let named = named.map(|path| container.path(&path, "/"));
    let file =
        named.into_iter().chain(CONFIGURATION.iter().map(|path| (*path).to_owned())).find(|path| container.has(path));
    let from = |path: &str| container.path(path, "/");
    let document = file.and_then(|path| document(system, container, &path, sink));
    let provider = |key: &str| match document.as_ref().and_then(Document::root) {
        Some(root) => root.path(&["providers", "file", key]).and_then(|node| node.printed()),
        None => value(&format!("providers.file.{key}")),
    };
    let mut files: Vec<PathBuf> = Vec::new();
    match (provider("directory"), provider("filename")) {
        (Some(folder), _) => dynamic_files(&container.at(&from(&folder)), &mut files),
        (None, Some(file)) => files.push(container.at(&from(&file))),
        (None, None) => {}
    }
    system.configuration = document;
    let environment = service.environment.iter();
    let environment = environment.filter_map(|variable| {
        Some((variable.name.clone(), variable.value.as_ref()?.reveal().to_owned(), variable.place))
    });
    system.environment = environment.filter(|(name, ..)| name.to_ascii_uppercase().starts_with("TRAEFIK_")).collect();
    for path in files {
        match options.texts.read_config(options.name(&path), &path) {
            Ok(file) => {
                let read = traefik::read_dynamic(system.files.len(), &file, options, sink);
                system.files.push(file);
                system.dynamic.push(read);
            }
            Err(reason) => {
                let message = format!("can't read `{}`: {reason}", options.name(&path));
                sink.push(crate::diag::Diagnostic::new(crate::diag::Severity::Error, message));
            }
        }
    }
}

fn document(system: &mut traefik::System, container: &Container<'_>, path: &str, sink: &mut Sink) -> Option<Document> {
    let file = container.read(path).ok()?;
    let index = system.files.len();
    let document = match Path::new(path).extension().is_some_and(|extension| extension == "toml") {
        true => toml::read(index, &file, sink),
        false => yaml::read(index, &file, sink),
    };
    system.files.push(file);
    Some(document)
}

/// The dynamic files below a folder, in the order of their names.
fn dynamic_files(folder: &Path, out: &mut Vec<PathBuf>) {
    let mut stack = vec![folder.to_owned()];
    let mut been = 0;
    while let Some(folder) = stack.pop() {
        been += 1;
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() && been < 1000 {
                stack.push(path);
            } else if path.extension().is_some_and(|end| ["yml", "yaml", "toml"].iter().any(|known| end == *known)) {
                out.push(path);
            }
        }
    }
    out.sort();
}
