//! Writing a file so that a reader, or a crash, sees the old bytes or the new ones and nothing between.
//!
//! In: path, bytes, mode. Out: the file. Invariant: a failed write leaves what was there.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Writes `bytes` to a temporary file in the same folder, syncs it, sets `mode` and renames it over `path`.
///
/// The folder must exist. Errors: what the system says.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    put(path, bytes, mode, None)
}

/// Gives a file that exists other bytes; its mode and owner stay, and a link to it stays a link. Errors: what the system says.
pub fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let path = path.canonicalize()?;
    let now = path.metadata()?;
    put(&path, bytes, now.mode() & 0o7777, Some((now.uid(), now.gid())))
}

fn put(path: &Path, bytes: &[u8], mode: u32, owner: Option<(u32, u32)>) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".llmguard-")
        .permissions(std::fs::Permissions::from_mode(mode & 0o600))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    let made = file.as_file().metadata()?;
    if let Some((user, group)) = owner.filter(|owner| *owner != (made.uid(), made.gid())) {
        std::os::unix::fs::fchown(file.as_file(), Some(user), Some(group))?;
    }
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
