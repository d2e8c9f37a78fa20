//! Texts with variables: `a$b${c}d$1`.
//!
//! In: a word. Out: a [`Value`]. Invariant: what nginx's script compiler takes for a variable, and nothing else, is one (`ngx_http_script.c`).

use crate::gateway::Value;

use super::block::Line;
use super::{Reader, state};

/// A part of a text.
pub enum Part<'t> {
    /// These bytes.
    Text(&'t [u8]),
    /// A group of the last match.
    Group(usize),
    /// A variable.
    Variable(&'t [u8]),
    /// A `$` that names nothing.
    Bad,
}

/// How groups go into a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Groups {
    /// As they are.
    Plain,
    /// As in directives of the rewrite module: escaped if the client's path held an escape or a `+`.
    Quoted,
}

/// The parts of a text.
pub fn parts(text: &[u8]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let plain = rest.iter().position(|&byte| byte == b'$').unwrap_or(rest.len());
        if plain > 0 {
            parts.push(Part::Text(&rest[..plain]));
            rest = &rest[plain..];
            continue;
        }
        rest = &rest[1..];
        match rest.first() {
            Some(digit @ b'1'..=b'9') => {
                parts.push(Part::Group(usize::from(digit - b'0')));
                rest = &rest[1..];
            }
            Some(b'{') => {
                let length = name_length(&rest[1..]);
                let closed = rest.get(1 + length) == Some(&b'}');
                match &rest[1..1 + length] {
                    [digit @ b'1'..=b'9'] if closed => parts.push(Part::Group(usize::from(digit - b'0'))),
                    name if closed && !name.is_empty() => parts.push(Part::Variable(name)),
                    _ => parts.push(Part::Bad),
                }
                rest = rest.get(length + 2..).unwrap_or_default();
            }
            _ => {
                let length = name_length(rest);
                parts.push(if length == 0 { Part::Bad } else { Part::Variable(&rest[..length]) });
                rest = &rest[length..];
            }
        }
    }
    parts
}

fn name_length(text: &[u8]) -> usize {
    text.iter().take_while(|&&byte| byte.is_ascii_alphanumeric() || byte == b'_').count()
}

impl<'c> Reader<'c> {
    /// What a text with variables stands for.
    pub fn template(&mut self, line: &Line<'c>, text: &[u8]) -> Value {
        self.template_with(line, text, Groups::Plain)
    }

    /// The same, with groups of the last match as said.
    pub fn template_with(&mut self, line: &Line<'c>, text: &[u8], groups: Groups) -> Value {
        if !text.contains(&b'$') {
            return Value::literal(text);
        }
        let same = groups == Groups::Plain && self.same_everywhere();
        if let Some(known) = self.templates.get(text).filter(|_| same) {
            return known.clone();
        }
        // What is said about it belongs to this place alone.
        let told = self.sink.list.len();
        let value = self.parts(line, text, groups);
        if same && self.sink.list.len() == told {
            self.templates.insert(text.into(), value.clone());
        }
        value
    }

    /// Whether a text says here what it says elsewhere: `$secure_link` doesn't.
    pub fn same_everywhere(&self) -> bool {
        self.link.is_none() && self.names.open == 0
    }

    fn parts(&mut self, line: &Line<'c>, text: &[u8], groups: Groups) -> Value {
        let mut values = Vec::new();
        for part in parts(text) {
            values.push(match part {
                Part::Text(bytes) => Value::literal(bytes),
                Part::Group(group) => group_value(group, groups),
                Part::Variable(name) => self.variable(line, &String::from_utf8_lossy(name).to_ascii_lowercase()),
                Part::Bad => {
                    self.error(
                        line,
                        "a `$` without the name of a variable",
                        "nginx has no way to write a `$`; take it out",
                    );
                    Value::Opaque("a `$` without the name of a variable".into())
                }
            });
        }
        Value::concat(values)
    }
}

/// A group of the last match.
pub fn group_value(group: usize, groups: Groups) -> Value {
    let plain = Value::Capture(group);
    if groups == Groups::Plain {
        return plain;
    }
    let escaped = state::escaped_argument(plain.clone());
    let plus = crate::gateway::Predicate::Value(state::raw_path(), crate::gateway::Test::Contains(b"+".to_vec()));
    let cases =
        vec![(state::is_set(state::UNQUOTED), plain.clone()), (state::quoted(), escaped.clone()), (plus, escaped)];
    state::either("", cases, plain)
}
