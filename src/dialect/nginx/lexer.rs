//! nginx's own cutting of a file into words, directives and blocks.
//!
//! In: a file's bytes. Out: a [`Tree`] whose tokens tile them, and every [`Fault`] that nginx would refuse the file for. Invariant: never
//! fails, never recurses, goes on after a fault, and is linear in the file.
//!
//! The rules are those of `ngx_conf_read_token` (measured on 1.22.1 and 1.31.3, see `tests/nginx_syntax.rs`): a quote is one only where a
//! word begins; a bare word ends at a blank, `;` or `{`, so `}` and quotes inside it are ordinary; `${` doesn't end it; a backslash takes
//! the next byte with it; behind a closing quote stands a blank, `;`, `{` or `)`.

use crate::source::Span;

use super::super::tree::{Node, NodeId, Token, TokenKind, Tree};

/// The bytes that nginx reads at once: no word may be longer.
const BUFFER: usize = 4096;

/// So many faults of a file are told.
const MOST_FAULTS: usize = 200;

/// What opens a file that some editors write: nginx takes it for a part of the first word.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Directives of the Lua module that hold code in place of directives end with this.
const CODE_BLOCK: &[u8] = b"_by_lua_block";

/// A place that nginx refuses. It begins on the line that nginx names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// Where.
    pub span: Span,
}

/// What nginx refuses about the form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// `;` or `{` without a word before it.
    Unexpected(u8),
    /// `}` that closes no block of this file.
    UnexpectedClose,
    /// `}` behind words that no `;` ends; where they begin.
    MissingEnd(usize),
    /// Something glued to a closing quote.
    Glued(u8),
    /// The file ends inside a directive, which begins there.
    EndInDirective(usize),
    /// The file ends inside a word in quotes, which begins there.
    EndInQuotes(usize),
    /// The file ends inside a block, which begins there.
    EndInBlock(usize),
    /// A word longer than nginx's buffer; the quote that it began with, or 0.
    TooLong(u8),
    /// The file begins with a byte-order mark.
    ByteOrderMark,
}

/// Cuts a file.
pub fn parse(bytes: &[u8]) -> (Tree, Vec<Fault>) {
    let mut lexer = Lexer { bytes, at: 0, tree: Tree::default(), faults: Vec::new(), open: Vec::new(), first: None };
    // What isn't used of these is never touched.
    lexer.tree.tokens.reserve(bytes.len() / 4);
    lexer.tree.words.reserve(bytes.len() / 8);
    lexer.tree.nodes.reserve(bytes.len() / 16);
    lexer.run();
    (lexer.tree, lexer.faults)
}

