//! `!reset` and `!override`: what an overriding file takes away from what was there before.
//!
//! In: a document. Out: the paths of what is taken away. Invariant: as compose-go 2.9.1 (loader/reset.go): both take away; a map's entry
//! that is reset is none in its own file either; nothing is taken out of a list.

use super::super::document::{Document, NodeId, Ref};

/// The tag of what goes.
pub(super) const RESET: &str = "!reset";
/// The tag of what comes instead of what was there.
const OVERRIDE: &str = "!override";

/// The keys that lead to something.
pub(super) type Pattern = Vec<Box<str>>;

/// The paths of everything with such a tag.
pub(super) fn patterns(document: &Document) -> Vec<Pattern> {
    let tagged = |tag: &str| matches!(tag, RESET | OVERRIDE);
    if !document.tags.values().any(|tag| tagged(tag)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut path: Pattern = Vec::new();
    // A node and how long the path is at it; the key that leads to it.
    let mut stack: Vec<(NodeId, usize, Box<str>)> =
        document.root.map(|root| (root, 0, "".into())).into_iter().collect();
    while let Some((id, depth, key)) = stack.pop() {
        path.truncate(depth.saturating_sub(1));
        if depth > 0 {
            path.push(key);
        }
        let node = Ref { document, id };
        if node.tag().is_some_and(tagged) {
            found.push(path.clone());
            continue;
        }
        stack.extend(node.entries().map(|(entry, value)| (value.id, depth + 1, entry.key.clone())));
        stack.extend(node.items().enumerate().map(|(at, item)| (item.id, depth + 1, at.to_string().into())));
    }
    found
}
