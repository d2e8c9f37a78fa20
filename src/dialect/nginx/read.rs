//! A main file and all that it includes, as one [`Config`].
//!
//! In: the main file's path, or its text. Out: the directives in the order in which nginx reads them, and a problem for every file that
//! can't be read and every place that nginx would refuse. Invariant: no recursion; each file is read and cut once, however often it is
//! included; a cycle ends where it begins again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rayon::prelude::*;

use crate::diag::{Diagnostic, Kind, Severity, Sink};
use crate::source::{SourceFile, Span};

use super::super::tree::{Node, TokenKind, Tree};
use super::super::{Options, Place};
use super::config::{Block, Config, Directive, Word};
use super::context::Context;
use super::store::Store;
use super::{check, faults, infer, lexer};

/// Blocks in which `include` is an entry like any other.
const PLAIN_BLOCKS: &[&[u8]] = &[b"split_clients", b"charset_map"];

/// So many directives come of files that were included before: a few lines could ask for billions.
const MOST_REPEATED: usize = 1 << 20;

/// From so many files on they are read side by side.
const MANY: usize = 16;

/// Reads a config from its main file; `name` is what messages call it.
pub fn read(main: &Path, name: &str, options: &Options, sink: &mut Sink) -> Config {
    match options.texts.read_config(name, main) {
        Ok(file) => read_file(file, options, sink),
        Err(reason) => {
            sink.push(Diagnostic::new(Severity::Error, format!("`{name}` can't be read: {reason}")));
            Config::default()
        }
    }
}

/// Reads a config whose main file, or the output of `nginx -T`, is in memory.
pub fn read_file(main: SourceFile, options: &Options, sink: &mut Sink) -> Config {
    let (main, store) = Store::open(main, options);
    let mut reader = Reader {
        store,
        config: Config::default(),
        files: Vec::new(),
        by_path: HashMap::new(),
        repeated: 0,
        frames: Vec::new(),
        sink,
    };
    reader.add(Cut::of(main));
    if !reader.is_whole() {
        reader.store.of_part();
    }
    reader.enter(0, None, None);
    reader.run();
    let mut config = reader.config;
    config.context = infer::context(&config, options);
    if config.context != Context::Main {
        let message = format!("a part of a configuration: read as it would be inside {}", config.context.told());
        let note = Diagnostic::new(Severity::Note, message);
        sink.push(match config.files.first() {
            Some(file) => note.at(file, Span::default(), ""),
            None => note,
        });
    }
    check::check(&config, options, sink);
    config
}

/// A file, and what its text is cut into.
struct Cut {
    file: SourceFile,
    tree: Tree,
    found: Vec<lexer::Fault>,
}

impl Cut {
    fn of(file: SourceFile) -> Cut {
        let (tree, found) = lexer::parse(file.bytes());
        Cut { file, tree, found }
    }
}

/// A file that was read.
struct File {
    tree: Rc<Tree>,
    /// Whether it is being read: the place of the `include` that asked for it, absent for the main file.
    open: Option<Option<Place>>,
}

/// Some nodes of a file that are still to be read.
struct Frame {
    file: usize,
    tree: Rc<Tree>,
    next: u32,
    end: u32,
    /// The directive that they stand in: its index.
    into: Option<u32>,
    /// Whether they are the whole file, and which `include` asks for it.
    whole: Option<Option<Place>>,
}

struct Reader<'s> {
    store: Store,
    config: Config,
    /// Beside `config.files`.
    files: Vec<File>,
    /// What each path is: a file, or one that can't be read.
    by_path: HashMap<PathBuf, Option<usize>>,
    /// How many directives came of files that were included before.
    repeated: usize,
    frames: Vec<Frame>,
    sink: &'s mut Sink,
}

