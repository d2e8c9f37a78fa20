//! A cursor over the tokens of one directive (Caddy 2.11, caddyconfig/caddyfile/dispenser.go).
//!
//! In: a segment: a directive's words and its block. Out: arguments and blocks, one token at a time. Invariant: lines and braces are
//! understood as Caddy does, its oddities included, because they decide what belongs to what.

use super::super::Place;
use super::token::{Text, Token};

/// The cursor. Imports put tokens in before the next one, so both sides are stacks.
#[derive(Debug, Clone, Default)]
pub struct Dispenser {
    /// Up to the current token.
    before: Vec<Token>,
    /// The others, the next one last.
    after: Vec<Token>,
    nesting: usize,
}

/// What a server would refuse, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, in lower case.
    pub message: String,
    /// The token that it was seen at.
    pub place: Place,
}

/// A result of reading a directive.
pub type Read<T> = Result<T, Fault>;

impl Dispenser {
    /// Starts before the first token.
    pub fn new(mut tokens: Vec<Token>) -> Self {
        tokens.reverse();
        Dispenser { before: Vec::new(), after: tokens, nesting: 0 }
    }

    /// The current token.
    pub fn token(&self) -> Option<&Token> {
        self.before.last()
    }

    /// The current token's text; empty before the first.
    pub fn val(&self) -> &str {
        self.token().map_or("", |token| &token.text)
    }

    /// The same as a text of its own.
    pub fn text(&self) -> Text {
        self.token().map_or_else(|| "".into(), |token| token.text.clone())
    }

    /// Where the current token stands.
    pub fn place(&self) -> Place {
        self.token().or(self.after.last()).map(|token| token.place).unwrap_or_default()
    }

    /// How deep in blocks the cursor is.
    pub fn nesting(&self) -> usize {
        self.nesting
    }

    /// To the next token.
    pub fn advance(&mut self) -> bool {
        let next = self.after.pop();
        let more = next.is_some();
        self.before.extend(next);
        more
    }

    /// To the token before.
    pub fn back(&mut self) {
        self.after.extend(self.before.pop());
    }

    /// Before the first token again.
    pub fn reset(&mut self) {
        self.after.extend(self.before.drain(..).rev());
        self.nesting = 0;
    }

    /// Puts tokens before the next one.
    pub fn insert(&mut self, tokens: Vec<Token>) {
        self.after.extend(tokens.into_iter().rev());
    }

    /// Forgets the last `count` tokens that were passed.
    pub fn drop_last(&mut self, count: usize) {
        self.before.truncate(self.before.len().saturating_sub(count));
    }

    /// All tokens, wherever the cursor is.
    pub fn into_tokens(mut self) -> Vec<Token> {
        self.before.extend(self.after.into_iter().rev());
        self.before
    }

    /// Whether the current token begins a line.
    pub fn starts_line(&self) -> bool {
        match self.before.as_slice() {
            [.., previous, current] => previous.ends_line_before(current),
            _ => true,
        }
    }

    /// Whether the next token begins a line; there may be none.
    pub fn ends_line(&self) -> bool {
        match (self.before.last(), self.after.last()) {
            (None, _) => false,
            (_, None) => true,
            (Some(current), Some(next)) => current.ends_line_before(next),
        }
    }

    /// To the next token if it is on the same line.
    fn same_line(&mut self) -> bool {
        let same = match (self.before.last(), self.after.last()) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(current), Some(next)) => !current.ends_line_before(next),
        };
        same && self.advance()
    }

    /// To the next argument on the line; a brace that opens a block is none.
    pub fn next_arg(&mut self) -> bool {
        let found = self.same_line();
        if found && self.opens() {
            self.back();
            return false;
        }
        found
    }

    fn opens(&self) -> bool {
        self.token().is_some_and(Token::opens)
    }

    fn closes(&self) -> bool {
        self.token().is_some_and(Token::closes)
    }

    /// To the next token of the block that begins here, or that the cursor is in deeper than `outer`.
    pub fn next_block(&mut self, outer: usize) -> bool {
        if self.nesting > outer {
            if !self.advance() {
                return false;
            }
            if self.closes() && !self.same_line() {
                self.nesting -= 1;
            } else if self.opens() && !self.same_line() {
                self.nesting += 1;
            }
            return self.nesting > outer;
        }
        if !self.same_line() {
            return false;
        }
        if !self.opens() {
            self.back();
            return false;
        }
        self.advance();
        if self.closes() {
            return false;
        }
        self.nesting += 1;
        true
    }

    /// The next argument.
    pub fn arg(&mut self) -> Option<Text> {
        self.next_arg().then(|| self.text())
    }

    /// The next argument, which must be there.
    pub fn need(&mut self) -> Read<Text> {
        self.arg().ok_or_else(|| self.wrong_count())
    }

    /// The only argument that is left.
    pub fn only(&mut self) -> Read<Text> {
        let text = self.need()?;
        if self.next_arg() {
            self.back();
            return Err(self.wrong_count());
        }
        Ok(text)
    }

    /// No argument may be left.
    pub fn no_more(&mut self) -> Read<()> {
        if self.next_arg() { Err(self.wrong_count()) } else { Ok(()) }
    }

    /// All arguments that are left.
    pub fn args(&mut self) -> Vec<Token> {
        let mut args = Vec::new();
        while self.next_arg() {
            args.extend(self.token().cloned());
        }
        args
    }

    /// How many arguments are left; the cursor stays.
    pub fn count_args(&mut self) -> usize {
        let count = std::iter::from_fn(|| self.next_arg().then_some(())).count();
        (0..count).for_each(|_| self.back());
        count
    }

    /// The tokens from the current one to the end of its line or of the block that opens there.
    pub fn next_segment(&mut self) -> Vec<Token> {
        let mut segment: Vec<Token> = self.token().cloned().into_iter().collect();
        segment.extend(self.args());
        let outer = self.nesting;
        let mut opened = false;
        while self.next_block(outer) {
            if !opened {
                segment.extend(self.before.iter().nth_back(1).cloned());
                opened = true;
            }
            segment.extend(self.token().cloned());
        }
        if opened {
            segment.extend(self.token().cloned());
        }
        segment
    }

    /// A fault at the current token.
    pub fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { message: message.into(), place: self.place() }
    }

    /// The fault of too few or too many arguments.
    pub fn wrong_count(&self) -> Fault {
        if self.opens() {
            return self.fault("`{` where an argument must stand");
        }
        self.fault(format!("too few or too many arguments at `{}`", self.val()))
    }
}
