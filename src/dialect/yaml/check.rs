//! Aliases that run in circles or grow beyond bounds.
//!
//! In: a document. Out: the same, or an empty one and an error at the alias. Invariant: linear in the document.

use super::super::document::{Document, Kind, NodeId};
use crate::diag::{Diagnostic, Severity, Sink};
use crate::source::SourceFile;

/// A document may grow to so many nodes when its aliases are followed, or to [`MOST_GROWTH`] times its own: Go's yaml.v3 stops
/// somewhat earlier ("document contains excessive aliasing").
const ALWAYS_FINE: u64 = 400_000;

/// See [`ALWAYS_FINE`].
const MOST_GROWTH: u64 = 10;

/// A node while it is being measured.
#[derive(Clone, Copy, PartialEq)]
enum Size {
    Unknown,
    Open,
    Nodes(u64),
}

/// Empties a document that can't be walked to an end, and says why.
pub(super) fn aliases(document: &mut Document, source: &SourceFile, sink: &mut Sink) {
    let is_alias = |kind: &Kind| matches!(kind, Kind::Alias(_));
    if !document.nodes.iter().any(|node| is_alias(&node.kind)) {
        return;
    }
    let Some(root) = document.root else { return };
    let most = ALWAYS_FINE.max(document.nodes.len() as u64 * MOST_GROWTH);
    let problem = match size(document, root) {
        Ok(nodes) if nodes <= most => return,
        Ok(_) => (root, "its aliases make it grow beyond bounds"),
        Err(alias) => (alias, "an anchor holds an alias to itself"),
    };
    let place = document.node(problem.0).map(|node| node.place).unwrap_or_default();
    let message = format!("not valid YAML: {}", problem.1);
    sink.push(Diagnostic::new(Severity::Error, message).at(source, place.span(), ""));
    *document = Document { comments: std::mem::take(&mut document.comments), ..Document::default() };
}

/// How many nodes there are below one when aliases are followed. Errors: an alias that leads into a circle.
fn size(document: &Document, root: NodeId) -> Result<u64, NodeId> {
    let mut sizes = vec![Size::Unknown; document.nodes.len()];
    let mut stack = vec![root];
    while let Some(&id) = stack.last() {
        let at = id.0 as usize;
        match sizes[at] {
            Size::Nodes(_) => {
                stack.pop();
            }
            Size::Unknown => {
                sizes[at] = Size::Open;
                for child in children(document, id) {
                    match sizes[child.0 as usize] {
                        Size::Unknown => stack.push(child),
                        Size::Open => return Err(id),
                        Size::Nodes(_) => {}
                    }
                }
            }
            Size::Open => {
                let below = children(document, id).map(|child| match sizes[child.0 as usize] {
                    Size::Nodes(nodes) => nodes,
                    Size::Unknown | Size::Open => 0,
                });
                sizes[at] = Size::Nodes(below.fold(1, u64::saturating_add));
                stack.pop();
            }
        }
    }
    match sizes[root.0 as usize] {
        Size::Nodes(nodes) => Ok(nodes),
        Size::Unknown | Size::Open => Ok(0),
    }
}

fn children(document: &Document, id: NodeId) -> impl Iterator<Item = NodeId> {
    let (items, entries, alias) = match document.node(id).map(|node| &node.kind) {
        Some(Kind::List(items)) => (&**items, [].as_slice(), None),
        Some(Kind::Map(entries)) => ([].as_slice(), &**entries, None),
        Some(Kind::Alias(target)) => ([].as_slice(), [].as_slice(), Some(*target)),
        Some(Kind::Null | Kind::Scalar(..)) | None => ([].as_slice(), [].as_slice(), None),
    };
    let merged = document.merges.get(&id).map_or([].as_slice(), Vec::as_slice);
    items.iter().copied().chain(entries.iter().map(|entry| entry.value)).chain(alias).chain(merged.iter().copied())
}
