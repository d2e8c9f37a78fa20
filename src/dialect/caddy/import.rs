//! `import`: the tokens of a snippet or of files, put in the place of the directive, with arguments and blocks.
//!
//! In: a parser that stands on `import`. Out: its tokens changed. Invariant: an import goes round in no circle, and all imports together
//! put in a bounded number of tokens.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::args::Args;
use super::dispenser::{Dispenser, Read};
use super::glob;
use super::parse::{Origin, Parser};
use super::token::{Token, Via};

impl Parser<'_> {
    /// Replaces the `import` that the cursor is on. Afterwards the next token is the first that was put in.
    pub(super) fn import(&mut self, nesting: usize) -> Read<()> {
        let pattern = self.tokens.need()?;
        if pattern.is_empty() {
            return Err(self.tokens.fault("`import` needs a file or a snippet"));
        }
        let args = self.tokens.args();
        let outer = self.tokens.nesting();
        let mut block = Vec::new();
        while self.tokens.next_block(outer) {
            block.extend(self.tokens.token().cloned());
        }
        let blocks = self.named_blocks(&block)?;
        let Some(last) = self.tokens.token().cloned() else { return Ok(()) };
        let (imported, origins) = match self.snippets.get(&*pattern) {
            Some(tokens) => {
                let origin = tokens.first().map(|token| (token.place.file(), token.snippet));
                (Rc::clone(tokens), origin.into_iter().collect())
            }
            None => self.import_files(&pattern, last.place.file())?,
        };
        self.connect((last.place.file(), last.snippet), &origins)?;
        let put = Put { args: Args(&args), block: &block, blocks: &blocks, last: &last };
        let tokens = self.put(&imported, put, nesting)?;
        // A block's own braces stay behind, where nobody looks again.
        self.tokens.drop_last(2 + args.len() + block.len());
        self.tokens.insert(tokens);
        Ok(())
    }

    /// The blocks inside an import's block, by name.
    fn named_blocks(&self, block: &[Token]) -> Read<HashMap<String, Vec<Token>>> {
        let mut found = HashMap::new();
        let mut inner = Dispenser::new(block.to_vec());
        while inner.advance() {
            let name = inner.val().to_owned();
            if inner.token().is_some_and(Token::opens) {
                return Err(self.tokens.fault("a block inside `import` needs a name"));
            }
            let mut tokens = inner.args();
            let outer = inner.nesting();
            while inner.next_block(outer) {
                tokens.extend(inner.token().cloned());
            }
            found.insert(name, tokens);
        }
        Ok(found)
    }

    fn put(&mut self, imported: &[Token], put: Put<'_>, mut nesting: usize) -> Read<Vec<Token>> {
        let mut out: Vec<Token> = Vec::with_capacity(imported.len());
        // Whether the tokens are inside a snippet's definition, which keeps its placeholders for its own import.
        let (mut inside, mut named, mut index) = (false, false, 0);
        for token in imported {
            let mut token = token.clone();
            token.via = self.way(token.via, &put, token.snippet);
            if !inside && nesting == 0 {
                index = match out.last() {
                    Some(previous) if !previous.ends_line_before(&token) => index + 1,
                    _ => 0,
                };
                let text = &token.text;
                named |= index == 0 && text.len() >= 3 && text.starts_with('(') && text.ends_with(')');
            }
            if token.opens() {
                nesting += 1;
                if index == 1 && named && nesting == 1 {
                    (inside, named) = (true, false);
                }
            } else if token.closes() {
                nesting = nesting.saturating_sub(1);
                inside &= nesting != 0;
            }
            let inner = token.text.strip_prefix("{blocks.").and_then(|rest| rest.strip_suffix('}'));
            let block = match inner {
                Some(name) => Some(put.blocks.get(name).map_or(&[][..], Vec::as_slice)),
                None => (&*token.text == "{block}").then_some(put.block),
            };
            match block {
                _ if inside => out.push(token),
                Some(tokens) => out.extend_from_slice(tokens),
                None => match put.args.spread(&token.text) {
                    Some(args) => out.extend(args.iter().map(|arg| Token { text: arg.text.clone(), ..token.clone() })),
                    None => {
                        if let Some(text) = put.args.replace(&token.text) {
                            token.text = text.into();
                        }
                        out.push(token);
                    }
                },
            }
            if out.len() > self.budget {
                let message = "imports put in more tokens than any server needs; the rest isn't read";
                return Err(self.tokens.fault(message));
            }
        }
        self.budget -= out.len();
        Ok(out)
    }

    /// The way through one more import.
    fn way(&mut self, via: Via, put: &Put<'_>, snippet: Option<u32>) -> Via {
        let number = Via(u32::try_from(self.ways.len() + 1).unwrap_or(u32::MAX));
        *self.ways.entry((via, put.last.place.file(), put.last.line, snippet)).or_insert(number)
    }

    /// Remembers who imports whom.
    fn connect(&mut self, from: Origin, to: &[Origin]) -> Read<()> {
        for &target in to {
            let mut seen = std::collections::HashSet::from([target]);
            let mut open = vec![target];
            while let Some(origin) = open.pop() {
                if origin == from {
                    let message = "this import goes round in a circle";
                    return Err(self.tokens.fault(message));
                }
                open.extend(self.edges.get(&origin).into_iter().flatten().filter(|next| seen.insert(**next)));
            }
            self.edges.entry(from).or_default().insert(target);
        }
        Ok(())
    }

    fn import_files(&mut self, pattern: &str, importer: usize) -> Read<(Rc<[Token]>, Vec<Origin>)> {
        let importer = std::path::absolute(&self.files[importer].1).unwrap_or_else(|_| self.files[importer].1.clone());
        let folder = importer.parent().unwrap_or(Path::new("/"));
        let full = glob::clean(&folder.join(pattern));
        let text = full.to_string_lossy().into_owned();
        let count = |wanted: char| text.chars().filter(|ch| *ch == wanted).count();
        if count('*') > 1 || count('?') > 1 || (count('[') > 0 && count(']') > 0) {
            let message = format!("`import {pattern}`: a pattern may hold one `*` and one `?` only");
            return Err(self.tokens.fault(message));
        }
        let root = self.options.root.as_deref();
        let Some(mut found) = glob::glob(&text, root) else {
            return Err(self.tokens.fault(format!("`import {pattern}`: the pattern is broken")));
        };
        if found.is_empty() {
            if !text.contains(['*', '?', '[', ']']) {
                let message = format!("`import {pattern}`: no such file or snippet");
                self.facts.missing_imports.push(self.tokens.place());
                return Err(self.tokens.fault(message));
            }
            self.facts.empty_imports.push(self.tokens.place());
        }
        if text.rsplit('/').next().is_some_and(|last| last.starts_with('*')) {
            found.retain(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')));
        }
        let mut tokens = Vec::new();
        let mut origins = Vec::new();
        for path in found {
            let file = self.open(&path)?;
            origins.push((file, None));
            if !self.files[file].0.text.trim().is_empty() {
                tokens.extend(self.lex(file)?.iter().cloned());
            }
        }
        Ok((tokens.into(), origins))
    }

    /// The number of a file, which is read if it wasn't.
    fn open(&mut self, path: &Path) -> Read<usize> {
        if let Some(file) = self.by_path.get(path) {
            return Ok(*file);
        }
        let real = glob::below(self.options.root.as_deref(), path);
        // A file is called as it is reached from the main file.
        let here = self.files.first().filter(|(_, main)| main.is_relative()).and_then(|_| std::env::current_dir().ok());
        let shown = here.and_then(|here| real.strip_prefix(here).ok()).unwrap_or(&real);
        let read = self.options.texts.read_config(self.options.name(shown), &real);
        let source = read.map_err(|reason| self.tokens.fault(format!("`import {}`: {reason}", path.display())))?;
        self.files.push((source, PathBuf::from(path)));
        self.by_path.insert(path.into(), self.files.len() - 1);
        Ok(self.files.len() - 1)
    }
}

/// What is put in for placeholders.
#[derive(Clone, Copy)]
struct Put<'i> {
    args: Args<'i>,
    block: &'i [Token],
    blocks: &'i HashMap<String, Vec<Token>>,
    /// The last token of the import.
    last: &'i Token,
}
