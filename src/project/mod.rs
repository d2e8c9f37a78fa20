//! PATH → what is there: files recognised, includes and mounts followed, what belongs together read as one system.
//!
//! In: the paths that the user names. Out: gateways with their diagnostics, and which files were read. Invariant: what was not
//! read is said, never passed over.

pub mod secrets;
pub mod variables;

use std::path::PathBuf;

use crate::diag::{Diagnostic, Severity, Sink};
use crate::dialect::Options;
use crate::gateway::Gateway;

/// The languages that configs are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// `nginx.conf` and what it includes.
    Nginx,
    /// A Caddyfile, or Caddy's JSON.
    Caddy,
    /// Traefik's static and dynamic files.
    Traefik,
    /// A compose project.
    Compose,
    /// A password file.
    Htpasswd,
}

/// Configs that belong together.
#[derive(Debug)]
pub struct System {
    /// Their language.
    pub dialect: Dialect,
    /// The path as the user named it.
    pub name: String,
    /// What they mean.
    pub gateway: Gateway,
}

/// Reads what is at these paths; `-` is standard input. What isn't understood goes into `sink`.
pub fn load(paths: &[PathBuf], dialect: Option<Dialect>, _options: &Options, sink: &mut Sink) -> Vec<System> {
    for path in paths {
        let path = path.display();
        let message = match dialect {
            Some(dialect) => format!("can't read `{path}`: configs of {dialect:?} are not understood"),
            None => format!("can't tell what `{path}` is"),
        };
        sink.push(Diagnostic::new(Severity::Error, message).help("say what it is with --as DIALECT"));
    }
    Vec::new()
}
