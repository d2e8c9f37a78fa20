//! A tree of maps, lists and scalars with places: what YAML, TOML and JSON files, environment variables, labels and adapted Caddyfiles
//! have in common.
//!
//! In: a reader of one of these. Out: a [`Document`]. Invariant: an alias is a reference and never a copy, so that a document is as large as
//! its text; every node and key knows its place. A document that a reader gives out is finite also when its aliases are followed, and
//! walking it so costs no more than [`super::yaml`] allows.

mod walk;

use std::collections::BTreeMap;

use super::Place;
pub use walk::{Entries, unknown_keys};

/// Index of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// A tree in an arena.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// All nodes.
    pub nodes: Vec<Node>,
    /// Their tags, such as `!override` or `!!str`: few have one.
    pub tags: BTreeMap<NodeId, Box<str>>,
    /// The top; absent: an empty file.
    pub root: Option<NodeId>,
    /// The maps that YAML's `<<` merges into a map, in the order in which they are asked: [`Ref::get`] and [`Ref::entries`] do.
    pub merges: BTreeMap<NodeId, Vec<NodeId>>,
    /// The comments in their order, from `#` to the end of the line.
    pub comments: Vec<Place>,
}

/// A node.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Nothing, as YAML's empty value and JSON's `null`.
    Null,
    /// A scalar's text and how it was written: what it means is its reader's matter.
    Scalar(Box<str>, Style),
    /// A list.
    List(Box<[NodeId]>),
    /// A map, in its own order; a repeated key stands twice. Merged maps stand in [`Document::merges`].
    Map(Box<[Entry]>),
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
        self.nodes.push(Node { place, kind });
        NodeId(u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX))
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    /// The tag of a node.
    pub fn tag(&self, id: NodeId) -> Option<&str> {
        self.tags.get(&id).map(|tag| &**tag)
    }

    /// A node, to be changed.
    pub fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(id.0 as usize)
    }

    /// The top.
    pub fn root(&self) -> Option<Ref<'_>> {
        self.root.map(|id| Ref { document: self, id })
    }

    /// The node behind a row of aliases.
    pub fn target(&self, mut id: NodeId) -> Option<NodeId> {
        for _ in 0..MOST_ALIASES {
            match self.node(id)?.kind {
                Kind::Alias(next) => id = next,
                _ => return Some(id),
            }
        }
        None
    }
}

impl<'d> Ref<'d> {
    /// Another node of the same document.
    fn at(self, id: NodeId) -> Ref<'d> {
        Ref { id, ..self }
    }

    /// The node itself, aliases followed.
    pub fn node(self) -> Option<&'d Node> {
        self.document.node(self.document.target(self.id)?)
    }

    /// Where it stands; of an alias, the alias.
    pub fn place(self) -> Place {
        self.document.node(self.id).map(|node| node.place).unwrap_or_default()
    }

    /// Its tag, aliases followed.
    pub fn tag(self) -> Option<&'d str> {
        self.document.tag(self.document.target(self.id)?)
    }

    /// The text of a scalar.
    pub fn text(self) -> Option<&'d str> {
        match &self.node()?.kind {
            Kind::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    /// Whether nothing stands there.
    pub fn is_null(self) -> bool {
        matches!(self.node().map(|node| &node.kind), Some(Kind::Null))
    }

    /// Whether it is a list.
    pub fn is_list(self) -> bool {
        matches!(self.node().map(|node| &node.kind), Some(Kind::List(_)))
    }

    /// Whether it is a map.
    pub fn is_map(self) -> bool {
        matches!(self.node().map(|node| &node.kind), Some(Kind::Map(_)))
    }

    /// What it is, in words for a message.
    pub fn kind_name(self) -> &'static str {
        match self.node().map(|node| &node.kind) {
            Some(Kind::Scalar(..)) => "a value",
            Some(Kind::List(_)) => "a list",
            Some(Kind::Map(_)) => "a map",
            Some(Kind::Null | Kind::Alias(_)) | None => "nothing",
        }
    }

    /// The items of a list; empty for anything else.
    pub fn items(self) -> impl Iterator<Item = Ref<'d>> {
        let items = match self.node().map(|node| &node.kind) {
            Some(Kind::List(items)) => items,
            _ => [].as_slice(),
        };
        items.iter().map(move |&id| self.at(id))
    }

    /// The items of a list, or the thing itself where it isn't one; nothing for nothing.
    pub fn one_or_more(self) -> impl Iterator<Item = Ref<'d>> {
        let one = (!self.is_list() && !self.is_null()).then_some(self);
        one.into_iter().chain(self.items())
    }

    /// The entries of a map, its own first, then those that it merges and doesn't have; empty for anything else.
    pub fn entries(self) -> Entries<'d> {
        Entries::new(self)
    }

    /// The value of a key, exactly spelled.
    pub fn get(self, key: &str) -> Option<Ref<'d>> {
        if !self.document.merges.is_empty() {
            return self.entries().find(|(entry, _)| &*entry.key == key).map(|(_, value)| value);
        }
        let Kind::Map(entries) = &self.node()?.kind else { return None };
        entries.iter().find(|entry| &*entry.key == key).map(|entry| self.at(entry.value))
    }

    /// The value at the end of a row of keys.
    pub fn path(self, keys: &[&str]) -> Option<Ref<'d>> {
        keys.iter().try_fold(self, |at, key| at.get(key))
    }
}
