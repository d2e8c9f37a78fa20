//! A project from its files: loaded, extended, included, laid over each other, then read.
//!
//! In: paths. Out: a [`Project`]. Invariant: the order of compose-go 2.9.1 (loader/loader.go): variables first, then `extends`, then what is
//! reset, then `include`, then the merge with what was there.

use std::path::{Path, PathBuf};

use super::super::document::{Kind, NodeId};
use super::super::{Options, Place, Variable, Variables, yaml};
use super::interpolate;
use super::load::{Loaded, Loader};
use super::model::Project;
use crate::diag::Sink;
use crate::source::SourceFile;

/// The variable that names the project, and is one for the files.
const NAME: &str = "COMPOSE_PROJECT_NAME";
/// The variable that names the active profiles.
const PROFILES: &str = "COMPOSE_PROFILES";

/// Reads a project whose relative paths start from a folder.
pub(super) fn project(files: &[PathBuf], folder: &Path, options: &Options, sink: &mut Sink) -> Project {
    let said = |variables: &Variables| {
        files.iter().rev().find_map(|file| said(&options.texts.read_config("", file).ok()?, variables))
    };
    read(folder, options, sink, &said, |loader, variables| loader.unit(files, folder, variables, &[]))
}

/// Reads a project from one text.
pub(super) fn text(file: SourceFile, options: &Options, sink: &mut Sink) -> Project {
    let folder = Path::new("");
    read(folder, options, sink, &|variables| said(&file, variables), |loader, variables| {
        let top = loader.tree.add(Place::default(), Kind::Map(Box::default()));
        let documents = loader.source(file.clone(), folder, variables);
        loader.lay(top, documents, folder, variables, &[])
    })
}

fn read(
    folder: &Path,
    options: &Options,
    sink: &mut Sink,
    said: &dyn Fn(&Variables) -> Option<String>,
    load: impl FnOnce(&mut Loader<'_>, &Variables) -> NodeId,
) -> Project {
    let mut loader = Loader::new(sink);
    let mut variables = options.variables.clone();
    let env = folder.join(".env");
    if !variables.complete && env.is_file() {
        variables.missed.note();
        loader.add_variables(&env, None, &mut variables);
    }
    loader.texts = options.texts.clone();
    loader.home = variables.values.get("HOME").map(PathBuf::from);
    let name = name(folder, &variables, said);
    variables.values.insert(NAME.to_owned(), name.clone());
    let top = load(&mut loader, &variables);
    let active: Vec<String> = match variables.get(PROFILES) {
        Variable::Set(names) => names.split(',').map(|name| name.trim().to_owned()).collect(),
        Variable::Unset | Variable::Unknown => Vec::new(),
    };
    let services = loader.services(top, &variables, &active);
    let networks = loader.networks(top);
    let Loader { files, mut tree, variables, .. } = loader;
    tree.root = Some(top);
    Project { name, files, tree, services, networks, variables }
}

impl Loader<'_> {
    /// The merged map of some files that are laid over each other. `above` are the files that include these.
    pub(super) fn unit(
        &mut self,
        files: &[PathBuf],
        folder: &Path,
        variables: &Variables,
        above: &[PathBuf],
    ) -> NodeId {
        let mut top = self.tree.add(Place::default(), Kind::Map(Box::default()));
        let mut above = above.to_vec();
        for file in files {
            above.push(file.clone());
            let documents = self.file(file, folder, variables, None);
            top = self.lay(top, documents, folder, variables, &above);
        }
        top
    }

    /// Lays a file's documents over a map.
    fn lay(
        &mut self,
        mut top: NodeId,
        documents: Vec<Loaded>,
        folder: &Path,
        variables: &Variables,
        above: &[PathBuf],
    ) -> NodeId {
        for document in documents {
            let own = self.extend(document.root, &document.resets, variables);
            top = self.without(top, &document.resets);
            let own = self.include(own, folder, variables, above);
            top = self.merge(top, own, &mut Vec::new());
        }
        top
    }
}

/// The name of a project: by the variable, the last file that says one, or the folder.
fn name(folder: &Path, variables: &Variables, said: &dyn Fn(&Variables) -> Option<String>) -> String {
    if let Variable::Set(name) = variables.get(NAME)
        && !name.is_empty()
    {
        return name.to_owned();
    }
    said(variables).unwrap_or_else(|| {
        let folder = std::path::absolute(folder).unwrap_or_default();
        normal(&folder.file_name().unwrap_or_default().to_string_lossy())
    })
}

/// The name that a file says, in a line of its own.
fn said(file: &SourceFile, variables: &Variables) -> Option<String> {
    let line = file.text.lines().rfind(|line| line.starts_with("name:"))?;
    let document = yaml::read(0, &SourceFile::new("", "", line), &mut Sink::default());
    let text = document.root()?.get("name")?.printed()?;
    let name = normal(&interpolate::interpolate(&text, variables).ok()?.text);
    (!name.is_empty()).then_some(name)
}

/// A project's name as Compose writes it.
fn normal(text: &str) -> String {
    let fits = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let text: String = text.to_lowercase().chars().filter(fits).collect();
    text.trim_start_matches(['_', '-']).to_owned()
}
