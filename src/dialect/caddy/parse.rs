//! Caddyfile tokens → server blocks, imports and snippets put in (Caddy 2.11, caddyconfig/caddyfile/parse.go).
//!
//! In: a main file. Out: [`Block`]s, each with its keys and its directives' tokens. Invariant: nothing here is nested deeper than one
//! loop, whatever the input; what imports put in is bounded.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::rc::Rc;

use super::super::{Options, Place};
use super::Facts;
use super::dispenser::{Dispenser, Fault, Read};
use super::lexer::Lexer;
use super::token::{Text, Token, Via};
use super::variables::{self, Known, Named};
use crate::source::{SourceFile, Span};

/// A server block: a site, the global options (no keys) or a named route.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// Its addresses.
    pub keys: Vec<Token>,
    /// Its directives, each with its arguments and its block.
    pub segments: Vec<Vec<Token>>,
    /// Whether it is `&(name) { … }`; its key is the name.
    pub named_route: bool,
    /// Whether it stands in braces.
    pub braces: bool,
}

/// Reads one main file and all that it imports.
pub struct Parser<'o> {
    pub(super) options: &'o Options,
    /// Every file that was read, and the path that Caddy knows it by.
    pub(super) files: Vec<(SourceFile, PathBuf)>,
    pub(super) by_path: HashMap<PathBuf, usize>,
    pub(super) lexed: HashMap<usize, Rc<[Token]>>,
    pub(super) facts: Facts,
    pub(super) faults: Vec<Fault>,
    pub(super) tokens: Dispenser,
    pub(super) snippets: HashMap<Text, Rc<[Token]>>,
    pub(super) snippet_names: Vec<Text>,
    pub(super) ways: HashMap<(Via, usize, u32, Option<u32>), Via>,
    pub(super) edges: HashMap<Origin, HashSet<Origin>>,
    pub(super) budget: usize,
    block: Block,
    end: bool,
    nesting: usize,
}

/// What an import can come from: a file, or a snippet in it.
pub(super) type Origin = (usize, Option<u32>);

/// How many blocks may stand in each other: what reads them calls itself for each, and keeps their tokens.
const MOST_NESTED: usize = 100;

/// So many tokens imports may put in, besides twenty for each that was read.
const MOST_IMPORTED: usize = 1_000_000;

impl<'o> Parser<'o> {
    /// Starts with the main file.
    pub fn new(main: SourceFile, options: &'o Options) -> Self {
        let path = main.path.clone();
        Parser {
            options,
            by_path: HashMap::from([(path.clone(), 0)]),
            files: vec![(main, path)],
            lexed: HashMap::new(),
            facts: Facts::default(),
            faults: Vec::new(),
            tokens: Dispenser::default(),
            snippets: HashMap::new(),
            snippet_names: Vec::new(),
            ways: HashMap::new(),
            edges: HashMap::new(),
            budget: MOST_IMPORTED,
            block: Block::default(),
            end: false,
            nesting: 0,
        }
    }

    /// All blocks. After a fault the rest of the file isn't read: nobody knows what belongs to what.
    pub fn parse(&mut self) -> Vec<Block> {
        let mut blocks = Vec::new();
        match self.lex(0) {
            Ok(tokens) => self.tokens = Dispenser::new(tokens.to_vec()),
            Err(fault) => {
                self.faults.push(fault);
                return blocks;
            }
        }
        while self.tokens.advance() {
            let read = self.one();
            let block = std::mem::take(&mut self.block);
            if !block.keys.is_empty() || !block.segments.is_empty() {
                blocks.push(block);
            }
            let open = (self.nesting > 0).then(|| self.tokens.fault("the file ends inside a block"));
            if let Some(fault) = read.err().or(open) {
                self.faults.push(fault);
                break;
            }
        }
        blocks
    }

    /// The files, what was noticed in them, and what is wrong with them; the tokens go.
    pub fn finish(self) -> (Vec<(SourceFile, PathBuf)>, Facts, Vec<Fault>) {
        (self.files, self.facts, self.faults)
    }

