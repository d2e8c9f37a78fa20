//! The variables that configs may name. In: the process environment and a file. Out: [`Variables`].
//!
//! Invariant: the environment wins over the file, as with every server that is started with one.

use std::path::Path;

use crate::diag::{Diagnostic, Severity, Sink};
use crate::dialect::Variables;
use crate::policy::env_file;
use crate::source::SourceFile;

/// The variables of this process, and those of a file.
pub fn variables(file: Option<&Path>, sink: &mut Sink) -> Variables {
    let mut out = Variables::default();
    if let Some(path) = file {
        match SourceFile::read(path) {
            Ok(file) => read(&file, &mut out, sink),
            Err(reason) => sink.push(
                Diagnostic::new(Severity::Error, format!("can't read the variables `{}`: {reason}", path.display()))
                    .help("name another file with --env-file FILE"),
            ),
        }
    }
    let process =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    out.values.extend(process);
    out
}

fn read(file: &SourceFile, out: &mut Variables, sink: &mut Sink) {
    let parsed = env_file::parse(&file.text);
    out.complete = true;
    let problems = parsed.errors.iter().map(|problem| (Severity::Error, problem));
    for (severity, problem) in problems.chain(parsed.warnings.iter().map(|problem| (Severity::Warning, problem))) {
        // The line may hold a key: only its place is shown, not its text.
        let place = file.line_column(problem.span.start);
        let message = format!("{}:{}:{}: {}", file.name, place.line, place.column, problem.message);
        sink.push(Diagnostic::new(severity, message).help(problem.remedy.clone()));
    }
    out.values.extend(parsed.entries.into_iter().map(|entry| (entry.name, entry.value.reveal().to_owned())));
}
