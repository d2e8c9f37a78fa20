//! Files, flags and variables of Traefik, brought into the forms that [`super::gateway`] takes.
//!
//! In: texts. Out: a [`System`], or its parts. Invariant: a dynamic file is filled as a template before it is read; places point into the
//! file as it stands on disk.

use std::path::{Path, PathBuf};

use super::fields;
use super::template::{Trouble, fill};
use super::{LabelSet, System, gateway};
use crate::diag::{Diagnostic, Severity, Sink};
use crate::dialect::compose::interpolate::interpolate;
use crate::dialect::document::Document;
use crate::dialect::{Options, Place, Reading, toml, yaml};
use crate::source::{SourceFile, Span};

/// A file of the file provider.
#[derive(Debug, Clone)]
pub enum DynamicFile {
    /// Its settings.
    Loaded(Document),
    /// Traefik refuses it, and with it everything of its provider; the problem is told already.
    Refused,
    /// What it says can't be known: where, and why.
    Opaque(Place, String),
}

/// Reads a dynamic file: fills it as a template, then reads YAML or TOML by the file's name. `index` is the place of `file` among the
/// system's files.
pub fn read_dynamic(index: usize, file: &SourceFile, options: &Options, sink: &mut Sink) -> DynamicFile {
    if !file.text.contains("{{") {
        return read(index, file, sink);
    }
    match fill(&file.text, &options.variables) {
        Ok(filled) => {
            for name in &filled.guarded {
                let note =
                    format!("the variable `{name}` isn't known: it is taken to be set, since else nothing is loaded");
                sink.push(Diagnostic::new(Severity::Note, note));
            }
            let shown = SourceFile::new(file.name.clone(), file.path.clone(), filled.text.as_str());
            let mut problems = Sink::default();
            let back = |span: Span| Span { start: filled.origin(span.start), end: filled.origin(span.end) };
            let mut read = read(index, &shown, &mut problems);
            for mut problem in problems.list {
                problem.file = Some(file.clone());
                problem.span = problem.span.map(|(span, label)| (back(span), label));
                sink.push(problem);
            }
            if let DynamicFile::Loaded(document) = &mut read {
                for node in &mut document.nodes {
                    node.place = Place::new(node.place.file(), back(node.place.span()));
                    if let crate::dialect::document::Kind::Map(entries) = &mut node.kind {
                        for entry in entries {
                            entry.key_place = Place::new(entry.key_place.file(), back(entry.key_place.span()));
                        }
                    }
                }
            }
            read
        }
        Err(Trouble::Fails(at, why)) => {
            let help = "Traefik loads nothing of its dynamic files then";
            sink.push(Diagnostic::new(Severity::Error, why).at(file, Span::new(at..at), "").help(help));
            DynamicFile::Refused
        }
        Err(Trouble::Opaque(at, why)) => {
            let why = format!("the template: {why}");
            sink.push(Diagnostic::new(Severity::Warning, why.clone()).at(file, Span::new(at..at), ""));
            DynamicFile::Opaque(Place::new(index, Span::new(at..at)), why)
        }
    }
}

fn read(index: usize, file: &SourceFile, sink: &mut Sink) -> DynamicFile {
    let mut problems = Sink::default();
    let document = document(index, file, &mut problems);
    judged(document, problems, sink)
}

/// A dynamic file that was read, and what is wrong with it.
fn judged(document: Document, mut problems: Sink, sink: &mut Sink) -> DynamicFile {
    let refused = problems.list.iter().any(|problem| problem.severity == Severity::Error);
    sink.list.append(&mut problems.list);
    if refused { DynamicFile::Refused } else { DynamicFile::Loaded(document) }
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}

fn document(index: usize, file: &SourceFile, sink: &mut Sink) -> Document {
    match is_toml(&file.path) {
        true => toml::read(index, file, sink),
        false => yaml::read(index, file, sink),
    }
}

/// Flags such as `--api.insecure` or `--entrypoints.web.address :80` as names and values.
pub fn flags(flags: &[(String, Place)]) -> Vec<(String, String, Place)> {
    let mut names: Vec<(String, String, Place)> = Vec::new();
    let mut rest = flags.iter();
    while let Some((flag, place)) = rest.next() {
        let Some(flag) = flag.strip_prefix("--").or_else(|| flag.strip_prefix('-')).filter(|flag| !flag.is_empty())
        else {
            // What follows the first word that is no flag isn't looked at.
            break;
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None if stands_alone(flag) => (flag, "true".to_owned()),
            None => (flag, rest.next().map(|(value, _)| value.clone()).unwrap_or_default()),
        };
        let full = format!("traefik.{name}");
        match names.iter_mut().find(|(own, ..)| own.eq_ignore_ascii_case(&full)) {
            Some((_, known, _)) if is_list(name) => *known = format!("{known},{value}"),
            Some((_, known, _)) => *known = value,
            None => names.push((full, value, *place)),
        }
    }
    names
}

