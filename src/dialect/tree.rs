//! The lossless tree that nginx configs and Caddyfiles share: tokens that tile a file, and nodes over them.
//!
//! In: bytes, cut into tokens by the dialect's own lexer. Out: a [`Tree`]. Invariant: the tokens' spans tile the file without gaps;
//! nothing here recurses, neither in building nor in dropping.

use crate::source::Span;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Blanks and line ends, or a continued line.
    Blank,
    /// A comment, without its line end.
    Comment,
    /// A bare word.
    Word,
    /// A word in quotes, quotes included.
    Quoted,
    /// A block whose content isn't tokens (`content_by_lua_block`), or a heredoc.
    Raw,
    /// `{` that opens a block.
    Open,
    /// `}` that closes a block.
    Close,
    /// `;`
    End,
}

/// A token: `start..end` in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// Index of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// A directive: some words, and perhaps a block.
#[derive(Debug, Clone)]
pub struct Node {
    /// The node that it stands in.
    pub parent: Option<NodeId>,
    /// Its words, as indices into [`Tree::words`].
    pub words: std::ops::Range<u32>,
    /// From its first word to its `;`, closing brace or line end: token indices.
    pub tokens: std::ops::Range<u32>,
    /// Whether it has a block.
    pub block: bool,
    /// One past the last node inside it: its descendants are the nodes between itself and this.
    pub end: u32,
}

/// A file's tokens and nodes.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// They tile the file.
    pub tokens: Vec<Token>,
    /// The tokens that are words, in order: indices into `tokens`.
    pub words: Vec<u32>,
    /// In the order of their first words.
    pub nodes: Vec<Node>,
}

impl Token {
    /// Its place.
    pub fn span(self) -> Span {
        Span { start: self.start as usize, end: self.end as usize }
    }
}
