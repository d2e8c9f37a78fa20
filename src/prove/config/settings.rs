//! Settings of Traefik as a document, under the names that Traefik's own structs have.
//!
//! In: a document in any letters, or settings that were flags or variables. Out: a document that can be changed by key. Invariant: only
//! names change, and each value keeps its place.

use crate::dialect::Place;
use crate::dialect::document::{Document, Entry, Kind as What, NodeId, Style};
use crate::dialect::traefik::dynamic::switched_off;
use crate::dialect::traefik::fields::{Field, Kind};
use crate::dialect::traefik::node::Node;

/// Gives the keys of a document their own letters: Traefik reads them in any.
pub fn canonical(document: &mut Document, known: &Field) {
    let mut open: Vec<(NodeId, &Field, Kind)> =
        document.root.map(|root| (root, known, Kind::Group)).into_iter().collect();
    let mut left = document.nodes.len().saturating_mul(4);
    while let Some((id, field, kind)) = open.pop() {
        left = left.saturating_sub(1);
        let Some(node) = document.target(id).filter(|_| left > 0).and_then(|id| document.node_mut(id)) else {
            continue;
        };
        match (&mut node.kind, kind) {
            (What::Map(entries), Kind::Group) => {
                for entry in entries {
                    if let Some(inner) = field.get(&entry.key, false) {
                        entry.key = inner.name.into();
                        open.push((entry.value, inner, inner.kind));
                    }
                }
            }
            (What::Map(entries), Kind::Named) => {
                open.extend(entries.iter().map(|entry| (entry.value, field, Kind::Group)))
            }
            (What::List(items), Kind::Groups) => open.extend(items.iter().map(|item| (*item, field, Kind::Group))),
            _ => {}
        }
    }
}

/// Settings as a document.
pub fn document(top: &Node, known: &Field) -> Document {
    let mut document = Document::default();
    let root = group(&mut document, top, known);
    document.root = Some(root);
    document
}

fn group(document: &mut Document, node: &Node, field: &Field) -> NodeId {
    let mut entries = Vec::new();
    for child in &node.children {
        let Some(inner) = field.get(&child.name, false) else { continue };
        if let Some(value) = value(document, child, inner) {
            entries.push(Entry { key: inner.name.into(), key_place: child.place, value });
        }
    }
    document.add(node.place, What::Map(entries.into()))
}

fn value(document: &mut Document, node: &Node, field: &Field) -> Option<NodeId> {
    let scalar = |document: &mut Document, text: &str, place: Place| {
        document.add(place, What::Scalar(text.into(), Style::Quoted))
    };
    let kind = match field.kind {
        Kind::Group if switched_off(node) => return None,
        Kind::Group => return Some(group(document, node, field)),
        Kind::Named => {
            let each = node.children.iter().map(|child| Entry {
                key: child.name.clone(),
                key_place: child.place,
                value: group(document, child, field),
            });
            What::Map(each.collect())
        }
        Kind::Groups => What::List(node.children.iter().map(|child| group(document, child, field)).collect()),
        Kind::List => What::List(node.texts().into_iter().map(|(text, place)| scalar(document, text, place)).collect()),
        Kind::Texts | Kind::Any if !node.children.is_empty() => {
            let each = node.children.iter().map(|child| {
                let value = scalar(document, &child.value, child.value_place);
                Entry { key: child.name.clone(), key_place: child.place, value }
            });
            What::Map(each.collect())
        }
        Kind::Text | Kind::Bool | Kind::Int | Kind::Float | Kind::Time | Kind::Texts | Kind::Any => {
            return Some(scalar(document, &node.value, node.value_place));
        }
    };
    Some(document.add(node.place, kind))
}
