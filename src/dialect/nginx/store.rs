//! Where included files come from: the file system, a copied tree, or the output of `nginx -T`.
//!
//! In: the names that `include` gives. Out: the paths they mean, and the files. Invariant: names relative to the main file's folder, as
//! nginx resolves them; patterns are expanded in nginx's order.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::source::{SourceFile, names_in};

use super::glob;
use crate::dialect::Options;

/// What stands before each file in the output of `nginx -T`.
const HEADER: &str = "# configuration file ";

/// The usual name of the main file, and how far above a part of a configuration it is looked for.
const MAIN: &str = "nginx.conf";
const MOST_FOLDERS: usize = 4;

/// Where files are looked up.
#[derive(Debug, Clone)]
pub struct Store {
    /// The folder of the main file.
    folder: PathBuf,
    /// Absolute names are looked up below its root.
    options: Options,
    /// The files of a dump by their names; absent: they lie in the file system.
    dump: Option<BTreeMap<PathBuf, SourceFile>>,
}

impl Store {
    /// The main file and where those that it includes come from.
    pub fn open(main: SourceFile, options: &Options) -> (SourceFile, Store) {
        let mut parts = parts(&main).into_iter();
        let (main, dump) = match parts.next() {
            None => (main, None),
            Some(first) => (first, Some(parts.map(|part| (part.path.clone(), part)).collect())),
        };
        let folder = main.path.parent().unwrap_or(Path::new("")).to_owned();
        (main, Store { folder, options: options.clone(), dump })
    }

    /// The main file is only a part of a configuration: names are relative to the nearest folder above it that has a whole one.
    pub fn of_part(&mut self) {
        let above = self.folder.ancestors().take(MOST_FOLDERS);
        let whole = above.into_iter().find(|folder| folder.join(MAIN).is_file());
        if let (None, Some(whole)) = (&self.dump, whole) {
            self.folder = whole.to_owned();
        }
    }

    /// The path that a config means by a name.
    pub fn path(&self, name: &[u8]) -> PathBuf {
        let name = Path::new(OsStr::from_bytes(name));
        match (&self.options.root, name.strip_prefix("/")) {
            (Some(root), Ok(below)) if self.dump.is_none() => root.join(below),
            _ => self.folder.join(name),
        }
    }

    /// The paths that an `include` means: all that fit a pattern, sorted, or the one that is named, which need not exist.
    pub fn find(&self, name: &[u8]) -> Vec<PathBuf> {
        let path = self.path(name);
        match &self.dump {
            _ if !glob::is_pattern(name) => vec![path],
            Some(files) => files.keys().filter(|file| glob::matches_path(&path, file)).cloned().collect(),
            None => glob::expand(&path, names_in),
        }
    }

    /// A file. Errors: why it can't be read.
    pub fn read(&self, path: &Path) -> Result<SourceFile, String> {
        match &self.dump {
            Some(files) => files.get(path).cloned().ok_or_else(|| "the dump doesn't have it".to_owned()),
            None => {
                let name = self.options.name(path);
                let path = &self.behind(path);
                // Reading a pipe or a device could last for ever.
                if path.metadata().is_ok_and(|about| !about.is_file() && !about.is_dir()) {
                    return Err("it is no file".to_owned());
                }
                self.options.texts.read_config(name, path)
            }
        }
    }

    /// In a copied tree a link with an absolute target means a file of the copy.
    fn behind(&self, path: &Path) -> PathBuf {
        match self.options.root.as_ref().map(|root| (root, path.read_link())) {
            Some((root, Ok(target))) if target.is_absolute() => root.join(target.strip_prefix("/").unwrap_or(&target)),
            _ => path.to_owned(),
        }
    }
}

/// The files of a dump, the main file first; none: the text is no dump.
fn parts(dump: &SourceFile) -> Vec<SourceFile> {
    // nginx's own messages may stand before the first file.
    let first = dump.text.lines().find(|line| !line.starts_with("nginx: ") && !line.trim().is_empty());
    if first.is_none_or(|line| header(line).is_none()) {
        return Vec::new();
    }
    let mut starts: Vec<(usize, usize, &str)> = Vec::new();
    let mut at = 0;
    for line in dump.text.split_inclusive('\n') {
        if let Some(path) = header(line) {
            starts.push((at, at + line.len(), path));
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).map(|(start, ..)| *start).chain([dump.text.len()]);
    let part = |((_, start, path), end): (&(usize, usize, &str), usize)| {
        let bytes = dump.bytes().get(*start..end).unwrap_or_default();
        // nginx writes a line end behind each file.
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        SourceFile::of_bytes(*path, *path, bytes.to_vec())
    };
    starts.iter().zip(ends).map(part).collect()
}

/// The path in a header line.
fn header(line: &str) -> Option<&str> {
    line.trim_end().strip_prefix(HEADER)?.strip_suffix(':').filter(|path| path.starts_with('/'))
}
