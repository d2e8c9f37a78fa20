//! `lint --fix` and `lint --diff`: findings → files as they would be, written or shown.
//!
//! In: what was found, and how to look again. Out: files, or on standard output a unified diff, secrets hidden in it. Invariant: both
//! change the same; a file that isn't what was read is left, and nothing is written where the result would not load.

use super::lint::Looked;
use super::{Exit, fail, print};
use crate::diag::Severity;
use crate::finding::fix;
use crate::project::secrets;
use crate::source::{self, SourceFile, Span, Texts, atomic};

/// How often what fixes make is looked at again, for what the first kept from being applied.
const MOST_ROUNDS: usize = 10;

/// What fixes make.
pub(super) struct Mended {
    /// The files, as they are, and the bytes that they would have; by name.
    pub(super) files: Vec<(SourceFile, Vec<u8>)>,
    /// How many findings that mends.
    pub(super) findings: usize,
}

/// Applies fixes until nothing is left to mend, in memory; and what there is to say then. `look` reads the configs with these texts.
pub(super) fn mend(
    mut looked: Looked,
    unsafe_too: bool,
    look: &dyn Fn(&Texts) -> Result<Looked, Exit>,
) -> Result<(Mended, Looked), Exit> {
    let mut texts = Texts::default();
    let mut mended = Mended { files: Vec::new(), findings: 0 };
    for _ in 0..MOST_ROUNDS {
        // What is made of a file (a filled template) can't be changed in it.
        let whole: Vec<SourceFile> = looked.report.sources.iter().filter(|file| texts.holds(file)).cloned().collect();
        let (files, count) = fix::apply(&whole, &looked.report.findings, unsafe_too);
        if count == 0 {
            break;
        }
        mended.findings += count;
        for fix::Mended { file, bytes } in files {
            texts.put(&file.path, bytes.clone());
            match mended.files.iter_mut().find(|(own, _)| own.name == file.name) {
                Some((_, own)) => *own = bytes,
                None => mended.files.push((file, bytes)),
            }
        }
        looked = look(&texts)?;
        if let Some(problem) = looked.problems.iter().find(|problem| problem.severity == Severity::Error) {
            let message = format!("the fixes would make configs that don't load: {}", problem.message);
            return Err(fail(&message, Some("nothing was changed; mend by hand what is told")));
        }
    }
    mended.files.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    Ok((mended, looked))
}

/// Writes what fixes make, all or nothing as far as it can be told before.
pub(super) fn write(mended: &Mended) -> Result<(), Exit> {
    for (file, _) in &mended.files {
        if file.path.as_os_str().is_empty() {
            return Err(fail("standard input can't be changed", Some("`--diff` shows what would")));
        }
        let now = source::read_bytes(&file.path);
        if now.as_ref().map(|(bytes, _)| bytes.as_slice()) != Ok(file.bytes()) {
            let message = format!("`{}` isn't what was read: nothing was changed", file.name);
            return Err(fail(&message, Some("run it again")));
        }
    }
    for (file, bytes) in &mended.files {
        atomic::replace(&file.path, bytes).map_err(|error| {
            let reason = source::io_reason(&error);
            fail(&format!("can't write `{}`: {reason}", file.name), Some("`--diff` shows what would change"))
        })?;
    }
    Ok(())
}

/// Prints what would change.
pub(super) fn show(mended: &Mended) {
    for (file, bytes) in &mended.files {
        let new = secrets::hide(&SourceFile::of_bytes(file.name.clone(), file.path.clone(), bytes.clone()));
        let shown = |file: &SourceFile| file.shown(Span { start: 0, end: file.text.len() }, 0).0;
        let name = file.name.strip_prefix("./").unwrap_or(&file.name).trim_start_matches('/');
        let (before, after) = (shown(file), shown(&new));
        let difference = similar::TextDiff::from_lines(before.as_str(), after.as_str());
        print(&difference.unified_diff().header(&format!("a/{name}"), &format!("b/{name}")).to_string());
    }
}
