//! File name patterns as glob(3) reads them, which nginx asks.
//!
//! In: a pattern and a way to list folders. Out: the paths that match, sorted by their bytes. Invariant: what begins with a dot is matched
//! only by a pattern that does; what can't be listed has no files.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

/// Whether nginx asks glob(3) at all; other names must exist.
pub fn is_pattern(name: &[u8]) -> bool {
    name.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// Whether a path matches a pattern, part by part.
pub fn matches_path(pattern: &Path, path: &Path) -> bool {
    let (mut parts, mut names) = (pattern.components(), path.components());
    loop {
        match (parts.next(), names.next()) {
            (None, None) => return true,
            (Some(part), Some(name)) if matches(bytes(part), bytes(name)) => {}
            _ => return false,
        }
    }
}

fn bytes(part: Component<'_>) -> &[u8] {
    part.as_os_str().as_bytes()
}

/// The paths that match; `list` gives the names in a folder.
pub fn expand(pattern: &Path, list: impl Fn(&Path) -> Vec<std::ffi::OsString>) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        if !is_pattern(bytes(part)) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let below = |folder: &PathBuf| {
            let names = list(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).into_iter();
            names.filter(|name| matches(bytes(part), name.as_bytes())).map(|name| folder.join(name)).collect::<Vec<_>>()
        };
        found = found.iter().flat_map(below).collect();
    }
    found.retain(|path| path.symlink_metadata().is_ok());
    found.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    found
}

/// Whether a name matches a pattern without slashes.
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') && !pattern.starts_with(b"\\.") {
        return false;
    }
    let (mut p, mut n) = (0, 0);
    // Behind the last `*`, and what it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, n));
            p += 1;
        } else if let Some(length) = one(&pattern[p..], name[n]) {
            p += length;
            n += 1;
        } else if let Some((behind, taken)) = star {
            star = Some((behind, taken + 1));
            (p, n) = (behind, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// How much of the pattern a byte fits: `?`, a set, an escaped byte or the byte itself.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern.first()? {
        b'?' => Some(1),
        b'[' => match set(&pattern[1..], byte) {
            Some((true, length)) => Some(length + 1),
            Some((false, _)) => None,
            None => (byte == b'[').then_some(1),
        },
        b'\\' => (pattern.get(1) == Some(&byte)).then_some(2),
        own => (*own == byte).then_some(1),
    }
}

/// Whether a set behind its `[` has the byte, and its length with the `]`; absent: it has no end.
fn set(set: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(set.first(), Some(b'!' | b'^'));
    let mut at = usize::from(negated);
    let first = at;
    let mut has = false;
    loop {
        let start = *set.get(at)?;
        if start == b']' && at > first {
            return Some((has != negated, at + 1));
        }
        at += 1;
        match (set.get(at), set.get(at + 1)) {
            (Some(b'-'), Some(&end)) if end != b']' => {
                has |= (start..=end).contains(&byte);
                at += 2;
            }
            _ => has |= start == byte,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_glob() {
        let yes =
            [("*.conf", "a.conf"), ("a*b*c", "aXbYbc"), ("?", "x"), ("[a-c]x", "bx"), ("[!a]", "b"), ("[]]", "]")];
        let no =
            [("*.conf", ".a.conf"), ("a*", "b"), ("?", ""), ("[a-c]x", "dx"), ("[!a]", "a"), ("*.conf", "a.confx")];
        for (pattern, name) in yes {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in no {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        assert!(matches(b"\\*", b"*") && matches(b"[x", b"[x") && matches(b".*", b".x"));
        assert!(matches_path(Path::new("/etc/*/a"), Path::new("/etc/x/a")));
        assert!(!matches_path(Path::new("/etc/*"), Path::new("/etc/x/a")));
    }
}
