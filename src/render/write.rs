//! Bringing rendered files to disk, and comparing them with what is there.
//!
//! In: [`RenderedFile`]s and a folder. Out: files, or a list of differences. Invariant: nothing is replaced before every new file is
//! completely on disk; a file whose bytes and mode are right isn't touched.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::RenderedFile;
use crate::source::io_reason;

/// How a file on disk relates to what would be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Same bytes and mode.
    Same,
    /// Same bytes, wider or narrower mode (the present one is given).
    Mode(u32),
    /// Not there.
    Missing,
    /// Other bytes: the present text, or `None` if it isn't text.
    Differs(Option<String>),
}

/// Compares one file with what is on disk below `dir`. Errors: a file that can't be read.
pub fn state(dir: &Path, file: &RenderedFile) -> Result<State, String> {
    let path = dir.join(&file.path);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(State::Missing),
        Err(error) => return Err(format!("can't read `{}`: {}", path.display(), io_reason(&error))),
    };
    if bytes != file.content.as_bytes() {
        return Ok(State::Differs(String::from_utf8(bytes).ok()));
    }
    let mode = std::fs::metadata(&path).map(|meta| meta.permissions().mode() & 0o777).unwrap_or(file.mode);
    Ok(if mode == file.mode { State::Same } else { State::Mode(mode) })
}

/// Writes the files and makes the empty folders below `dir`.
///
/// Errors: what can't be written, with its path; then the previous files are all untouched.
pub fn write(dir: &Path, files: &[RenderedFile], folders: &[String]) -> Result<(), String> {
    let told = |path: &Path, error: &std::io::Error| format!("can't write `{}`: {}", path.display(), io_reason(error));
    let mut staged = Vec::new();
    for file in files {
        if state(dir, file)? == State::Same {
            continue;
        }
        let path = dir.join(&file.path);
        let folder = path.parent().unwrap_or(dir);
        std::fs::create_dir_all(folder).map_err(|error| told(folder, &error))?;
        if path.is_dir() {
            return Err(format!("can't write `{}`: is a folder", path.display()));
        }
        staged.push((stage(folder, file).map_err(|error| told(&path, &error))?, path));
    }
    for folder in folders {
        let path: PathBuf = dir.join(folder);
        std::fs::create_dir_all(&path).map_err(|error| told(&path, &error))?;
    }
    for (temporary, path) in staged {
        temporary.persist(&path).map_err(|error| told(&path, &error.error))?;
    }
    Ok(())
}

/// The new file beside its place, complete, synced and with its mode.
fn stage(folder: &Path, file: &RenderedFile) -> std::io::Result<tempfile::NamedTempFile> {
    let private = std::fs::Permissions::from_mode(file.mode & 0o600);
    let mut temporary = tempfile::Builder::new().prefix(".llmguard-").permissions(private).tempfile_in(folder)?;
    temporary.write_all(file.content.as_bytes())?;
    if let Some(gid) = file.group.and_then(group_id) {
        // Only root may; anybody else is told which chown is needed.
        let _ = std::os::unix::fs::fchown(temporary.as_file(), None, Some(gid));
    }
    temporary.as_file().set_permissions(std::fs::Permissions::from_mode(file.mode))?;
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

/// The id of a group of this machine.
pub fn group_id(name: &str) -> Option<u32> {
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    groups.lines().find_map(|line| {
        let mut parts = line.split(':');
        (parts.next() == Some(name)).then(|| parts.nth(1)?.parse().ok()).flatten()
    })
}
