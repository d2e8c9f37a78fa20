//! Changes to files by byte ranges, so that everything else stays as its author wrote it, line numbers included.
//!
//! In: places and what stands there instead. Out: a file's new bytes. Invariant: of two changes that overlap the outer one stays, and a
//! file that is included twice is changed once.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::dialect::Place;

/// Changes to the files of a config.
#[derive(Debug, Default)]
pub struct Edits {
    /// By file and start; what is inserted before what is replaced, and an outer range before those in it.
    list: BTreeMap<(usize, usize, bool, Reverse<usize>), Vec<u8>>,
}

impl Edits {
    /// Something else stands in a place.
    pub fn replace(&mut self, place: Place, with: impl Into<Vec<u8>>) {
        self.list.insert((place.file(), place.span().start, true, Reverse(place.span().end)), with.into());
    }

    /// Something stands before a byte.
    pub fn insert(&mut self, file: usize, at: usize, text: &str) {
        self.list.entry((file, at, false, Reverse(at))).or_default().extend(text.bytes());
    }

    /// Nothing stands in a place but its line ends.
    pub fn remove(&mut self, place: Place, bytes: &[u8]) {
        let gone = bytes.get(place.span().start..place.span().end).unwrap_or_default();
        self.replace(place, gone.iter().copied().filter(|&byte| byte == b'\n').collect::<Vec<u8>>());
    }

    /// A file with its changes.
    pub fn apply(&self, file: usize, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut at = 0;
        let first = |file: usize| (file, 0, false, Reverse(usize::MAX));
        for ((_, start, _, Reverse(end)), with) in self.list.range(first(file)..first(file + 1)) {
            if *start < at {
                continue;
            }
            out.extend_from_slice(bytes.get(at..*start).unwrap_or_default());
            out.extend_from_slice(with);
            at = *end;
        }
        out.extend_from_slice(bytes.get(at..).unwrap_or_default());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Span;

    #[test]
    fn what_is_not_changed_stays() {
        let text = b"a b {\n c;\n d e;\n}\n";
        let place = |start: usize, end: usize| Place::new(1, Span::new(start..end));
        let mut edits = Edits::default();
        edits.replace(place(2, 3), "B");
        edits.insert(1, 5, " x;");
        edits.insert(1, 7, "y; ");
        edits.remove(place(7, 15), text);
        edits.replace(place(11, 12), "inside what is gone");
        assert_eq!(edits.apply(1, text), b"a B { x;\n y; \n\n}\n");
        assert_eq!(edits.apply(0, text), text);
    }
}