    /// The tokens of a file.
    pub(super) fn lex(&mut self, file: usize) -> Read<Rc<[Token]>> {
        if let Some(tokens) = self.lexed.get(&file) {
            return Ok(Rc::clone(tokens));
        }
        let text = std::sync::Arc::clone(&self.files[file].0.text);
        let expanded = variables::expand(&text, file, &self.options.variables, &mut self.facts.variables);
        let place = |range| Place::new(file, expanded.original(range));
        if expanded.text.is_empty() {
            let span = Span::new(0..0);
            return Err(Fault { message: "the file is empty".into(), place: Place::new(file, span) });
        }
        let mut lexer = Lexer::new(&expanded.text);
        let mut tokens = Vec::new();
        loop {
            let word = match lexer.next_word() {
                Ok(Some(word)) => word,
                Ok(None) => break,
                Err(refused) => return Err(Fault { message: refused.reason, place: place(refused.span) }),
            };
            let place = place(word.span);
            for name in variables::late(&word.text) {
                let value = Known::from(self.options.variables.get(name));
                // What an unknown `{$NAME}` was replaced by is already told.
                if self.files[file].0.slice(place.span()).contains("{env.") {
                    self.facts.variables.push(Named { name: name.into(), place, value, default: None, late: true });
                }
            }
            let text = match word.text {
                std::borrow::Cow::Borrowed(part) => {
                    let start = part.as_ptr() as usize - expanded.text.as_ptr() as usize;
                    Text::part(&expanded.text, start..start + part.len())
                }
                std::borrow::Cow::Owned(text) => Text::from(text),
            };
            tokens.push(Token { text, place, line: word.line, quote: word.quote, via: Via(0), snippet: None });
        }
        self.budget += tokens.len() * 20;
        let tokens: Rc<[Token]> = tokens.into();
        self.lexed.insert(file, Rc::clone(&tokens));
        Ok(tokens)
    }

    /// One block, from its first key on.
    fn one(&mut self) -> Read<()> {
        self.end = false;
        self.addresses()?;
        if self.end {
            return Ok(());
        }
        let name = match self.block.keys.as_slice() {
            [key] => key.text.strip_suffix(')').map(str::to_owned),
            _ => None,
        };
        if let Some(name) = name.as_deref().and_then(|name| name.strip_prefix("&(")) {
            return self.named_route(name);
        }
        if let Some(name) = name.as_deref().and_then(|name| name.strip_prefix('(')) {
            return self.snippet(name);
        }
        self.contents()
    }

    fn named_route(&mut self, name: &str) -> Read<()> {
        // Caddy takes the opening brace for the name's token.
        let lead = self.tokens.token().map(|token| token.saying(name));
        self.block.keys = lead.iter().cloned().collect();
        self.block.named_route = true;
        let tokens = self.block_tokens(true)?;
        let expanded = self.expanded(tokens)?;
        self.block.segments = vec![lead.into_iter().chain(expanded).collect()];
        Ok(())
    }

    fn snippet(&mut self, name: &str) -> Read<()> {
        if self.snippets.contains_key(name) {
            return Err(self.tokens.fault(format!("the snippet `{name}` is declared twice")));
        }
        let mut tokens = self.block_tokens(false)?;
        let number = u32::try_from(self.snippet_names.len()).unwrap_or(u32::MAX);
        self.snippet_names.push(name.into());
        for token in &mut tokens {
            token.snippet = Some(number);
        }
        self.snippets.insert(name.into(), tokens.into());
        self.block.keys.clear();
        Ok(())
    }

    /// Imports inside a named route.
    fn expanded(&mut self, tokens: Vec<Token>) -> Read<Vec<Token>> {
        let outer = std::mem::replace(&mut self.tokens, Dispenser::new(tokens));
        let mut read = Ok(());
        while read.is_ok() && self.tokens.advance() {
            if self.tokens.val() == "import" && self.tokens.starts_line() {
                read = self.import(1);
            }
        }
        let inner = std::mem::replace(&mut self.tokens, outer);
        read.map(|()| inner.into_tokens())
    }

    fn addresses(&mut self) -> Read<()> {
        let mut another = false;
        loop {
            let value = self.tokens.text();
            if value.starts_with('@') {
                let message = format!("the matcher `{}` stands outside of a site", &*value);
                return Err(self.tokens.fault(message));
            }
            if &*value == "import" && self.tokens.starts_line() {
                self.import(0)?;
                if !self.tokens.advance() {
                    if another {
                        return Err(self.tokens.fault("the file ends where another address must stand"));
                    }
                    self.end = true;
                    return Ok(());
                }
                continue;
            }
            let Some(token) = self.tokens.token().cloned() else { return Ok(()) };
            if token.opens() {
                if another {
                    return Err(self.tokens.fault("`{` where another address must stand: there is a comma too many"));
                }
                self.block.braces = true;
                return Ok(());
            }
            if token.quote == super::token::Quote::Bare && value.ends_with('{') {
                let message = format!("the address `{}` ends with a brace: put a space before it", &*value);
                return Err(self.tokens.fault(message));
            }
            if !value.is_empty() {
                let key = value.strip_suffix(',');
                another = key.is_some();
                let key = key.unwrap_or(&value);
                if key.contains(',') {
                    let message = format!("the address `{key}` holds a comma: put a space behind it");
                    return Err(self.tokens.fault(message));
                }
                if !key.is_empty() {
                    self.block.keys.push(token.saying(key));
                }
            }
            if !self.tokens.advance() {
                if another {
                    return Err(self.tokens.fault("the file ends where another address must stand"));
                }
                self.end = true;
                return Ok(());
            }
            if !another && self.tokens.starts_line() {
                return Ok(());
            }
        }
    }

