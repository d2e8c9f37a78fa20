//! Compose projects as Docker Compose v2 reads them, and what their published ports let through.
//!
//! In: the files of a project in their order and the variables. Out: a [`Project`], and the [`crate::gateway::Gateway`] of its published
//! ports. Invariant: what Compose refuses is an error, what it reads is never refused here, and a value that hangs on a variable that
//! isn't known says so. (Rules: compose-go 2.9.1 as in Compose 2.40.3; `tests/compose_read.rs` asks the real one.)

pub mod env_file;
mod extends;
mod find;
mod gateway;
mod include;
pub mod interpolate;
mod load;
mod merge;
pub mod model;
mod mounts;
mod neighbours;
mod pairs;
pub mod ports;
mod read;
mod reset;
mod service;
mod shape;
mod words;

use std::path::{Path, PathBuf};

use super::Options;
use crate::diag::Sink;
use crate::source::SourceFile;

pub use find::{files_of, with_override};
pub use gateway::{Role, gateway, own_port};
pub use model::Project;
pub use neighbours::{Neighbour, neighbours};

/// Reads a project from its files; all but the first are laid over those before them. What is wrong goes into `sink`.
pub fn read(files: &[PathBuf], options: &Options, sink: &mut Sink) -> Project {
    let folder = files.first().and_then(|file| file.parent()).unwrap_or(Path::new("")).to_owned();
    read::project(files, &folder, options, sink)
}

/// Reads a project from one text; relative paths in it start from the working folder.
pub fn read_text(file: SourceFile, options: &Options, sink: &mut Sink) -> Project {
    read::text(file, options, sink)
}
