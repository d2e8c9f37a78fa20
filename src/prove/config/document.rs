//! Changes to a document of maps, lists and scalars, and its text as JSON, which YAML readers read too.
//!
//! In: a [`Document`] as a dialect read it. Out: the same with other values in some nodes. Invariant: what isn't changed keeps its place,
//! so that the evaluator still speaks of the user's own files.

use crate::dialect::Place;
use crate::dialect::document::{Document, Entry, Kind, NodeId, Ref, Style};

/// Deeper documents aren't written.
const MOST_DEPTH: usize = 200;

/// The value of a key.
pub fn get(document: &Document, map: NodeId, key: &str) -> Option<NodeId> {
    Ref { document, id: map }.get(key).map(|found| found.id)
}

/// The value behind some keys.
pub fn path(document: &Document, keys: &[&str]) -> Option<NodeId> {
    document.root()?.path(keys).map(|found| found.id)
}

/// The text of a scalar.
pub fn text(document: &Document, id: NodeId) -> Option<String> {
    Ref { document, id }.text().map(str::to_owned)
}

/// Keys and values of a map.
pub fn entries(document: &Document, id: NodeId) -> Vec<(String, NodeId)> {
    Ref { document, id }.entries().map(|(entry, value)| (entry.key.to_string(), value.id)).collect()
}

/// The items of a list.
pub fn items(document: &Document, id: NodeId) -> Vec<NodeId> {
    Ref { document, id }.items().map(|item| item.id).collect()
}

/// Every map, wherever it stands.
pub fn maps(document: &Document) -> Vec<NodeId> {
    let all = document.nodes.iter().enumerate();
    all.filter(|(_, node)| matches!(node.kind, Kind::Map(_)))
        .filter_map(|(at, _)| u32::try_from(at).ok())
        .map(NodeId)
        .collect()
}

/// A scalar becomes this text.
pub fn set(document: &mut Document, id: NodeId, value: impl Into<String>) {
    let id = document.target(id).unwrap_or(id);
    if let Some(node) = document.node_mut(id) {
        node.kind = Kind::Scalar(value.into().into(), Style::Quoted);
    }
}

/// A new node of texts.
pub fn list(document: &mut Document, place: Place, texts: &[String]) -> NodeId {
    let items =
        texts.iter().map(|text| document.add(place, Kind::Scalar(text.as_str().into(), Style::Quoted))).collect();
    document.add(place, Kind::List(items))
}

/// A new map with plain or quoted scalars in it.
pub fn map(document: &mut Document, place: Place, scalars: &[(&str, &str, Style)]) -> NodeId {
    let id = document.add(place, Kind::Map(Box::default()));
    for (key, value, style) in scalars {
        let value = document.add(place, Kind::Scalar((*value).into(), *style));
        put(document, id, key, value);
    }
    id
}

/// A key gets this value, whatever it had.
pub fn put(document: &mut Document, map: NodeId, key: &str, value: NodeId) {
    remove(document, map, &[key]);
    let id = document.target(map).unwrap_or(map);
    if let Some(node) = document.node_mut(id) {
        let key_place = node.place;
        if let Kind::Map(entries) = &mut node.kind {
            let own = std::mem::take(entries).into_iter();
            *entries = own.chain([Entry { key: key.into(), key_place, value }]).collect();
        }
    }
}

/// Some keys go.
pub fn remove(document: &mut Document, map: NodeId, keys: &[&str]) {
    let id = document.target(map).unwrap_or(map);
    if let Some(Kind::Map(entries)) = document.node_mut(id).map(|node| &mut node.kind) {
        let own = std::mem::take(entries).into_iter();
        *entries = own.filter(|entry| !keys.contains(&&*entry.key)).collect();
    }
}

/// The map behind some keys; those that aren't there are made.
pub fn made(document: &mut Document, keys: &[&str]) -> Option<NodeId> {
    let mut at = document.root()?.id;
    for key in keys {
        at = match get(document, at, key) {
            Some(found) if (Ref { document, id: found }).is_map() => found,
            _ => {
                let place = (Ref { document, id: at }).place();
                let made = document.add(place, Kind::Map(Box::default()));
                put(document, at, key, made);
                made
            }
        };
    }
    Some(at)
}

/// The document as JSON; bare words that YAML understands stay bare. Errors: it is too deep.
pub fn json(document: &Document) -> Result<String, String> {
    let mut out = String::new();
    match document.root() {
        Some(root) => write(root, 0, &mut out)?,
        None => out.push_str("{}"),
    }
    out.push('\n');
    Ok(out)
}

fn write(node: Ref<'_>, depth: usize, out: &mut String) -> Result<(), String> {
    if depth > MOST_DEPTH {
        return Err("its documents are too deep".to_owned());
    }
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match node.node().map(|node| &node.kind) {
        Some(Kind::Scalar(text, style)) => {
            let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-' | b'_');
            match style {
                Style::Plain if !text.is_empty() && text.bytes().all(bare) => out.push_str(text),
                _ => out.push_str(&quoted(text)),
            }
        }
        Some(Kind::List(_)) => {
            out.push('[');
            for (at, item) in node.items().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write(item, depth + 1, out)?;
            }
            out.push(']');
        }
        Some(Kind::Map(_)) => {
            out.push('{');
            for (at, (entry, value)) in node.entries().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                out.push_str(&quoted(&entry.key));
                out.push_str(": ");
                write(value, depth + 1, out)?;
            }
            out.push('}');
        }
        Some(Kind::Null | Kind::Alias(_)) | None => out.push_str("null"),
    }
    Ok(())
}
