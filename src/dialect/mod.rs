//! Existing configs: text → tree with spans → [`crate::gateway::Gateway`]. One folder a dialect.
//!
//! In: files that [`crate::project`] names. Out: what they mean, and a diagnostic for each place that isn't understood or that the server
//! would refuse. Invariant: reading never fails as a whole; a dialect knows no policy.

pub mod caddy;
pub mod certificates;
pub mod compose;
pub mod document;
pub mod json;
pub mod nginx;
pub mod pcre;
mod place;
pub mod re2;
pub mod scalar;
pub mod toml;
pub mod traefik;
pub mod tree;
pub mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use place::Place;

use crate::diag::Sink;
use crate::gateway::Gateway;
use crate::source::Texts;

/// What a config means, as far as it was understood.
#[derive(Debug, Default)]
pub struct Reading {
    /// The gateway; its files are all that were read.
    pub gateway: Gateway,
    /// What isn't understood (warnings), what the server would refuse to load (errors), what was inferred (notes).
    pub problems: Sink,
}

/// What a reader takes for given.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Absolute paths in configs are looked up below this folder.
    pub root: Option<PathBuf>,
    /// The variables that configs name.
    pub variables: Variables,
    /// What people call the files below some paths: a container's lie elsewhere on the host.
    pub names: Vec<(PathBuf, String)>,
    /// The version of nginx to assume, as `(1, 22, 1)`; absent: the newest that is known here.
    pub nginx_version: Option<(u32, u32, u32)>,
    /// What files hold that nobody has written yet.
    pub texts: Texts,
    /// Whether the server may run elsewhere, with files of users beside its config that aren't here: hashes seldom lie in a repository.
    pub copied: bool,
}

impl Options {
    /// What people call a file: by the longest path in [`Options::names`] that leads to it, else by its own.
    pub fn name(&self, path: &Path) -> String {
        let fitting = self.names.iter().filter_map(|(start, name)| Some((start, name, path.strip_prefix(start).ok()?)));
        match fitting.max_by_key(|(start, ..)| start.as_os_str().len()) {
            Some((_, name, rest)) if rest.as_os_str().is_empty() => name.clone(),
            Some((_, name, rest)) => format!("{}/{}", name.trim_end_matches('/'), rest.display()),
            None => path.display().to_string(),
        }
    }
}

/// Variables that a config may name: from the process environment and a file.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    /// Those that are set.
    pub values: BTreeMap<String, String>,
    /// Those whose values hang on something that isn't known.
    pub unknown: BTreeSet<String>,
    /// Whether the others are known to be unset: a file of variables was read.
    pub complete: bool,
    /// Whether it made a difference that they aren't.
    pub missed: Missed,
}

/// Whether something was looked for in vain; clones tell each other.
#[derive(Debug, Clone, Default)]
pub struct Missed(Arc<AtomicBool>);

impl Missed {
    /// It was.
    pub fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was.
    pub fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What stands in a text around the name of a variable whose value isn't known: characters for private use.
pub const MARKS: [char; 2] = ['\u{f5a5a}', '\u{f5a5b}'];

/// What is known about a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable<'v> {
    /// Its value.
    Set(&'v str),
    /// It is unset.
    Unset,
    /// It may be set where the server runs.
    Unknown,
}

impl Variables {
    /// What is known about a variable.
    pub fn get(&self, name: &str) -> Variable<'_> {
        match (self.values.get(name), self.complete) {
            _ if self.unknown.contains(name) => Variable::Unknown,
            (Some(value), _) => Variable::Set(value),
            (None, true) => Variable::Unset,
            (None, false) => {
                self.missed.note();
                Variable::Unknown
            }
        }
    }
}
