//! Directives as words: what every part of the meaning reads.
//!
//! In: directives. Out: [`Line`]s: name, arguments as bytes, the place of both. Invariant: nothing is decided here, and nothing copied.

use std::borrow::Cow;

use crate::dialect::Place;
use crate::dialect::nginx::config::{Block, Config, Directive, Word};
use crate::gateway::{Note, Origin};

use super::Reader;

/// A directive.
#[derive(Debug, Clone, Copy)]
pub struct Line<'c> {
    /// Its name; [`Line::key`] where it need not be text.
    pub name: &'c str,
    /// What stands behind it.
    pub args: Args<'c>,
    /// Name and arguments.
    pub head: Place,
    /// What its braces hold.
    pub block: Option<Block>,
}

/// What stands behind a directive's name.
#[derive(Debug, Clone, Copy)]
pub enum Args<'c> {
    /// These words of a config but the first, which is the name.
    Words(&'c Config, &'c [Word]),
    /// These bytes, of which no file speaks.
    Fixed(&'static [&'static [u8]]),
}

impl<'c> Args<'c> {
    /// One of them.
    pub fn get(self, at: usize) -> Option<&'c [u8]> {
        match self {
            Args::Words(config, words) => Some(config.value(*words.get(at + 1)?)),
            Args::Fixed(texts) => texts.get(at).copied(),
        }
    }

    /// How many there are.
    pub fn len(self) -> usize {
        match self {
            Args::Words(_, words) => words.len().saturating_sub(1),
            Args::Fixed(texts) => texts.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = &'c [u8]> {
        (0..self.len()).filter_map(move |at| self.get(at))
    }
}

impl<'c> Line<'c> {
    /// A directive that stands nowhere by itself: what is said at this place.
    pub fn lone(name: &'static str, args: &'static [&'static [u8]], at: &Origin) -> Line<'c> {
        Line { name, args: Args::Fixed(args), head: Place::new(at.file(), at.span()), block: None }
    }

    /// Whether it has this name.
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Its name as bytes.
    pub fn key(&self) -> &'c [u8] {
        match self.args {
            Args::Words(config, [name, ..]) => config.value(*name),
            _ => self.name.as_bytes(),
        }
    }

    /// An argument; empty where there is none.
    pub fn arg(&self, at: usize) -> &'c [u8] {
        self.args.get(at).unwrap_or_default()
    }

    /// An argument as text.
    pub fn text(&self, at: usize) -> Cow<'c, str> {
        String::from_utf8_lossy(self.arg(at))
    }

    /// Name and arguments, for people; long ones in part.
    pub fn shown(&self) -> String {
        let mut shown = String::from_utf8_lossy(self.key()).into_owned();
        for arg in self.args.iter() {
            shown.push(' ');
            shown.push_str(if arg.is_empty() { "\"\"" } else { "" });
            shown.push_str(&String::from_utf8_lossy(arg));
        }
        if shown.len() > MOST_SHOWN
            && let Some((end, _)) = shown.char_indices().nth(MOST_SHOWN)
        {
            shown.truncate(end);
            shown.push('…');
        }
        shown
    }

    /// Its place, and what happens there.
    pub fn origin(&self, note: impl Into<Note>) -> Origin {
        Origin::new(self.head.file(), self.head.span(), note)
    }

    /// Its place, without a word.
    pub fn silent(&self) -> Origin {
        self.origin("")
    }
}

/// So many characters of a directive are shown.
const MOST_SHOWN: usize = 100;

impl<'c> Reader<'c> {
    /// The directives of a block as lines.
    pub fn lines(&self, block: Block) -> Vec<Line<'c>> {
        self.config.within(block).map(|directive| self.line(directive)).collect()
    }

    /// What the braces of a line hold.
    pub fn inner(&self, line: &Line<'c>) -> Vec<Line<'c>> {
        line.block.map(|block| self.lines(block)).unwrap_or_default()
    }

    /// A directive as a line.
    pub fn line(&self, directive: &'c Directive) -> Line<'c> {
        let config = self.config;
        let words = config.words(directive);
        let start = words.first().map(Word::place).unwrap_or_default();
        let last = words.last().map(Word::place).unwrap_or_default();
        Line {
            name: std::str::from_utf8(config.name(directive)).unwrap_or("\u{fffd}"),
            args: Args::Words(config, words),
            head: start.until(last.span().end),
            block: directive.block(),
        }
    }
}
