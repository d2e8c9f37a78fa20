//! Texts that files would have: what nobody has written yet.
//!
//! In: paths and bytes. Out: those bytes where others read the file's own. Invariant: paths that lead to one file by links mean one text;
//! standard input is the empty path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SourceFile;

/// What some files would hold.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    by_path: Arc<BTreeMap<PathBuf, Arc<[u8]>>>,
}

impl Texts {
    /// From now on a file holds these bytes.
    pub fn put(&mut self, path: &Path, bytes: Vec<u8>) {
        Arc::make_mut(&mut self.by_path).insert(real(path), bytes.into());
    }

    /// What a file would hold; absent: what it holds.
    pub fn get(&self, path: &Path) -> Option<&[u8]> {
        if self.by_path.is_empty() {
            return None;
        }
        self.by_path.get(&real(path)).map(|bytes| &**bytes)
    }

    /// Reads a server's config as [`SourceFile::read_config`] does. Errors: as there.
    pub fn read_config(&self, name: impl Into<String>, path: &Path) -> Result<SourceFile, String> {
        match self.get(path) {
            Some(bytes) => Ok(SourceFile::of_bytes(name, path, bytes.to_vec())),
            None => SourceFile::read_config(name, path),
        }
    }

    /// Whether this is what a file would hold.
    pub fn holds(&self, file: &SourceFile) -> bool {
        match self.get(&file.path) {
            Some(bytes) => bytes == file.bytes(),
            None if file.path.as_os_str().is_empty() => true,
            None => super::read_bytes(&file.path).is_ok_and(|(bytes, _)| bytes == file.bytes()),
        }
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
