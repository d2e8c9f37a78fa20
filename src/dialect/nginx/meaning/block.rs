//! Directives as words: what every part of the meaning reads.
//!
//! In: directive ids. Out: [`Line`]s: name, arguments as bytes, the place of both. Invariant: nothing is decided here.

use std::borrow::Cow;
use std::rc::Rc;

use crate::dialect::Place;
use crate::dialect::nginx::config::{Directive, DirectiveId};
use crate::gateway::{Note, Origin};
use crate::source::Span;

use super::Reader;

/// A directive.
#[derive(Debug, Clone)]
pub struct Line<'c> {
    /// Its name.
    pub name: Cow<'c, str>,
    /// What stands behind it.
    pub args: Rc<[Cow<'c, [u8]>]>,
    /// Name and arguments.
    pub head: Place,
    /// What its braces hold.
    pub block: Option<Cow<'c, [DirectiveId]>>,
}

impl<'c> Line<'c> {
    /// Whether it has this name.
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// An argument; empty where there is none.
    pub fn arg(&self, at: usize) -> &[u8] {
        self.args.get(at).map_or(&[], |arg| arg.as_ref())
    }

    /// An argument as text.
    pub fn text(&self, at: usize) -> Cow<'_, str> {
        String::from_utf8_lossy(self.arg(at))
    }

    /// Name and arguments, for people; long ones in part.
    pub fn shown(&self) -> String {
        let mut shown = self.name.to_string();
        for arg in self.args.iter() {
            shown.push(' ');
            shown.push_str(if arg.is_empty() { "\"\"" } else { "" });
            shown.push_str(&String::from_utf8_lossy(arg));
        }
        match shown.char_indices().nth(100) {
            Some((end, _)) => format!("{}…", &shown[..end]),
            None => shown,
        }
    }

    /// Its place, and what happens there.
    pub fn origin(&self, note: impl Into<Note>) -> Origin {
        Origin::new(self.head.file, self.head.span, note)
    }

    /// Its place, without a word.
    pub fn silent(&self) -> Origin {
        self.origin("")
    }
}

impl<'c> Reader<'c> {
    /// Directives as lines.
    pub fn lines(&self, ids: &[DirectiveId]) -> Vec<Line<'c>> {
        ids.iter().filter_map(|&id| Some(self.line(self.config.get(id)?))).collect()
    }

    /// What the braces of a line hold.
    pub fn inner(&self, line: &Line<'c>) -> Vec<Line<'c>> {
        line.block.as_ref().map(|block| self.lines(block)).unwrap_or_default()
    }

    /// A directive as a line.
    pub fn line(&self, directive: &'c Directive) -> Line<'c> {
        let name = match self.config.value(directive.name) {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        };
        let last = directive.args.last().copied().unwrap_or(directive.name).place();
        let start = directive.name.place();
        let end = if last.file == start.file { last.span.end } else { start.span.end };
        Line {
            name,
            args: directive.args.iter().map(|&word| self.config.value(word)).collect(),
            head: Place { file: start.file, span: Span { start: start.span.start, end } },
            block: directive.block.as_deref().map(Cow::Borrowed),
        }
    }
}