impl Reader<'_> {
    /// Cuts a file and says what nginx would refuse in it.
    fn add(&mut self, cut: Cut) -> usize {
        let Cut { file, tree, found } = cut;
        for fault in found {
            self.sink.push(faults::diagnostic(&file, fault));
        }
        self.config.directives.reserve(tree.nodes.len());
        self.config.words.reserve(tree.words.len());
        self.by_path.insert(file.path.clone(), Some(self.files.len()));
        self.config.files.push(file);
        self.files.push(File { tree: Rc::new(tree), open: None });
        self.files.len() - 1
    }

    /// Whether the main file has blocks that only a whole configuration has.
    fn is_whole(&self) -> bool {
        let tree = self.files.first().map(|file| Rc::clone(&file.tree)).unwrap_or_default();
        let bytes = self.config.files.first().map(SourceFile::bytes).unwrap_or_default();
        let name = |node: &Node| {
            let token = tree.tokens.get(*tree.words.get(node.words.start as usize)? as usize)?;
            bytes.get(token.start as usize..token.end as usize)
        };
        let mut nodes = tree.nodes.iter().filter(|node| node.parent.is_none() && node.block && !node.words.is_empty());
        nodes.any(|node| name(node).is_some_and(infer::is_part))
    }

    /// The file's directives come next, into this one.
    fn enter(&mut self, file: usize, into: Option<u32>, by: Option<Place>) {
        let Some(entered) = self.files.get(file) else { return };
        let tree = Rc::clone(&entered.tree);
        let end = tree.nodes.len() as u32;
        self.frames.push(Frame { file, tree, next: 0, end, into, whole: Some(by) });
    }

    fn run(&mut self) {
        while let Some(frame) = self.frames.last_mut() {
            let done = frame.next >= frame.end;
            if let (Some(by), Some(file)) = (frame.whole, self.files.get_mut(frame.file)) {
                file.open = (!done).then_some(by);
            }
            if done {
                let end = self.config.directives.len() as u32;
                if let Some(into) = frame.into.and_then(|into| self.config.directives.get_mut(into as usize)) {
                    into.inside.end = end;
                }
                self.frames.pop();
                continue;
            }
            let (file, tree, into, id) = (frame.file, Rc::clone(&frame.tree), frame.into, frame.next);
            let Some(node) = tree.nodes.get(id as usize) else { break };
            frame.next = node.end;
            let first = self.config.words.len() as u32;
            for word in node.words.clone() {
                if let Some(word) = self.word(file, &tree, word) {
                    self.config.add(word);
                }
            }
            let words = first..self.config.words.len() as u32;
            // What a lone `{` opens stands where that stands.
            let inside = match words.is_empty() {
                true => into,
                false => {
                    let end = node.tokens.end.checked_sub(1).and_then(|last| tree.tokens.get(last as usize));
                    let end = end.map_or(0, |token| token.end);
                    let here = self.config.directives.len() as u32;
                    let inside = Block { start: here + 1, end: here + 1 };
                    let directive = Directive { words, end, braces: node.block, inside };
                    if self.is_include(&directive, into) {
                        self.include(&directive, into);
                        continue;
                    }
                    self.config.directives.push(directive);
                    Some(here)
                }
            };
            if node.end > id + 1 {
                self.frames.push(Frame {
                    file,
                    tree: Rc::clone(&tree),
                    next: id + 1,
                    end: node.end,
                    into: inside,
                    whole: None,
                });
            }
        }
    }

    fn word(&self, file: usize, tree: &Tree, word: u32) -> Option<Word> {
        let token = tree.tokens.get(*tree.words.get(word as usize)? as usize)?;
        let bytes = self.config.files.get(file)?.bytes().get(token.start as usize..token.end as usize)?;
        let raw = token.kind == TokenKind::Raw;
        let quoted = token.kind == TokenKind::Quoted && lexer::is_closed(bytes);
        Some(Word::new(file as u32, token.start, token.end, quoted, !raw && bytes.contains(&b'\\')))
    }

    /// The directive that others stand in.
    fn around(&self, into: Option<u32>) -> Option<&Directive> {
        self.config.directives.get(into? as usize)
    }

    fn is_include(&self, directive: &Directive, into: Option<u32>) -> bool {
        directive.block().is_none()
            && directive.words.len() == 2
            && self.config.name(directive) == b"include"
            && !self.around(into).is_some_and(|block| PLAIN_BLOCKS.contains(&self.config.name(block)))
    }

    /// Puts the directives of the files that an `include` names in its place.
    fn include(&mut self, directive: &Directive, into: Option<u32>) {
        let place = self.config.place(directive);
        let named =
            self.config.args(directive).first().map(|word| self.config.value(*word).to_vec()).unwrap_or_default();
        // It isn't one of the directives.
        self.config.words.truncate(directive.words.start as usize);
        let mut found: Vec<usize> = Vec::new();
        let paths = self.store.find(&named);
        // Among whole servers an empty folder is nothing unusual.
        let part = |block: &Directive| !matches!(self.config.name(block), b"http" | b"stream");
        if paths.is_empty() && self.around(into).is_some_and(part) {
            let message = format!("no file fits `{}`: nginx takes it for nothing", String::from_utf8_lossy(&named));
            let help = "name the file without a pattern: nginx then doesn't start where it is missing";
            self.problem(Severity::Note, Kind::MissingFile, place, &message, help);
        }
        let mut ahead = self.ahead(&paths);
        for path in paths {
            let before = self.by_path.get(&path).copied();
            let was_over = self.repeated > MOST_REPEATED;
            let again =
                before.flatten().and_then(|file| self.files.get(file)).map_or(0, |file| file.tree.nodes.len() + 1);
            self.repeated += again;
            match before.unwrap_or_else(|| self.open(&path, ahead.remove(&path), place)) {
                Some(file) if self.files.get(file).is_some_and(|file| file.open.is_some()) => self.cycle(file, place),
                Some(_) if again > 0 && was_over => {}
                Some(_) if again > 0 && self.repeated > MOST_REPEATED => {
                    let message = "files are included again and again: from here on only new ones are read";
                    self.error(place, message, "");
                }
                Some(file) => found.push(file),
                None => {}
            }
        }
        // The last that is entered is read first.
        for file in found.into_iter().rev() {
            self.enter(file, into, Some(place));
        }
    }

    /// Reads and cuts files side by side, where there are many that weren't read yet.
    fn ahead(&self, paths: &[PathBuf]) -> HashMap<PathBuf, Result<Cut, String>> {
        let new: Vec<&PathBuf> = paths.iter().filter(|path| !self.by_path.contains_key(*path)).collect();
        if new.len() < MANY {
            return HashMap::new();
        }
        let store = &self.store;
        new.into_par_iter().map(|path| (path.clone(), store.read(path).map(Cut::of))).collect()
    }

    /// Reads a file for the first time, unless that was done ahead.
    fn open(&mut self, path: &Path, ahead: Option<Result<Cut, String>>, by: Place) -> Option<usize> {
        match ahead.unwrap_or_else(|| self.store.read(path).map(Cut::of)) {
            Ok(cut) => Some(self.add(cut)),
            Err(reason) => {
                let message = format!("`{}` can't be read: {reason}", path.display());
                self.problem(Severity::Error, Kind::MissingFile, by, &message, "nginx does not start without it");
                self.by_path.insert(path.to_owned(), None);
                None
            }
        }
    }

    /// Says that a file includes itself, and by which way.
    fn cycle(&mut self, file: usize, by: Place) {
        let mut chain = Vec::new();
        let mut at = Some(by);
        while let Some(place) = at {
            let Some(source) = self.config.files.get(place.file()) else { break };
            chain.push(format!("{}:{}", source.name, source.line_column(place.span().start).line));
            at = if place.file() == file {
                None
            } else {
                self.files.get(place.file()).and_then(|file| file.open.flatten())
            };
        }
        chain.reverse();
        let name = self.config.files.get(file).map_or("", |file| file.name.as_str());
        let message = format!("`{name}` includes itself ({})", chain.join(" includes "));
        self.error(by, &message, "take this `include` out");
    }

    fn error(&mut self, place: Place, message: &str, help: &str) {
        self.problem(Severity::Error, Kind::Other, place, message, help);
    }

    fn problem(&mut self, severity: Severity, kind: Kind, place: Place, message: &str, help: &str) {
        let mut problem = Diagnostic::new(severity, message).kind(kind);
        if let Some(file) = self.config.files.get(place.file()) {
            problem = problem.at(file, place.span(), "");
        }
        self.sink.push(if help.is_empty() { problem } else { problem.help(help) });
    }
}
