//! Which files make a project when nobody names them.
//!
//! In: a folder or a file. Out: files in the order in which they are laid over each other. Invariant: as compose-go 2.9.1 (cli/options.go).

use std::path::{Path, PathBuf};

/// The names of a project's file, the first that is there counts.
const NAMES: &[&str] = &["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// The names of what is laid over it.
const OVERRIDES: &[&str] =
    &["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];

/// The files of the project in a folder; none: there is no project.
pub fn default_files(folder: &Path) -> Vec<PathBuf> {
    let first = |names: &[&str]| names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    let Some(main) = first(NAMES) else { return Vec::new() };
    std::iter::once(main).chain(first(OVERRIDES)).collect()
}

/// Whether a file is laid over the folder's project without being named.
pub fn with_override(path: &Path) -> bool {
    path.file_name().is_some_and(|name| OVERRIDES.iter().any(|known| name == *known))
}
