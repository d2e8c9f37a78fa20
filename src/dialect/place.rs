//! Where a word of a config stands.
//!
//! In: a file's index and a span. Out: a [`Place`]. Invariant: small, since every word of a config has one; no file is so long that its
//! places wouldn't fit.

use crate::source::Span;

/// A place in one of the files of a [`crate::gateway::Gateway`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    file: u32,
    start: u32,
    end: u32,
}

impl Place {
    /// A place in the file of this index.
    pub fn new(file: usize, span: Span) -> Place {
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Place { file: small(file), start: small(span.start), end: small(span.end) }
    }

    /// The same beginning with another end.
    pub fn until(self, end: usize) -> Place {
        Place::new(self.file(), Span { end, ..self.span() })
    }

    /// Index of the file.
    pub fn file(self) -> usize {
        self.file as usize
    }

    /// The place in it.
    pub fn span(self) -> Span {
        Span { start: self.start as usize, end: self.end as usize }
    }
}
