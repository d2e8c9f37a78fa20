//! A Caddyfile's own text as a lossless tree.
//!
//! In: the text as it stands in the file, variables not replaced. Out: a [`Tree`] whose tokens tile it. Invariant: nothing recurses, and a
//! broken file has a tree too: braces that don't match close or open nothing.

use super::super::tree::{Node, NodeId, Token, TokenKind, Tree};
use super::lexer::Lexer;
use super::token::Quote;

/// The tree of a text. What can't be cut into words is one [`TokenKind::Raw`] up to the end.
pub fn tree(text: &str) -> Tree {
    let mut words = Vec::new();
    let mut lexer = Lexer::new(text);
    let mut broken = None;
    loop {
        match lexer.next_word() {
            Ok(Some(word)) => {
                let kind = match (word.quote, &*word.text) {
                    (Quote::Bare, "{") => TokenKind::Open,
                    (Quote::Bare, "}") => TokenKind::Close,
                    (Quote::Bare, _) => TokenKind::Word,
                    (Quote::Double | Quote::Back, _) => TokenKind::Quoted,
                    (Quote::Heredoc, _) => TokenKind::Raw,
                };
                words.push((kind, word.span, word.line));
            }
            Ok(None) => break,
            Err(refused) => {
                broken = Some(refused.span.start);
                break;
            }
        }
    }
    let mut pieces: Vec<_> = words.into_iter().map(|(kind, span, line)| (kind, span, Some(line))).collect();
    pieces.extend(lexer.comments().into_iter().map(|span| (TokenKind::Comment, span, None)));
    pieces.extend(broken.map(|start| (TokenKind::Raw, start..text.len(), None)));
    pieces.sort_by_key(|(_, span, _)| span.start);
    build(text, &pieces)
}

fn build(text: &str, pieces: &[(TokenKind, std::ops::Range<usize>, Option<u32>)]) -> Tree {
    let mut tree = Tree::default();
    let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let mut open: Vec<usize> = Vec::new();
    // The directive whose line isn't over, and the line that its last word ends on.
    let mut current: Option<(usize, u32)> = None;
    let mut at = 0;
    for (kind, span, line) in pieces {
        if span.start > at {
            tree.tokens.push(Token { kind: TokenKind::Blank, start: number(at), end: number(span.start) });
        }
        let start = span.start.max(at);
        at = span.end.max(at);
        let token = number(tree.tokens.len());
        tree.tokens.push(Token { kind: *kind, start: number(start), end: number(at) });
        let Some(line) = *line else { continue };
        let same = current.filter(|(_, last)| *last >= line).map(|(node, _)| node);
        let ends = line + number(text[span.clone()].bytes().filter(|byte| *byte == b'\n').count());
        if *kind == TokenKind::Close {
            current = None;
            if let Some(node) = open.pop() {
                tree.nodes[node].end = number(tree.nodes.len());
                tree.nodes[node].tokens.end = token + 1;
            }
            continue;
        }
        let node = same.unwrap_or_else(|| {
            let words = number(tree.words.len());
            let parent = open.last().map(|node| NodeId(number(*node)));
            let end = number(tree.nodes.len() + 1);
            tree.nodes.push(Node { parent, words: words..words, tokens: token..token + 1, block: false, end });
            tree.nodes.len() - 1
        });
        tree.nodes[node].tokens.end = token + 1;
        if *kind == TokenKind::Open {
            tree.nodes[node].block = true;
            open.push(node);
            current = None;
        } else {
            tree.words.push(token);
            tree.nodes[node].words.end = number(tree.words.len());
            current = Some((node, ends));
        }
    }
    if text.len() > at {
        tree.tokens.push(Token { kind: TokenKind::Blank, start: number(at), end: number(text.len()) });
    }
    let (nodes, tokens) = (number(tree.nodes.len()), number(tree.tokens.len()));
    for node in open {
        tree.nodes[node].end = nodes;
        tree.nodes[node].tokens.end = tokens;
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_tile_the_file() {
        let texts = [
            "",
            "a",
            ":80 {\n\t# x\n\trespond \"a\nb\" 200\n\thandle {\n\t}\n}\n",
            "a <<E\nx",
            "}\n{ {\n",
            "\u{feff}a\r\n",
        ];
        for text in texts {
            let tree = tree(text);
            let mut at = 0;
            for token in &tree.tokens {
                assert_eq!(token.start, at, "{text:?}");
                at = token.end;
            }
            assert_eq!(at as usize, text.len(), "{text:?}");
        }
        let tree = tree(":80 {\n\trespond \"a\nb\" 200\n\thandle {\n\t}\n}\nb");
        let shape: Vec<_> = tree.nodes.iter().map(|node| (node.words.len(), node.block, node.end)).collect();
        assert_eq!(shape, [(1, true, 3), (3, false, 2), (1, true, 3), (1, false, 4)]);
    }
}
