//! Directives in blocks, as nginx and Caddy write them: where a new one goes, and what goes with one that is taken away.
//!
//! In: a text and its tree. Out: [`Change`]s. Invariant: a new directive is indented as its neighbours are; a comment behind a directive stays
//! behind it.

use super::Change;
use crate::dialect::tree::{Node, NodeId, Token, TokenKind, Tree};
use crate::source::Span;

/// How a file is indented where nothing shows it.
const UNIT: &str = "    ";

/// The directives of a file.
#[derive(Debug)]
pub(super) struct Lines<'t> {
    pub(super) text: &'t str,
    tree: Tree,
    /// Whether a directive may share its line with others.
    inline: bool,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str, tree: Tree, inline: bool) -> Lines<'t> {
        Lines { text, tree, inline }
    }

    /// The innermost directive around a byte.
    pub(super) fn at(&self, at: usize) -> Option<NodeId> {
        // Directives stand in the order of their first words: the last one that begins before it, or what that stands in.
        let begun = self.tree.nodes.partition_point(|node| self.starts(node) <= at);
        let mut around = begun.checked_sub(1).and_then(|last| Some(NodeId(u32::try_from(last).ok()?)));
        while around.is_some_and(|id| self.span(id).end <= at) {
            around = around.and_then(|id| self.parent(id));
        }
        around
    }

    pub(super) fn all(&self) -> impl Iterator<Item = NodeId> {
        (0..self.tree.nodes.len()).filter_map(|index| Some(NodeId(u32::try_from(index).ok()?)))
    }

    fn starts(&self, node: &Node) -> usize {
        self.tree.tokens.get(node.tokens.start as usize).map_or(0, |token| token.start as usize)
    }

    /// From its first word to its end.
    pub(super) fn span(&self, id: NodeId) -> Span {
        let Some(node) = self.tree.nodes.get(id.0 as usize) else { return Span::default() };
        let last = node.tokens.end.checked_sub(1).and_then(|last| self.tree.tokens.get(last as usize));
        Span { start: self.starts(node), end: last.map_or(0, |token| token.end as usize) }
    }

    /// The places of its words.
    pub(super) fn words(&self, id: NodeId) -> Vec<Span> {
        let Some(node) = self.tree.nodes.get(id.0 as usize) else { return Vec::new() };
        let words = node.words.clone().filter_map(|word| self.tree.words.get(word as usize));
        words.filter_map(|token| self.tree.tokens.get(*token as usize)).map(|token| token.span()).collect()
    }

    /// A word as written.
    pub(super) fn word(&self, id: NodeId, index: usize) -> &'t str {
        let word = || {
            let words = self.tree.words.get(range(&self.tree.nodes.get(id.0 as usize)?.words))?;
            self.tree.tokens.get(*words.get(index)? as usize).map(|token| token.span())
        };
        word().map_or("", |span| &self.text[span.start..span.end])
    }

    pub(super) fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.tree.nodes.get(id.0 as usize)?.parent
    }

    pub(super) fn is_block(&self, id: NodeId) -> bool {
        self.tree.nodes.get(id.0 as usize).is_some_and(|node| node.block)
    }

    /// The directives that stand directly in a block; absent: those outside of every block.
    pub(super) fn children(&self, parent: Option<NodeId>) -> Vec<NodeId> {
        let last = u32::try_from(self.tree.nodes.len()).unwrap_or(u32::MAX);
        let end = |id: u32| self.tree.nodes.get(id as usize).map_or(last, |node| node.end);
        let (first, behind) = parent.map_or((0, last), |block| (block.0 + 1, end(block.0)));
        let next = |id: &u32| Some(end(*id)).filter(|next| *next < behind);
        std::iter::successors(Some(first).filter(|first| *first < behind), next).map(NodeId).collect()
    }

    /// The words behind the name become these.
    pub(super) fn set_args(&self, id: NodeId, from: usize, value: &str) -> Option<Change> {
        let words = self.words(id);
        let (first, last) = (words.get(from)?, words.last()?);
        Some(Change { span: Span { start: first.start, end: last.end }, text: value.to_owned() })
    }

    /// A directive goes, with its line where it has one for itself.
    pub(super) fn remove(&self, id: NodeId) -> Change {
        let span = self.span(id);
        let (from, to) = (self.line_start(span.start), self.line_end(span.end));
        let alone = self.text[from..span.start].trim().is_empty() && self.text[span.end..to].trim_start().is_empty();
        let end = self.text[to..].find('\n').map_or(self.text.len(), |at| to + at + 1);
        let before = self.text[..span.start].trim_end_matches([' ', '\t']).len();
        let span = if alone { Span { start: from, end } } else { Span { start: before, end: span.end } };
        Change { span, text: String::new() }
    }

    /// New lines in a block, or outside of every one: behind `near` where that stands directly in it, else behind what the block begins with.
    /// Each has its depth. `None`: there is nowhere to put them.
    pub(super) fn insert(
        &self,
        block: Option<NodeId>,
        near: Option<NodeId>,
        lines: &[(usize, String)],
    ) -> Option<Change> {
        let children = self.children(block);
        let direct = near.filter(|near| children.contains(near) && !self.is_block(*near));
        // What a block begins with, `listen` and the like, stays in front.
        let leading = || children.iter().copied().take_while(|child| !self.is_block(*child)).last();
        match (direct.or_else(leading), block) {
            (Some(neighbour), _) => self.behind(neighbour, lines),
            (None, Some(block)) => self.first_in(block, lines),
            (None, None) => self.behind(near?, lines),
        }
    }

    fn behind(&self, neighbour: NodeId, lines: &[(usize, String)]) -> Option<Change> {
        let span = self.span(neighbour);
        let alone = self.text[self.line_start(span.start)..span.start].trim().is_empty();
        match self.rest_of_line(span.end) {
            Some(end) if alone => Some(self.as_lines(end, self.indent(span.start), lines)),
            _ => self.in_line(span.end, lines),
        }
    }

    fn in_line(&self, at: usize, lines: &[(usize, String)]) -> Option<Change> {
        self.inline.then(|| Change { span: Span { start: at, end: at }, text: one_line(lines) })
    }

    /// Directly behind the brace that opens a block.
    fn first_in(&self, block: NodeId, lines: &[(usize, String)]) -> Option<Change> {
        let open = self.open_brace(block)?.end as usize;
        let indent = self.indent(self.span(block).start);
        match self.rest_of_line(open) {
            Some(end) => {
                let inner = self.children(Some(block)).first().map(|child| self.indent(self.span(*child).start));
                let inner = inner.unwrap_or_else(|| format!("{indent}{}", self.unit()));
                Some(self.as_lines(end, inner, lines))
            }
            None => self.in_line(open, lines),
        }
    }

    /// A directive without a block gets one that holds these lines.
    pub(super) fn open_block(&self, id: NodeId, lines: &[(usize, String)]) -> Option<Change> {
        let end = self.words(id).last()?.end;
        let indent = self.indent(self.span(id).start);
        let inner = format!("{indent}{}", self.unit());
        let body = self.as_lines(end, inner, lines).text;
        Some(Change { span: Span { start: end, end }, text: format!(" {{{body}{}{indent}}}", self.line_break()) })
    }

    /// Lines at the end of a line.
    fn as_lines(&self, at: usize, indent: String, lines: &[(usize, String)]) -> Change {
        let mut text = String::new();
        for (depth, line) in lines {
            text.push_str(self.line_break());
            text.push_str(&indent);
            text.push_str(&self.unit().repeat(*depth));
            text.push_str(line);
        }
        Change { span: Span { start: at, end: at }, text }
    }

    /// Where a line ends behind `at`, if nothing but a comment follows there.
    fn rest_of_line(&self, at: usize) -> Option<usize> {
        let next = self.tree.tokens.partition_point(|token| (token.start as usize) < at);
        for token in self.tree.tokens.iter().skip(next) {
            match token.kind {
                TokenKind::Comment => return Some(token.end as usize),
                TokenKind::Blank => match self.text[token.start as usize..token.end as usize].find('\n') {
                    Some(found) => {
                        let end = token.start as usize + found;
                        return Some(end - usize::from(self.text[..end].ends_with('\r')));
                    }
                    None => continue,
                },
                _ => return None,
            }
        }
        Some(self.text.len())
    }

    fn open_brace(&self, block: NodeId) -> Option<Token> {
        let node = self.tree.nodes.get(block.0 as usize)?;
        let tokens = self.tree.tokens.get(node.tokens.start as usize..node.tokens.end as usize)?;
        tokens.iter().find(|token| token.kind == TokenKind::Open).copied()
    }

    pub(super) fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |at| at + 1)
    }

    /// Where the line's text ends, the line end not counted.
    fn line_end(&self, at: usize) -> usize {
        let end = self.text[at..].find('\n').map_or(self.text.len(), |found| at + found);
        end - usize::from(end > at && self.text[..end].ends_with('\r'))
    }

    /// The blanks that a line begins with.
    fn indent(&self, at: usize) -> String {
        self.text[self.line_start(at)..].chars().take_while(|c| matches!(c, ' ' | '\t')).collect()
    }

    /// How lines end here.
    pub(super) fn line_break(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }

    /// What one level of blocks is indented by.
    pub(super) fn unit(&self) -> String {
        let deeper = self.all().filter_map(|id| {
            let outer = self.indent(self.span(self.parent(id)?).start);
            let inner = self.indent(self.span(id).start);
            inner.strip_prefix(outer.as_str()).filter(|unit| !unit.is_empty()).map(str::to_owned)
        });
        deeper.take(1).next().unwrap_or_else(|| UNIT.to_owned())
    }
}

fn range(words: &std::ops::Range<u32>) -> std::ops::Range<usize> {
    words.start as usize..words.end as usize
}

fn one_line(lines: &[(usize, String)]) -> String {
    lines.iter().map(|(_, line)| format!(" {line}")).collect()
}
