//! The files of a project → one arena of nodes, variables put in.
//!
//! In: paths. Out: for each YAML document its top node and what it resets; and the problems. Invariant: a node keeps the place in its own
//! file; what is read once more with other variables or for another folder is another file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::super::document::{Document, Entry, Kind, Node, NodeId, Ref, Style};
use super::super::{Place, Variables, yaml};
use super::interpolate::{self, Outcome, Stop};
use super::model::{Text, VariableUse};
use super::reset::{self, Pattern};
use crate::diag::{Diagnostic, Severity, Sink};
use crate::source::{SourceFile, Texts};

/// So many files belong to a project at most: beyond that something includes itself in disguise.
const MOST_FILES: usize = 1000;

/// What has been read so far.
pub(super) struct Loader<'s> {
    pub(super) sink: &'s mut Sink,
    pub(super) files: Vec<SourceFile>,
    /// For each file the folder that relative paths in it start from.
    pub(super) folders: Vec<PathBuf>,
    pub(super) tree: Document,
    /// Nodes whose text hangs on a variable that isn't known.
    pub(super) unknown: HashMap<NodeId, (Box<str>, Box<str>)>,
    pub(super) variables: Vec<VariableUse>,
    /// How many entries merges have made: a short file can ask for very many.
    pub(super) merged: usize,
    /// What files hold that nobody has written yet.
    pub(super) texts: Texts,
    /// What `~` stands for.
    pub(super) home: Option<PathBuf>,
}

/// A document of a file.
pub(super) struct Loaded {
    pub(super) root: NodeId,
    /// What `!reset` and `!override` take away from what was there before.
    pub(super) resets: Vec<Pattern>,
}

impl<'s> Loader<'s> {
    pub(super) fn new(sink: &'s mut Sink) -> Loader<'s> {
        Loader {
            sink,
            files: Vec::new(),
            folders: Vec::new(),
            tree: Document::default(),
            unknown: HashMap::new(),
            variables: Vec::new(),
            merged: 0,
            texts: Texts::default(),
            home: None,
        }
    }

    /// The documents of a file; `asked` is where it is named, if a file names it.
    pub(super) fn file(
        &mut self,
        path: &Path,
        folder: &Path,
        variables: &Variables,
        asked: Option<Place>,
    ) -> Vec<Loaded> {
        let name = path.display().to_string();
        let file = match self.texts.read_config(name.as_str(), path) {
            Ok(file) if self.files.len() < MOST_FILES => file,
            Ok(_) => {
                self.error_at(asked, format!("can't read `{name}`: the project has more than {MOST_FILES} files"));
                return Vec::new();
            }
            Err(reason) => {
                self.error_at(asked, format!("can't read `{name}`: {reason}"));
                return Vec::new();
            }
        };
        self.source(file, folder, variables)
    }

    /// The documents of a text.
    pub(super) fn source(&mut self, file: SourceFile, folder: &Path, variables: &Variables) -> Vec<Loaded> {
        let index = self.files.len();
        let documents = yaml::read_all(index, &file, self.sink);
        self.files.push(file);
        self.folders.push(folder.to_owned());
        documents.into_iter().filter_map(|document| self.document(document, variables)).collect()
    }

    /// Takes a document into the arena.
    fn document(&mut self, document: Document, variables: &Variables) -> Option<Loaded> {
        let resets = reset::patterns(&document);
        let first = u32::try_from(self.tree.nodes.len()).ok()?;
        let root = document.root.map(|id| NodeId(id.0 + first))?;
        self.append(document, first, !resets.is_empty());
        self.interpolate(first as usize, variables);
        if !self.at(root).is_map() {
            let place = self.node(root).map(|node| node.place).unwrap_or_default();
            self.error(place, "the top of a compose file is a map");
            return None;
        }
        Some(Loaded { root, resets })
    }

    /// Appends a document's nodes, without those that are reset.
    fn append(&mut self, document: Document, first: u32, with_resets: bool) {
        let moved = |id: NodeId| NodeId(id.0 + first);
        let tags = document.tags;
        let stays = |id: &NodeId| !with_resets || tags.get(id).is_none_or(|tag| &**tag != reset::RESET);
        for node in document.nodes {
            let kind = match node.kind {
                Kind::List(items) => Kind::List(items.into_iter().filter(stays).map(moved).collect()),
                Kind::Map(entries) => {
                    let entries = entries.into_iter().filter(|entry| stays(&entry.value));
                    Kind::Map(entries.map(|entry| Entry { value: moved(entry.value), ..entry }).collect())
                }
                Kind::Alias(id) => Kind::Alias(moved(id)),
                kind @ (Kind::Null | Kind::Scalar(..)) => kind,
            };
            self.tree.nodes.push(Node { kind, ..node });
        }
        self.tree.tags.extend(tags.into_iter().map(|(id, tag)| (moved(id), tag)));
        let merges = document.merges.into_iter();
        self.tree.merges.extend(merges.map(|(id, maps)| (moved(id), maps.into_iter().map(moved).collect())));
        self.tree.comments.extend(document.comments);
    }

    /// Puts the variables into every value from a node on.
    fn interpolate(&mut self, first: usize, variables: &Variables) {
        for at in first..self.tree.nodes.len() {
            let Some(Node { kind: Kind::Scalar(text, style), place, .. }) = self.tree.nodes.get_mut(at) else {
                continue;
            };
            if !text.contains('$') {
                continue;
            }
            let place = *place;
            match interpolate::interpolate(text, variables) {
                Ok(done) => {
                    let unknown = done.unknown().map(|name| (name.into(), done.marked.as_str().into()));
                    (*text, *style) = (done.text.into(), Style::Quoted);
                    let uses = done.uses.into_iter();
                    self.variables.extend(uses.map(|used| VariableUse {
                        name: used.name,
                        place,
                        outcome: used.outcome,
                    }));
                    if let (Some(unknown), Ok(at)) = (unknown, u32::try_from(at)) {
                        self.unknown.insert(NodeId(at), unknown);
                    }
                }
                Err(stop) => self.refuse(place, stop),
            }
        }
    }

    fn refuse(&mut self, place: Place, stop: Stop) {
        match stop {
            Stop::TooLong => self.error(place, "the variables make this text too long"),
            Stop::Invalid => self.error(place, "a `$` begins no variable here: write `$$` for the sign itself"),
            Stop::Required(name, _) => {
                self.variables.push(VariableUse { name: name.clone(), place, outcome: Outcome::Empty });
                self.error(place, &format!("the variable `{name}` must be set: Compose doesn't start without it"));
            }
        }
    }

    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.tree.node(id)
    }