/// The field of a flag.
fn field(name: &str) -> Option<&'static fields::Field> {
    let mut at: &fields::Field = &fields::STATIC;
    let mut parts = name.split('.');
    while let Some(part) = parts.next() {
        at = at.get(part.split('[').next().unwrap_or_default(), false)?;
        if at.kind == fields::Kind::Named {
            parts.next();
        }
    }
    Some(at)
}

fn stands_alone(name: &str) -> bool {
    use fields::Kind;
    field(name).is_some_and(|field| match field.kind {
        Kind::Bool => true,
        Kind::Group | Kind::Named => field.may_be_empty,
        _ => false,
    })
}

fn is_list(name: &str) -> bool {
    const LISTS: [&str; 4] = ["middlewares", "trustedips", "precedence", "connection"];
    LISTS.iter().any(|list| name.to_ascii_lowercase().ends_with(list))
}

/// Environment variables of Traefik as names and values: `TRAEFIK_API_INSECURE` is `traefik.api.insecure`.
pub fn environment(variables: &[(String, String, Place)]) -> Vec<(String, String, Place)> {
    let own =
        variables.iter().filter(|(name, ..)| name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("TRAEFIK_")));
    own.map(|(name, value, place)| (name.to_ascii_lowercase().replace('_', "."), value.clone(), *place)).collect()
}

/// Reads files that belong to one Traefik: static and dynamic ones are told apart by what stands in them; the files that the static one's
/// file provider names are read too.
pub fn read_gateway(paths: &[(PathBuf, String)], options: &Options) -> Reading {
    let mut sink = Sink::default();
    let system = read_system(paths, options, &mut sink);
    let gateway = gateway(system, options, &mut sink);
    Reading { gateway, problems: sink }
}

/// The same files as the parts of one Traefik.
pub fn read_system(paths: &[(PathBuf, String)], options: &Options, sink: &mut Sink) -> System {
    let mut system = System::default();
    let mut provider = None;
    for (path, text) in paths {
        let index = system.files.len();
        let file = SourceFile::new(path.display().to_string(), path.clone(), text.as_str());
        system.files.push(file.clone());
        if is_label_list(path, text) {
            system.labels.push(label_list(index, &file));
            continue;
        }
        if let Some(labels) = compose_labels(index, &file, options, sink) {
            system.labels.push(labels);
            continue;
        }
        // A static file isn't a template; a dynamic one that is one may not be readable before it is filled.
        let mut quiet = Sink::default();
        let plain = document(index, &file, &mut quiet);
        let is_static = plain.root().is_some_and(|root| root.entries().any(|(entry, _)| is_static_key(&entry.key)));
        if is_static && !text.contains("{{") && system.configuration.is_none() {
            sink.list.append(&mut quiet.list);
            provider = plain.root().and_then(|root| {
                let text = |name: &str| root.path(&["providers", "file", name]).and_then(|node| node.printed());
                Some((file.folder().to_owned(), text("filename"), text("directory")))
                    .filter(|(_, name, folder)| name.is_some() || folder.is_some())
            });
            system.configuration = Some(plain);
        } else if text.contains("{{") {
            let read = read_dynamic(index, &file, options, sink);
            system.dynamic.push(read);
        } else {
            system.dynamic.push(judged(plain, quiet, sink));
        }
    }
    if let Some((folder, filename, directory)) = provider.filter(|_| system.dynamic.is_empty()) {
        follow(&mut system, &folder, filename, directory, options, sink);
    }
    system
}

/// Whether a key of the top is one of the static configuration alone.
fn is_static_key(key: &str) -> bool {
    let shared = fields::DYNAMIC.get(key, false).is_some();
    !shared && fields::STATIC.get(key, false).is_some()
}

/// A list of labels: lines `traefik.…=VALUE`.
fn is_label_list(path: &Path, text: &str) -> bool {
    let named = path.extension().is_some_and(|extension| ["labels", "env", "txt"].iter().any(|own| extension == *own));
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).peekable();
    lines.peek().is_some()
        && (named || path.extension().is_none())
        && lines.all(|line| line.split_once('=').is_some_and(|(name, _)| !name.contains([' ', ':'])))
        && text.to_ascii_lowercase().contains("traefik.")
}

