//! Caddyfiles and Caddy's JSON.
//!
//! In: a Caddyfile with all it imports. Out: the JSON document that `caddy adapt` makes of it, each node with the place of the token that
//! caused it, and what it means ([`gateway`]). Invariant: what Caddy would refuse is an error; what was understood beside it is still there.

mod adapt;
mod args;
mod dispenser;
pub mod gateway;
mod glob;
mod import;
mod json;
pub mod lexer;
mod parse;
pub mod token;
pub mod tree;
pub mod variables;

use std::path::Path;

use super::document::Document;
use super::{Options, Place, Reading};
use crate::diag::{Diagnostic, Kind, Severity, Sink};
use crate::source::SourceFile;

/// A Caddyfile as Caddy's JSON.
#[derive(Debug, Default)]
pub struct Adapted {
    /// Every file that was read, the main file first; places count in it.
    pub files: Vec<SourceFile>,
    /// What `caddy adapt` prints. A matcher or handler that stands in several places is an alias to one node: the alias' place is where
    /// it is used, the node's where it is defined.
    pub document: Document,
    /// What the document doesn't show.
    pub facts: Facts,
}

/// What is worth knowing about a Caddyfile besides its meaning.
#[derive(Debug, Default)]
pub struct Facts {
    /// Each place that names a variable.
    pub variables: Vec<variables::Named>,
    /// Imports of files that aren't there.
    pub missing_imports: Vec<Place>,
    /// Imports whose pattern matches no file: Caddy takes that for nothing.
    pub empty_imports: Vec<Place>,
    /// Directives, matchers and modules that stock Caddy 2.11 doesn't have: it needs a plugin to load the file.
    pub plugins: Vec<(String, Place)>,
}

/// Reads the Caddyfile `main`, which messages call `name`.
///
/// `sink` gets an error for whatever Caddy 2.11 would refuse, in the order in which it would see it, and a warning for what only a Caddy
/// with a plugin loads. Unreadable parts become handlers named `llmguard.opaque`.
pub fn adapt(main: &Path, name: &str, options: &Options, sink: &mut Sink) -> Adapted {
    match options.texts.read_config(name, main) {
        Ok(file) => adapt_text(file, options, sink),
        Err(reason) => {
            sink.push(Diagnostic::new(Severity::Error, format!("cannot read `{name}`: {reason}")));
            Adapted::default()
        }
    }
}

/// The same with a main file that is already read.
pub fn adapt_text(main: SourceFile, options: &Options, sink: &mut Sink) -> Adapted {
    let mut parser = parse::Parser::new(main, options);
    let blocks = parser.parse();
    let (files, mut facts, faults) = parser.finish();
    let paths = files.iter().map(|(_, path)| path.display().to_string()).collect();
    let kind = |fault: &dispenser::Fault| match facts.missing_imports.contains(&fault.place) {
        true => Kind::MissingFile,
        false => Kind::Other,
    };
    let mut problems: Vec<_> = faults.into_iter().map(|fault| (Severity::Error, kind(&fault), fault)).collect();
    let document = adapt::setup(blocks, paths, &mut problems, &mut facts);
    let files: Vec<SourceFile> = files.into_iter().map(|(file, _)| file).collect();
    for place in &facts.empty_imports {
        let message = "the pattern of this import matches no file: Caddy takes it for nothing";
        let fault = dispenser::Fault { message: message.into(), place: *place };
        problems.push((Severity::Note, Kind::MissingFile, fault));
    }
    for (severity, kind, fault) in problems {
        let mut diagnostic = Diagnostic::new(severity, fault.message).kind(kind);
        if let Some(file) = files.get(fault.place.file()) {
            diagnostic = diagnostic.at(file, fault.place.span(), "");
        }
        sink.push(diagnostic);
    }
    Adapted { files, document, facts }
}

/// Reads a Caddyfile, which messages call `name`.
pub fn read_caddyfile(main: &Path, name: &str, options: &Options) -> Reading {
    let mut reading = Reading::default();
    let adapted = adapt(main, name, options, &mut reading.problems);
    if adapted.document.root.is_some() {
        reading.gateway = gateway::gateway(&adapted.document, adapted.files, options, &mut reading.problems);
    }
    reading
}

/// Reads a JSON config, which messages call `name`.
pub fn read_json(path: &Path, name: &str, options: &Options) -> Reading {
    let mut reading = Reading::default();
    let file = match options.texts.read_config(name, path) {
        Ok(file) => file,
        Err(reason) => {
            reading.problems.push(Diagnostic::new(Severity::Error, format!("cannot read `{name}`: {reason}")));
            return reading;
        }
    };
    let document = super::json::read(0, &file, &mut reading.problems);
    if document.root.is_some() {
        reading.gateway = gateway::gateway(&document, vec![file], options, &mut reading.problems);
    }
    reading
}
