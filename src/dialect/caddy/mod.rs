//! Caddyfiles and Caddy's JSON.
//!
//! In: a Caddyfile with all it imports, or a JSON config. Out: the JSON document that `caddy adapt` makes of it, each node with its place, and
//! its [`gateway`].

pub mod gateway;

use std::path::Path;

use super::{Options, Reading, json};
use crate::diag::{Diagnostic, Severity};
use crate::source::SourceFile;

/// Reads a JSON config.
pub fn read_json(path: &Path, name: &str, options: &Options) -> Reading {
    let mut reading = Reading::default();
    let file = match SourceFile::read_config(name, path) {
        Ok(file) => file,
        Err(reason) => {
            reading.problems.push(Diagnostic::new(Severity::Error, format!("can't read `{name}`: {reason}")));
            return reading;
        }
    };
    let document = json::read(0, &file, &mut reading.problems);
    if document.root.is_some() {
        reading.gateway = gateway::gateway(&document, vec![file], options, &mut reading.problems);
    }
    reading
}
