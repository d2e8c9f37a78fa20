//! Tokens as Caddy's parser sees them, once variables are replaced.
//!
//! In: words that the lexer cut out. Out: [`Token`]s that remember where their text stands in the file and through which imports they
//! came. Invariant: a token's place lies in the file's own text, whatever variables made of it.

use std::ops::{Deref, Range};
use std::sync::Arc;

use super::super::Place;

/// A piece of a text that many tokens share.
#[derive(Clone)]
pub struct Text {
    whole: Arc<str>,
    start: u32,
    end: u32,
}

/// How a token was quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quote {
    /// Not at all.
    Bare,
    /// `"`
    Double,
    /// A backtick.
    Back,
    /// `<<MARKER`
    Heredoc,
}

/// Through which imports a token came; equal numbers are equal ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Via(pub u32);

/// One word.
#[derive(Debug, Clone)]
pub struct Token {
    /// What it says, without its quotes.
    pub text: Text,
    /// Where it stands; a word inside a variable's value stands where the variable is named.
    pub place: Place,
    /// The line that Caddy counts for it, from 1: after a continued line or a backslash in a comment it isn't the editor's.
    pub line: u32,
    /// Its quotes.
    pub quote: Quote,
    /// The imports that it came through.
    pub via: Via,
    /// The snippet that it stands in: an index into the parser's snippets.
    pub snippet: Option<u32>,
}

impl Text {
    /// A part of a text.
    pub fn part(whole: &Arc<str>, range: Range<usize>) -> Self {
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Text { whole: Arc::clone(whole), start: number(range.start), end: number(range.end) }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.whole.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text::part(&text.into(), 0..text.len())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        let length = text.len();
        Text::part(&text.into(), 0..length)
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl Token {
    /// Whether it opens a block.
    pub fn opens(&self) -> bool {
        self.quote == Quote::Bare && &*self.text == "{"
    }

    /// Whether it closes a block.
    pub fn closes(&self) -> bool {
        self.quote == Quote::Bare && &*self.text == "}"
    }

    /// The same place with another text.
    pub fn saying(&self, text: impl Into<Text>) -> Token {
        Token { text: text.into(), ..self.clone() }
    }

    /// Whether `next` stands on a line of its own behind this one (Caddy 2.11 `isNextOnNewLine`).
    pub fn ends_line_before(&self, next: &Token) -> bool {
        if self.place.file() != next.place.file() || self.via != next.via {
            return true;
        }
        // A heredoc's marker and the line end before its closing marker aren't in its text.
        let breaks = match self.quote {
            Quote::Bare => 0,
            Quote::Double | Quote::Back => lines(&self.text),
            Quote::Heredoc => lines(&self.text) + 2,
        };
        self.line + breaks < next.line
    }

    /// Its text with the quotes that it was written in, for matchers that want them back.
    pub fn raw(&self) -> String {
        match self.quote {
            Quote::Double => format!("\"{}\"", &*self.text),
            Quote::Back => format!("`{}`", &*self.text),
            Quote::Bare | Quote::Heredoc => self.text.to_string(),
        }
    }
}

/// The line ends in a text.
fn lines(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX)
}

impl Eq for Text {}

impl std::hash::Hash for Text {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl std::borrow::Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}
