//! Where something is said, and what happens there.
//!
//! In: places in files, and words for people. Out: [`Origin`]s. Invariant: small, since every clause and most steps of a gateway have one; a
//! place in a file fits 32 bits (no config is longer).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::source::Span;

/// The place in a file that causes something, and what it says there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    file: u32,
    start: u32,
    end: u32,
    /// Whether it is said for others as well: whoever wants something else for one of them writes it elsewhere.
    shared: bool,
    /// What happens here, for people; empty: nothing worth a word.
    pub note: Note,
}

/// A few words for people.
#[derive(Clone)]
pub enum Note {
    /// The same for all places.
    Fixed(&'static str),
    /// Made for this place.
    Made(Arc<Box<str>>),
}

impl Origin {
    /// A place and what happens there.
    pub fn new(file: usize, span: Span, note: impl Into<Note>) -> Origin {
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Origin { file: small(file), start: small(span.start), end: small(span.end), shared: false, note: note.into() }
    }

    /// Index into [`super::Gateway::files`].
    pub fn file(&self) -> usize {
        self.file as usize
    }

    /// The place.
    pub fn span(&self) -> Span {
        Span { start: self.start as usize, end: self.end as usize }
    }

    /// The same place, which is said for others as well.
    pub fn shared(self) -> Origin {
        Origin { shared: true, ..self }
    }

    /// Whether it is said for others as well.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// The same place with another note.
    pub fn noted(&self, note: impl Into<Note>) -> Origin {
        Origin { note: note.into(), ..*self }
    }
}

impl std::ops::Deref for Note {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Note::Fixed(text) => text,
            Note::Made(text) => text,
        }
    }
}

impl From<&'static str> for Note {
    fn from(text: &'static str) -> Note {
        Note::Fixed(text)
    }
}

impl From<String> for Note {
    fn from(text: String) -> Note {
        Note::Made(Arc::new(text.into()))
    }
}

impl From<Cow<'static, str>> for Note {
    fn from(text: Cow<'static, str>) -> Note {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl Default for Note {
    fn default() -> Note {
        Note::Fixed("")
    }
}

impl PartialEq for Note {
    fn eq(&self, other: &Note) -> bool {
        **self == **other
    }
}

impl Eq for Note {}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self)
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::{Chain, Clause, Step, Terminal};

    #[test]
    fn what_a_gateway_has_very_many_of_is_small() {
        let sizes =
            [size_of::<Origin>(), size_of::<Step>(), size_of::<Terminal>(), size_of::<Clause>(), size_of::<Chain>()];
        assert_eq!(sizes, [32, 16, 16, 80, 72]);
    }
}
