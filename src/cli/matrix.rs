//! `llmguard matrix`: who reaches what, by the policy or by configs beside it.
//!
//! In: configs or none, the policy or none. Out: on standard output the picture; on standard error what was read and with which policy.

use std::path::PathBuf;

use super::configs::{As, ConfigArgs};
use super::{Exit, Global, lint, load, print, say};
use crate::analysis::matrix::{self, Matrix, Subject};
use crate::project::System;
use crate::report::matrix::Format;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    configs: ConfigArgs,
    /// How to write it.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// Where to write it instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &Args, global: &Global) -> Exit {
    match draw(args, global) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn draw(args: &Args, global: &Global) -> Result<Exit, Exit> {
    let measure = lint::measure(&args.configs.policy, global)?;
    let matrix = match args.configs.is_empty() {
        true => matrix::of_policy(&measure),
        false => {
            let read = args.configs.read(global, As { copied: true, ..As::default() })?;
            let unset = args.configs.unset(&read);
            let twins = unset.len() == read.systems.len();
            let subjects = read.systems.iter().map(|system| subject(system, false));
            let twins = unset.iter().filter(|_| twins).map(|system| subject(system, true));
            matrix::of_configs(&subjects.chain(twins).collect::<Vec<_>>(), &measure)
        }
    };
    let text = args.format.write(&matrix);
    match &args.output {
        Some(path) => lint::written(path, &anstream::adapter::strip_str(&text).to_string())?,
        None => print(&text),
    }
    said(&matrix, global);
    Ok(if matrix.differs() { Exit::Differs } else { Exit::Done })
}

fn subject(system: &System, unset: bool) -> Subject<'_> {
    let (name, gateway, neighbours) = (&system.name, &system.gateway, system.neighbours.as_deref());
    Subject { name, gateway, neighbours, unset }
}

/// What was read, and how it compares.
fn said(matrix: &Matrix, global: &Global) {
    if global.quiet || !matrix.compared {
        return;
    }
    let policy = match &matrix.policy {
        Some(name) => format!("the policy `{name}`"),
        None => format!("the built-in policy for {}", matrix.upstream),
    };
    let files = match matrix.files.as_slice() {
        [file] => format!("`{file}`"),
        files => load::count(files.len(), "file"),
    };
    say(&format!("read {files}, measured with {policy}: {}", matrix.summary()));
}