    fn contents(&mut self) -> Read<()> {
        let brace = self.open_brace();
        if brace.is_err() {
            // A single site needs no braces.
            self.tokens.back();
        }
        self.directives()?;
        match brace {
            Ok(()) if !self.tokens.token().is_some_and(Token::closes) => Err(self.expected("}")),
            _ => Ok(()),
        }
    }

    fn directives(&mut self) -> Read<()> {
        while self.tokens.advance() {
            if self.tokens.token().is_some_and(Token::closes) {
                break;
            }
            if self.tokens.val() == "import" {
                self.import(1)?;
                continue;
            }
            self.directive()?;
        }
        Ok(())
    }

    /// A directive up to the end of its line, or of the block that opens there.
    fn directive(&mut self) -> Read<()> {
        let mut segment: Vec<Token> = self.tokens.token().cloned().into_iter().collect();
        let mut read = Ok(());
        while self.tokens.advance() {
            let Some(token) = self.tokens.token() else { break };
            let (opens, closes) = (token.opens(), token.closes());
            let pair = token.quote == super::token::Quote::Bare && &*token.text == "{}";
            if opens {
                self.nesting += 1;
                if self.nesting > MOST_NESTED {
                    read = Err(self.too_deep());
                } else if !self.tokens.ends_line() {
                    read = Err(self.tokens.fault("something stands behind `{` on its line"));
                } else if self.tokens.starts_line() {
                    read = Err(self.tokens.fault("`{` stands on a line of its own: put it behind the line before"));
                }
            } else if pair {
                if self.tokens.ends_line() {
                    read =
                        Err(self.tokens.fault("`{}` ends a line: leave it out, or put a space and a line end into it"));
                }
            } else if self.tokens.starts_line() && self.nesting == 0 {
                self.tokens.back();
                break;
            } else if closes && self.nesting > 0 {
                self.nesting -= 1;
            } else if closes {
                read = Err(self.tokens.fault("`}` closes no block: it must stand on a line of its own"));
            } else if self.tokens.val() == "import" && self.tokens.starts_line() {
                read = self.import(1);
                if read.is_ok() {
                    continue;
                }
            }
            if read.is_err() {
                break;
            }
            segment.extend(self.tokens.token().cloned());
        }
        self.block.segments.push(segment);
        read?;
        if self.nesting > 0 { Err(self.tokens.fault("the file ends inside a block")) } else { Ok(()) }
    }

    fn open_brace(&mut self) -> Read<()> {
        if self.tokens.token().is_some_and(Token::opens) {
            return Ok(());
        }
        Err(self.expected("{"))
    }

    fn too_deep(&self) -> Fault {
        self.tokens.fault(format!("more than {MOST_NESTED} blocks stand in each other: the rest isn't read"))
    }

    fn expected(&self, what: &str) -> Fault {
        self.tokens.fault(format!("`{}` where `{what}` must stand", self.tokens.val()))
    }

    /// The tokens of a block.
    fn block_tokens(&mut self, braces: bool) -> Read<Vec<Token>> {
        self.open_brace()?;
        let mut tokens: Vec<Token> = self.tokens.token().filter(|_| braces).cloned().into_iter().collect();
        let mut nesting = 1_usize;
        while self.tokens.advance() {
            let Some(token) = self.tokens.token() else { break };
            if token.closes() {
                nesting -= 1;
                if nesting == 0 {
                    tokens.extend(Some(token.clone()).filter(|_| braces));
                    return Ok(tokens);
                }
            }
            nesting += usize::from(token.opens());
            tokens.push(token.clone());
            if nesting > MOST_NESTED {
                return Err(self.too_deep());
            }
        }
        Err(self.expected("}"))
    }
}
