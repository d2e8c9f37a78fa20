//! Which files make a project when nobody names them.
//!
//! In: a folder or a file. Out: files in the order in which they are laid over each other. Invariant: as compose-go 2.9.1 (cli/options.go).

use std::path::{Path, PathBuf};

use super::super::{Variable, Variables};
use super::load::Loader;
use crate::diag::Sink;

/// The variable that names a project's files, and the one with what stands between them.
const FILES: &str = "COMPOSE_FILE";
const SEPARATOR: &str = "COMPOSE_PATH_SEPARATOR";

/// The names of a project's file, the first that is there counts.
const NAMES: &[&str] = &["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// The names of what is laid over it.
const OVERRIDES: &[&str] =
    &["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];

/// The files of the project in a folder: those that the variable names, in the environment or in the folder's `.env`, else those with
/// the usual names; none: there is no project.
pub fn files_of(folder: &Path, variables: &Variables) -> Vec<PathBuf> {
    let mut variables = variables.clone();
    let env = folder.join(".env");
    if !variables.complete && env.is_file() {
        variables.missed.note();
        // What is wrong with it is told when the project is read.
        Loader::new(&mut Sink::default()).add_variables(&env, None, &mut variables);
    }
    let Variable::Set(named) = variables.get(FILES) else { return default_files(folder) };
    let separator = match variables.get(SEPARATOR) {
        Variable::Set(separator) if !separator.is_empty() => separator,
        _ => ":",
    };
    let files: Vec<PathBuf> =
        named.split(separator).filter(|name| !name.is_empty()).map(|name| folder.join(name)).collect();
    // A variable of the environment may speak of another folder's project.
    if files.is_empty() || !files.iter().all(|file| file.is_file()) { default_files(folder) } else { files }
}

/// The files with the usual names.
fn default_files(folder: &Path) -> Vec<PathBuf> {
    let first = |names: &[&str]| names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    let Some(main) = first(NAMES) else { return Vec::new() };
    std::iter::once(main).chain(first(OVERRIDES)).collect()
}

/// Whether a file is laid over the folder's project without being named.
pub fn with_override(path: &Path) -> bool {
    path.file_name().is_some_and(|name| OVERRIDES.iter().any(|known| name == *known))
}
