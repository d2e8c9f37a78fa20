//! A tree of maps, lists and scalars with places: what YAML, TOML and JSON files, environment variables, labels and adapted Caddyfiles
//! have in common.
//!
//! In: a reader of one of these. Out: a [`Document`]. Invariant: an alias is a reference and never a copy, so that a document is as large as
//! its text; every node and key knows its place.

use super::Place;

/// Index of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// A tree in an arena.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// All nodes.
    pub nodes: Vec<Node>,
    /// The top; absent: an empty file.
    pub root: Option<NodeId>,
}

/// A node.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
    /// Its tag, such as `!override`.
    pub tag: Option<Box<str>>,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Nothing, as YAML's empty value and JSON's `null`.
    Null,
    /// A scalar's text and how it was written: what it means is its reader's matter.
    Scalar(Box<str>, Style),
    /// A list.
    List(Vec<NodeId>),
    /// A map, in its own order; a repeated key stands twice.
    Map(Vec<Entry>),
    /// Another node again.
    Alias(NodeId),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: Box<str>,
    /// Where the key stands.
    pub key_place: Place,
    /// The value.
    pub value: NodeId,
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Bare: `true`, `12`, `text`.
    Plain,
    /// In quotes, or as a block: always text.
    Quoted,
}

/// A node with its document.
#[derive(Debug, Clone, Copy)]
pub struct Ref<'d> {
    /// The document.
    pub document: &'d Document,
    /// The node.
    pub id: NodeId,
}

/// How many aliases in a row are followed.
const MOST_ALIASES: usize = 32;

impl Document {
    /// Adds a node.
    pub fn add(&mut self, place: Place, kind: Kind) -> NodeId {
        self.nodes.push(Node { place, kind, tag: None });
        NodeId(u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX))
    }

    /// The top.
    pub fn root(&self) -> Option<Ref<'_>> {
        self.root.map(|id| Ref { document: self, id })
    }
}

impl<'d> Ref<'d> {
    /// The node itself, aliases followed.
    pub fn node(self) -> Option<&'d Node> {
        let mut id = self.id;
        for _ in 0..MOST_ALIASES {
            let node = self.document.nodes.get(id.0 as usize)?;
            match node.kind {
                Kind::Alias(next) => id = next,
                _ => return Some(node),
            }
        }
        None
    }

    /// Where it stands.
    pub fn place(self) -> Place {
        self.document.nodes.get(self.id.0 as usize).map(|node| node.place).unwrap_or_default()
    }

    /// The text of a scalar.
    pub fn text(self) -> Option<&'d str> {
        match &self.node()?.kind {
            Kind::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    /// The items of a list; empty for anything else.
    pub fn items(self) -> impl Iterator<Item = Ref<'d>> {
        let items = match self.node().map(|node| &node.kind) {
            Some(Kind::List(items)) => items.as_slice(),
            _ => &[],
        };
        items.iter().map(move |&id| Ref { document: self.document, id })
    }

    /// The entries of a map in their order; empty for anything else.
    pub fn entries(self) -> impl Iterator<Item = (&'d Entry, Ref<'d>)> {
        let entries = match self.node().map(|node| &node.kind) {
            Some(Kind::Map(entries)) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(move |entry| (entry, Ref { document: self.document, id: entry.value }))
    }

    /// The value of a key, exactly spelled.
    pub fn get(self, key: &str) -> Option<Ref<'d>> {
        self.entries().find(|(entry, _)| &*entry.key == key).map(|(_, value)| value)
    }
}