/// What is known while a file is cut.
struct Lexer<'b> {
    bytes: &'b [u8],
    at: usize,
    tree: Tree,
    faults: Vec<Fault>,
    /// The blocks that are open.
    open: Vec<NodeId>,
    /// The first word of the directive that is read, as an index into the tree's words.
    first: Option<usize>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        if self.bytes.starts_with(BYTE_ORDER_MARK) {
            self.fault(FaultKind::ByteOrderMark, 0..BYTE_ORDER_MARK.len());
            self.token(TokenKind::Blank, BYTE_ORDER_MARK.len());
        }
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.token(TokenKind::Blank, self.skip_while(is_blank)),
                b'#' => self.comment(),
                b';' => self.end(),
                b'{' => self.open(),
                b'}' => self.close(),
                b'"' | b'\'' => self.quoted(byte),
                _ => self.word(),
            }
        }
        let end = self.bytes.len();
        if self.first.is_some() {
            let kind =
                self.open_quote().map_or(FaultKind::EndInDirective(self.directive_start()), FaultKind::EndInQuotes);
            self.fault(kind, end..end);
            self.finish(false);
        }
        if let Some(&block) = self.open.last() {
            self.fault(FaultKind::EndInBlock(self.start_of(block)), end..end);
        }
        while let Some(block) = self.open.pop() {
            self.close_node(block);
        }
    }

    /// The end of the bytes from here on that are like this.
    fn skip_while(&self, like: impl Fn(u8) -> bool) -> usize {
        self.bytes[self.at..].iter().position(|byte| !like(*byte)).map_or(self.bytes.len(), |count| self.at + count)
    }

    fn fault(&mut self, kind: FaultKind, range: std::ops::Range<usize>) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(Fault { kind, span: Span::new(range) });
        }
    }

    /// A token from here to `end`.
    fn token(&mut self, kind: TokenKind, end: usize) {
        // A config has at most 64 MiB, so a place in it fits.
        self.tree.tokens.push(Token { kind, start: self.at as u32, end: end as u32 });
        self.at = end;
    }

    /// A token that is a word of a directive.
    fn word_token(&mut self, kind: TokenKind, end: usize) {
        self.first.get_or_insert(self.tree.words.len());
        self.tree.words.push(self.tree.tokens.len() as u32);
        self.token(kind, end);
    }

    fn comment(&mut self) {
        let end = self.bytes[self.at..].iter().position(|byte| *byte == b'\n');
        let end = end.map_or(self.bytes.len(), |count| self.at + count);
        self.check_length(self.at, end, 0, false);
        let text_end = if self.bytes[..end].ends_with(b"\r") { end - 1 } else { end };
        self.token(TokenKind::Comment, text_end);
    }

    fn word(&mut self) {
        let start = self.at;
        let mut at = start;
        let mut variable = false;
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b'{' if variable => {}
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' => break,
                b'\\' => {
                    variable = false;
                    at += 1;
                }
                b'$' => variable = true,
                _ => variable = false,
            }
            at += 1;
        }
        let end = at.min(self.bytes.len());
        let ends_directive = matches!(self.bytes.get(end), Some(b';' | b'{'));
        self.check_length(start, end, 0, !ends_directive);
        self.word_token(TokenKind::Word, end);
    }

    fn quoted(&mut self, quote: u8) {
        let start = self.at;
        let mut at = start + 1;
        let mut closed = false;
        while let Some(&byte) = self.bytes.get(at) {
            at += 1;
            match byte {
                b'\\' => at += 1,
                _ if byte == quote => {
                    closed = true;
                    break;
                }
                _ => {}
            }
        }
        let end = at.min(self.bytes.len());
        let next = self.bytes.get(end).copied();
        self.check_length(start + 1, if closed { end } else { end + 1 }, quote, next.is_some_and(is_blank));
        self.word_token(TokenKind::Quoted, end);
        match next {
            Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')') | None => {}
            Some(byte) => self.fault(FaultKind::Glued(byte), end..end + 1),
        }
    }

    /// A word or comment may not fill the buffer: its first byte (behind the quote), the one behind its last, and whether the blank that
    /// ends it is still kept with it.
    fn check_length(&mut self, start: usize, end: usize, quote: u8, blank: bool) {
        if end - start + usize::from(blank) >= BUFFER && start + BUFFER < self.bytes.len() {
            let open = if end - start > BUFFER { quote } else { 0 };
            self.fault(FaultKind::TooLong(open), start..start);
        }
    }

    fn end(&mut self) {
        if self.first.is_none() {
            self.fault(FaultKind::Unexpected(b';'), self.at..self.at + 1);
            return self.token(TokenKind::End, self.at + 1);
        }
        self.token(TokenKind::End, self.at + 1);
        self.finish(false);
    }

    fn open(&mut self) {
        if self.first.is_none() {
            self.fault(FaultKind::Unexpected(b'{'), self.at..self.at + 1);
        }
        let code = self.first.is_some_and(|first| self.word_ends_with(first, CODE_BLOCK));
        self.token(TokenKind::Open, self.at + 1);
        if code {
            self.word_token(TokenKind::Raw, super::lua::code_end(self.bytes, self.at));
        }
        self.finish(true);
    }

    fn close(&mut self) {
        if self.first.is_some() {
            self.fault(FaultKind::MissingEnd(self.directive_start()), self.at..self.at + 1);
            self.finish(false);
        }
        let block = self.open.pop();
        if block.is_none() {
            self.fault(FaultKind::UnexpectedClose, self.at..self.at + 1);
        }
        self.token(TokenKind::Close, self.at + 1);
        if let Some(block) = block {
            self.close_node(block);
        }
    }

    /// The words since the last directive become one; with a block, what follows stands in it.
    fn finish(&mut self, block: bool) {
        let words_end = self.tree.words.len();
        let words_start = self.first.take().unwrap_or(words_end);
        let tokens_end = self.tree.tokens.len() as u32;
        let tokens_start = self.tree.words.get(words_start).copied().unwrap_or(tokens_end - 1);
        let id = NodeId(self.tree.nodes.len() as u32);
        self.tree.nodes.push(Node {
            parent: self.open.last().copied(),
            words: words_start as u32..words_end as u32,
            tokens: tokens_start..tokens_end,
            block,
            end: id.0 + 1,
        });
        if block {
            self.open.push(id);
        }
    }

    fn close_node(&mut self, id: NodeId) {
        let (end, tokens) = (self.tree.nodes.len() as u32, self.tree.tokens.len() as u32);
        if let Some(node) = self.tree.nodes.get_mut(id.0 as usize) {
            node.end = end;
            node.tokens.end = tokens;
        }
    }

    /// The token of a word.
    fn word_span(&self, word: usize) -> Option<Token> {
        self.tree.tokens.get(*self.tree.words.get(word)? as usize).copied()
    }

    fn word_ends_with(&self, word: usize, suffix: &[u8]) -> bool {
        self.word_span(word).is_some_and(|token| self.bytes[token.span().start..token.span().end].ends_with(suffix))
    }

    /// Where the directive that is read begins.
    fn directive_start(&self) -> usize {
        self.first.and_then(|first| self.word_span(first)).map_or(self.at, |token| token.start as usize)
    }

    fn start_of(&self, node: NodeId) -> usize {
        let node = self.tree.nodes.get(node.0 as usize);
        let token = node.and_then(|node| self.tree.tokens.get(node.tokens.start as usize));
        token.map_or(self.at, |token| token.start as usize)
    }

    /// The place of the quote that the last word opens and doesn't close.
    fn open_quote(&self) -> Option<usize> {
        let last = self.word_span(self.tree.words.len().checked_sub(1)?)?;
        let text = &self.bytes[last.start as usize..last.end as usize];
        (last.kind == TokenKind::Quoted && !is_closed(text)).then_some(last.start as usize)
    }
}

/// Whether a quoted word has both its quotes.
pub fn is_closed(text: &[u8]) -> bool {
    let Some((quote, rest)) = text.split_first() else { return false };
    let Some((last, inner)) = rest.split_last() else { return false };
    let backslashes = inner.iter().rev().take_while(|byte| **byte == b'\\').count();
    last == quote && backslashes % 2 == 0
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}