fn label_list(index: usize, file: &SourceFile) -> LabelSet {
    let mut labels = Vec::new();
    let mut at = 0;
    for line in file.text.split_inclusive('\n') {
        let text = line.trim_end_matches(['\n', '\r']);
        let place = Place::new(index, Span::new(at..at + text.len()));
        if let Some((name, value)) = text.split_once('=').filter(|_| !text.starts_with('#')) {
            labels.push((name.to_owned(), value.to_owned(), place));
        }
        at += line.len();
    }
    let service = file.path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let place = Place::new(index, Span::new(0..0));
    LabelSet { service, labels, place, ..LabelSet::default() }
}

/// The labels of a service as a compose file has them, where a file holds nothing else.
fn compose_labels(index: usize, file: &SourceFile, options: &Options, sink: &mut Sink) -> Option<LabelSet> {
    if is_toml(&file.path) || !file.text.contains("labels:") {
        return None;
    }
    let mut problems = Sink::default();
    let document = yaml::read(index, file, &mut problems);
    let labels = document.root().filter(|root| root.entries().count() == 1)?.get("labels")?;
    sink.list.append(&mut problems.list);
    let mapped = labels.entries().map(|(entry, value)| (entry.key.to_string(), value.printed(), value.place()));
    let listed = labels.items().filter_map(|item| {
        let text = item.printed()?;
        let (name, value) = text.split_once('=').unwrap_or((&text, ""));
        Some((name.to_owned(), Some(value.to_owned()), item.place()))
    });
    let each = mapped.chain(listed).filter_map(|(name, value, place)| {
        // Compose puts variables in first.
        match interpolate(&value.unwrap_or_default(), &options.variables) {
            Ok(done) => Some((name, if done.marked.is_empty() { done.text } else { done.marked }, place)),
            Err(_) => {
                let problem =
                    Diagnostic::new(Severity::Error, "Compose doesn't start with this value: a variable in it");
                sink.push(
                    problem.at(file, place.span(), "").help("write `$$` for the sign itself, and set what must be set"),
                );
                None
            }
        }
    });
    let labels = each.collect();
    let service = file.path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let place = Place::new(index, Span::new(0..0));
    Some(LabelSet { service, labels, place, ..LabelSet::default() })
}

/// Reads the files that a file provider names: an absolute name below the root, or beside the static file where it isn't found.
fn follow(
    system: &mut System,
    folder: &Path,
    filename: Option<String>,
    directory: Option<String>,
    options: &Options,
    sink: &mut Sink,
) {
    let place = |name: &str| {
        let path = PathBuf::from(name);
        let rooted =
            options.root.as_ref().filter(|_| path.is_absolute()).map(|root| root.join(name.trim_start_matches('/')));
        let beside = path.file_name().map(|own| folder.join(own));
        let all = [rooted, Some(folder.join(&path)), beside];
        all.into_iter().flatten().find(|path| path.exists()).unwrap_or(path)
    };
    let mut files = Vec::new();
    match (directory.filter(|name| !name.is_empty()), filename) {
        (Some(name), _) => collect(&place(&name), &mut files, 0),
        (None, Some(name)) => files.push(place(&name)),
        (None, None) => {}
    }
    for path in files {
        match options.texts.read_config(path.display().to_string(), &path) {
            Ok(file) => {
                let index = system.files.len();
                system.files.push(file.clone());
                let read = read_dynamic(index, &file, options, sink);
                system.dynamic.push(read);
            }
            Err(why) => {
                let problem = format!("the dynamic file `{}` can't be read: {why}", path.display());
                sink.push(Diagnostic::new(Severity::Error, problem));
                system.dynamic.push(DynamicFile::Opaque(Place::default(), format!("depends on `{}`", path.display())));
            }
        }
    }
}

/// The dynamic files of a folder and of those below it, by name.
fn collect(folder: &Path, files: &mut Vec<PathBuf>, depth: usize) {
    const DEEPEST: usize = 16;
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let known = path
            .extension()
            .is_some_and(|extension| ["yml", "yaml", "toml"].iter().any(|known| extension.eq_ignore_ascii_case(known)));
        if path.is_dir() && depth < DEEPEST {
            collect(&path, files, depth + 1);
        } else if known {
            files.push(path);
        }
    }
}

/// Reads a file and what belongs to it.
///
/// Errors: why the file can't be read.
pub fn read_path(path: &Path, options: &Options) -> Result<Reading, String> {
    let file = SourceFile::read(path)?;
    Ok(read_gateway(&[(path.to_owned(), file.text.to_string())], options))
}
