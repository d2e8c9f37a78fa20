//! File name patterns as Go's `path/filepath` matches them, below a folder that stands for `/`.
//!
//! In: an absolute pattern. Out: the files that match, in the order of their names. Invariant: only folders that the pattern names are read.

use std::path::{Component, Path, PathBuf};

/// The files that match; absent: the pattern is broken.
pub fn glob(pattern: &str, root: Option<&Path>) -> Option<Vec<PathBuf>> {
    let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    if !has_meta(pattern) {
        let path = PathBuf::from(pattern);
        let found = below(root, &path).symlink_metadata().is_ok();
        return Some(found.then_some(path).into_iter().collect());
    }
    matches(name, "")?;
    let folder = if folder.is_empty() { "/" } else { folder };
    let folders = if has_meta(folder) { glob(folder, root)? } else { vec![PathBuf::from(folder)] };
    let mut found = Vec::new();
    for folder in folders {
        let Ok(entries) = below(root, &folder).read_dir() else { continue };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        found.extend(names.into_iter().filter(|one| matches(name, one) == Some(true)).map(|one| folder.join(one)));
    }
    Some(found)
}

/// A path below the folder that stands for `/`.
pub fn below(root: Option<&Path>, path: &Path) -> PathBuf {
    match root {
        Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
        None => path.into(),
    }
}

/// The path without `.` and `..`, without asking the file system.
pub fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            _ => out.push(part),
        }
    }
    out
}

fn has_meta(text: &str) -> bool {
    text.contains(['*', '?', '[', '\\'])
}

/// Whether a name matches; absent: the pattern is broken. Patterns hold one `*` at most, so going back once is enough.
fn matches(pattern: &str, name: &str) -> Option<bool> {
    let mut wanted: Vec<Option<char>> = Vec::new();
    let mut star = None;
    let mut chars = pattern.chars();
    while let Some(ch) = chars.next() {
        match ch {
            '*' => star = Some(wanted.len()),
            '?' => wanted.push(None),
            '[' => return None,
            '\\' => wanted.push(Some(chars.next()?)),
            _ => wanted.push(Some(ch)),
        }
    }
    let name: Vec<char> = name.chars().collect();
    let same = |wanted: &[Option<char>], name: &[char]| {
        wanted.len() == name.len() && wanted.iter().zip(name).all(|(one, ch)| one.is_none_or(|one| one == *ch))
    };
    Some(match star {
        None => same(&wanted, &name),
        Some(at) => {
            let (head, tail) = wanted.split_at(at);
            name.len() >= wanted.len() && same(head, &name[..at]) && same(tail, &name[name.len() - tail.len()..])
        }
    })
}
