//! `lint --fix` and `lint --diff`: findings → files that are mended, or what would change in them.
//!
//! In: a report. Out: files, or on standard output a unified diff, secrets hidden in it. Invariant: a file that isn't what was read is left.

use super::{Exit, fail, print};
use crate::finding::fix::{self, Mended};
use crate::project::secrets;
use crate::report::Report;
use crate::source::{self, SourceFile, Span, atomic};

/// How often files are read again for what the first fixes kept from being applied.
pub(super) const MOST_ROUNDS: usize = 10;

/// Writes what the fixes make; how many findings that mends, and which files it changes.
pub(super) fn write(report: &Report, unsafe_too: bool) -> Result<(usize, Vec<String>), Exit> {
    let (files, mended) = fix::apply(&report.sources, &report.findings, unsafe_too);
    // All or nothing, as far as it can be told before.
    for Mended { file, .. } in &files {
        if file.path.as_os_str().is_empty() {
            return Err(fail("standard input can't be changed", Some("`--diff` shows what would")));
        }
        let now = source::read_bytes(&file.path);
        if now.as_ref().map(|(bytes, _)| bytes.as_slice()) != Ok(file.bytes()) {
            let message = format!("`{}` isn't what was read: nothing was changed", file.name);
            return Err(fail(&message, Some("run it again")));
        }
    }
    for Mended { file, bytes } in &files {
        atomic::replace(&file.path, bytes).map_err(|error| {
            let reason = source::io_reason(&error);
            fail(&format!("can't write `{}`: {reason}", file.name), Some("`--diff` shows what would change"))
        })?;
    }
    Ok((mended, files.into_iter().map(|mended| mended.file.name).collect()))
}

/// Prints what the fixes would change; how many findings that would mend.
pub(super) fn show(report: &Report, unsafe_too: bool) -> usize {
    let (files, mended) = fix::apply(&report.sources, &report.findings, unsafe_too);
    for Mended { file, bytes } in files {
        let new = secrets::hide(&SourceFile::of_bytes(file.name.clone(), file.path.clone(), bytes));
        let shown = |file: &SourceFile| file.shown(Span { start: 0, end: file.text.len() }, 0).0;
        let name = file.name.strip_prefix("./").unwrap_or(&file.name).trim_start_matches('/');
        let (before, after) = (shown(&file), shown(&new));
        let difference = similar::TextDiff::from_lines(before.as_str(), after.as_str());
        print(&difference.unified_diff().header(&format!("a/{name}"), &format!("b/{name}")).to_string());
    }
    mended
}
