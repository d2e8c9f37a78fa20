//! Directives with their places, includes resolved: what every reader of nginx's meaning works on.
//!
//! In: token trees of a main file and all that it includes. Out: a [`Config`]. Invariant: directives stand in the order in which nginx
//! reads them, those of an included file in the place of its `include`.

use std::borrow::Cow;

use crate::source::{SourceFile, Span};

use super::super::Place;
use super::context::Context;

/// Index of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirectiveId(pub u32);

/// A whole configuration.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Every file that was read, the main file first.
    pub files: Vec<SourceFile>,
    /// All directives.
    pub directives: Vec<Directive>,
    /// Those outside of every block.
    pub top: Vec<DirectiveId>,
    /// Where those stand: [`Context::Main`], or for a part of a configuration the block that it is written for.
    pub context: Context,
}

/// A directive.
#[derive(Debug, Clone)]
pub struct Directive {
    /// The first word.
    pub name: Word,
    /// The words behind it.
    pub args: Box<[Word]>,
    /// One past its `;` or its closing brace.
    pub(super) end: u32,
    /// What stands in its braces; absent: it has none.
    pub block: Option<Vec<DirectiveId>>,
}

/// A word. A place in a config fits 32 bits: none is longer.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    pub(super) file: u32,
    pub(super) start: u32,
    pub(super) end: u32,
    /// Whether it stands in quotes.
    pub quoted: bool,
    /// Whether it holds a backslash.
    pub escaped: bool,
}

impl Word {
    /// Its place, quotes included.
    pub fn place(&self) -> Place {
        let span = Span { start: self.start as usize, end: self.end as usize };
        Place { file: self.file as usize, span }
    }
}

impl Directive {
    /// From the first word to the `;` or the closing brace.
    pub fn place(&self) -> Place {
        Word { end: self.end, ..self.name }.place()
    }
}

impl Config {
    /// A directive.
    pub fn get(&self, id: DirectiveId) -> Option<&Directive> {
        self.directives.get(id.0 as usize)
    }

    /// The bytes that a word stands for: quotes gone, escapes resolved (facts measured on nginx 1.22.1: a backslash goes only before
    /// quotes and backslashes; `\t`, `\r`, `\n` are the control characters; every other pair stays).
    pub fn value(&self, word: Word) -> Cow<'_, [u8]> {
        let Place { file, span: Span { start, end } } = word.place();
        let bytes = self.files.get(file).and_then(|file| file.bytes().get(start..end)).unwrap_or_default();
        let bytes = if word.quoted && bytes.len() >= 2 { &bytes[1..bytes.len() - 1] } else { bytes };
        if !word.escaped {
            return Cow::Borrowed(bytes);
        }
        let mut out = Vec::with_capacity(bytes.len());
        let mut rest = bytes.iter();
        while let Some(&byte) = rest.next() {
            let next = rest.as_slice().first();
            let resolved = match (byte, next) {
                (b'\\', Some(b'"' | b'\'' | b'\\')) => next.copied(),
                (b'\\', Some(b't')) => Some(b'\t'),
                (b'\\', Some(b'r')) => Some(b'\r'),
                (b'\\', Some(b'n')) => Some(b'\n'),
                _ => None,
            };
            if resolved.is_some() {
                rest.next();
            }
            out.push(resolved.unwrap_or(byte));
        }
        Cow::Owned(out)
    }
}
