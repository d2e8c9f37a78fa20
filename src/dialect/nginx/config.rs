//! Directives with their places, includes resolved: what every reader of nginx's meaning works on.
//!
//! In: token trees of a main file and all that it includes. Out: a [`Config`]. Invariant: directives stand in the order in which nginx
//! reads them, those of an included file in the place of its `include`; what a block holds stands behind its directive, without a gap.

use std::collections::HashMap;
use std::ops::Range;

use crate::source::{SourceFile, Span};

use super::super::Place;
use super::context::Context;

/// A whole configuration.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Every file that was read, the main file first.
    pub files: Vec<SourceFile>,
    /// All directives.
    pub directives: Vec<Directive>,
    /// Their words, one directive's behind the other's.
    pub(super) words: Vec<Word>,
    /// What words with escapes stand for, by file and place.
    pub(super) resolved: HashMap<(u32, u32), Box<[u8]>>,
    /// Where those outside of every block stand: [`Context::Main`], or for a part of a configuration the block that it is written for.
    pub context: Context,
}

/// A directive.
#[derive(Debug, Clone)]
pub struct Directive {
    /// Its words, the first of which is its name: indices.
    pub(super) words: Range<u32>,
    /// One past its `;` or its closing brace.
    pub(super) end: u32,
    /// Whether it has braces.
    pub(super) braces: bool,
    /// What stands in them.
    pub(super) inside: Block,
}

/// Directives that stand in one block, and all inside of these: indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// A word. A place in a config fits 30 bits: none is longer.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    pub(super) file: u32,
    pub(super) start: u32,
    /// One past its last byte, and the two bits below.
    end: u32,
}

/// The word stands in quotes.
const QUOTED: u32 = 1 << 31;
/// It holds a backslash that means something.
const ESCAPED: u32 = 1 << 30;

impl Word {
    pub(super) fn new(file: u32, start: u32, end: u32, quoted: bool, escaped: bool) -> Word {
        let flags = if quoted { QUOTED } else { 0 } | if escaped { ESCAPED } else { 0 };
        Word { file, start, end: end | flags }
    }

    /// Whether it stands in quotes.
    pub fn quoted(&self) -> bool {
        self.end & QUOTED != 0
    }

    /// Whether it holds a backslash that means something.
    fn escaped(&self) -> bool {
        self.end & ESCAPED != 0
    }

    /// Its place, quotes included.
    pub fn place(&self) -> Place {
        let span = Span { start: self.start as usize, end: (self.end & !(QUOTED | ESCAPED)) as usize };
        Place::new(self.file as usize, span)
    }
}

impl Directive {
    /// What stands in its braces; absent: it has none.
    pub fn block(&self) -> Option<Block> {
        self.braces.then_some(self.inside)
    }
}

impl Block {
    /// Whether it holds nothing.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Whether the directive with this index is one of them.
    pub fn holds(self, index: usize) -> bool {
        (self.start as usize..self.end as usize).contains(&index)
    }
}

impl Config {
    /// Everything.
    pub fn top(&self) -> Block {
        Block { start: 0, end: self.directives.len() as u32 }
    }

    /// The directives that stand in a block itself.
    pub fn within(&self, block: Block) -> impl Iterator<Item = &Directive> {
        let mut next = block.start;
        std::iter::from_fn(move || {
            let directive = self.directives.get(next as usize).filter(|_| next < block.end)?;
            next = directive.inside.end;
            Some(directive)
        })
    }

    /// The words of a directive, its name first.
    pub fn words(&self, directive: &Directive) -> &[Word] {
        self.words.get(directive.words.start as usize..directive.words.end as usize).unwrap_or_default()
    }

    /// The words behind a directive's name.
    pub fn args(&self, directive: &Directive) -> &[Word] {
        self.words(directive).get(1..).unwrap_or_default()
    }

    /// A directive's name.
    pub fn name(&self, directive: &Directive) -> &[u8] {
        self.words(directive).first().map_or(&[], |word| self.value(*word))
    }

    /// A directive from its first word to the `;` or the closing brace.
    pub fn place(&self, directive: &Directive) -> Place {
        let first = self.words(directive).first().map(Word::place).unwrap_or_default();
        first.until(directive.end as usize)
    }

    /// The bytes that a word stands for: quotes gone, escapes resolved.
    pub fn value(&self, word: Word) -> &[u8] {
        match word.escaped() {
            true => self.resolved.get(&(word.file, word.start)).map(|bytes| &**bytes).unwrap_or_default(),
            false => self.bare(word),
        }
    }

    /// What stands between a word's quotes.
    fn bare(&self, word: Word) -> &[u8] {
        let Span { start, end } = word.place().span();
        let bytes =
            self.files.get(word.file as usize).and_then(|file| file.bytes().get(start..end)).unwrap_or_default();
        if word.quoted() && bytes.len() >= 2 { &bytes[1..bytes.len() - 1] } else { bytes }
    }

    /// Adds a word.
    pub(super) fn add(&mut self, word: Word) {
        if word.escaped() && !self.resolved.contains_key(&(word.file, word.start)) {
            let resolved = resolved(self.bare(word)).into();
            self.resolved.insert((word.file, word.start), resolved);
        }
        self.words.push(word);
    }
}

/// Escapes resolved (facts measured on nginx 1.22.1: a backslash goes only before quotes and backslashes; `\t`, `\r`, `\n` are the control
/// characters; every other pair stays).
fn resolved(bytes: &[u8]) -> Vec<u8> {
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
    out
}