    pub(super) fn at(&self, id: NodeId) -> Ref<'_> {
        Ref { document: &self.tree, id }
    }

    pub(super) fn place(&self, id: NodeId) -> Place {
        self.at(id).place()
    }

    /// The value of a key.
    pub(super) fn get(&self, map: NodeId, key: &str) -> Option<NodeId> {
        self.at(map).get(key).map(|value| value.id)
    }

    /// The entries of a map, merged ones included.
    pub(super) fn entries(&self, map: NodeId) -> Vec<Entry> {
        self.at(map).entries().map(|(entry, _)| entry.clone()).collect()
    }

    /// A scalar's text; absent: it is none, or nothing.
    pub(super) fn text(&self, id: NodeId) -> Option<Text> {
        let node = self.at(id);
        if node.is_null() {
            return None;
        }
        let target = self.tree.target(id)?;
        let unknown = self.unknown.get(&target).map(|(name, _)| name.to_string());
        Some(Text { text: node.printed()?, place: node.place(), unknown })
    }

    /// The folder that a relative path at a place starts from.
    pub(super) fn folder(&self, place: Place) -> &Path {
        self.folders.get(place.file()).map_or(Path::new(""), PathBuf::as_path)
    }

    pub(super) fn error(&mut self, place: Place, message: &str) {
        self.error_at(Some(place), message.to_owned());
    }

    pub(super) fn error_at(&mut self, place: Option<Place>, message: String) {
        self.problem(Severity::Error, place, message);
    }

    pub(super) fn problem(&mut self, severity: Severity, place: Option<Place>, message: String) {
        let problem = Diagnostic::new(severity, message);
        self.sink.push(match place.and_then(|place| Some((self.files.get(place.file())?, place.span()))) {
            Some((file, span)) => problem.at(file, span, ""),
            None => problem,
        });
    }
}
