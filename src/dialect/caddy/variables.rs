//! `{$NAME}` and `{$NAME:default}`: replaced in the text before it is cut into words, also in comments (Caddy 2.11, parse.go).
//!
//! In: a file's text and what is known about variables. Out: the text that Caddy reads, how its places map back, and which variables
//! were named where. Invariant: a variable of unknown value without a default becomes `{env.NAME}`, which nobody takes for a known text.

use std::ops::Range;
use std::sync::Arc;

use super::super::{Place, Variable, Variables};
use crate::source::Span;

/// A text with its variables replaced.
#[derive(Debug)]
pub struct Expanded {
    /// The text that Caddy reads.
    pub text: Arc<str>,
    pieces: Vec<Piece>,
}

/// A place that names a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The variable.
    pub name: String,
    /// Where it is named.
    pub place: Place,
    /// What is known about it.
    pub value: Known,
    /// The text behind `:` in `{$NAME:default}`; a variable that is set doesn't need it.
    pub default: Option<String>,
    /// Whether the server looks it up at each request (`{env.NAME}`) and not when it reads the file.
    pub late: bool,
}

/// What is known about a variable, without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It is set, to an empty text or not.
    Set {
        /// Whether its text is empty.
        empty: bool,
    },
    /// It is unset.
    Unset,
    /// It may be set where the server runs.
    Unknown,
}

/// A replaced place.
#[derive(Debug)]
struct Piece {
    new: Range<usize>,
    old: Range<usize>,
}

/// Replaces the variables of file number `file`.
pub fn expand(text: &Arc<str>, file: usize, variables: &Variables, named: &mut Vec<Named>) -> Expanded {
    let mut out = String::new();
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut search = 0;
    while let Some(begin) = text[search..].find("{$").map(|found| search + found) {
        let Some(length) = text[begin + 2..].find('}') else { break };
        let inner = &text[begin + 2..begin + 2 + length];
        let end = begin + 2 + length + 1;
        search = end;
        if inner.is_empty() {
            continue;
        }
        let (name, default) = match inner.split_once(':') {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let variable = variables.get(name);
        out.push_str(&text[at..begin]);
        let start = out.len();
        match (variable, default) {
            (Variable::Set(value), _) => out.push_str(value),
            (_, Some(default)) => out.push_str(default),
            (Variable::Unset, None) => {}
            (Variable::Unknown, None) => out.extend(["{env.", name, "}"]),
        }
        pieces.push(Piece { new: start..out.len(), old: begin..end });
        named.push(Named {
            name: name.to_owned(),
            place: Place::new(file, Span::new(begin..end)),
            value: variable.into(),
            default: default.map(str::to_owned),
            late: false,
        });
        at = end;
    }
    if pieces.is_empty() {
        return Expanded { text: Arc::clone(text), pieces };
    }
    out.push_str(&text[at..]);
    Expanded { text: out.into(), pieces }
}

/// The variables that a word leaves to be looked up at each request.
pub fn late(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("{env.").filter_map(move |(at, opening)| {
        let rest = &text[at + opening.len()..];
        rest.find('}').map(|end| &rest[..end])
    })
}

impl From<Variable<'_>> for Known {
    fn from(variable: Variable<'_>) -> Self {
        match variable {
            Variable::Set(value) => Known::Set { empty: value.is_empty() },
            Variable::Unset => Known::Unset,
            Variable::Unknown => Known::Unknown,
        }
    }
}

impl Expanded {
    /// The place in the file's own text of a range of the replaced one; a range inside a variable's value is the variable.
    pub fn original(&self, range: Range<usize>) -> Span {
        Span { start: self.map(range.start, false), end: self.map(range.end, true) }
    }

    fn map(&self, at: usize, end: bool) -> usize {
        let before = |piece: &Piece| if end { piece.new.start < at } else { piece.new.start <= at };
        let index = self.pieces.partition_point(before);
        let Some(piece) = index.checked_sub(1).and_then(|index| self.pieces.get(index)) else { return at };
        let inside = if end { at <= piece.new.end } else { at < piece.new.end };
        match (inside, end) {
            (true, false) => piece.old.start,
            (true, true) => piece.old.end,
            (false, _) => piece.old.end + (at - piece.new.end),
        }
    }
}
