//! PATH → what is there: files recognised, includes and mounts followed, what belongs together read as one system.
//!
//! In: the paths that the user names. Out: gateways with their diagnostics, and which files were read. Invariant: what was not
//! read is said, never passed over.

pub mod classify;
mod container;
pub mod deployment;
pub mod discover;
mod dockerfile;
mod entrypoint;
mod image;
pub mod inside;
mod join;
mod read;
pub mod repair;
pub mod secrets;
mod stock;
mod traefik;
pub mod variables;

use std::path::PathBuf;
use std::sync::Arc;

use crate::diag::Sink;
use crate::dialect::Options;
pub use crate::dialect::compose::Neighbour;
use crate::gateway::Gateway;
use classify::What;
use deployment::Deployment;
use inside::Inside;
use read::real;

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
    /// What the other containers of its compose project reach past it; absent: it is in none.
    pub neighbours: Option<Vec<Neighbour>>,
    /// The compose project that it is a part of, the same for all of its parts; absent: it is in none.
    pub deployment: Option<Arc<Deployment>>,
    /// What its container holds; absent: it is in none, and its server reads the files of [`System::gateway`] where they lie.
    pub inside: Option<Inside>,
}

impl System {
    /// Configs that are in no compose project.
    fn new(dialect: Dialect, name: String, gateway: Gateway) -> System {
        System { dialect, name, gateway, neighbours: None, deployment: None, inside: None }
    }
}

/// Reads what is at these paths; `-` is standard input. What isn't understood goes into `sink`.
pub fn load(paths: &[PathBuf], dialect: Option<Dialect>, options: &Options, sink: &mut Sink) -> Vec<System> {
    let configs = discover::discover(paths, dialect, &options.texts, sink);
    let (composed, rest): (Vec<_>, Vec<_>) = configs.into_iter().partition(|config| config.what == What::Compose);
    let (mut systems, claimed) = join::projects(composed, options, sink);
    // What a project mounts is read as its service sees it; by itself only where the user names it.
    let rest = rest.into_iter().filter(|config| config.named || !claimed.contains(&real(&config.source.path)));
    systems.extend(read::all(rest.collect(), options, sink));
    systems
}
