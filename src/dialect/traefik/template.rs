//! The Go templates that Traefik fills dynamic files with, as far as they read variables and guard them.
//!
//! In: a file's text and the variables. Out: the filled text with a map back to where its bytes come from. Invariant: a variable that may
//! be set is a mark in the text ([`unknown_in`] finds it); what isn't understood is said, never guessed.

use std::borrow::Cow;

use crate::dialect::{Variable, Variables};

/// What stands around the name of a variable whose value isn't known: characters for private use.
const MARKS: [char; 2] = ['\u{f5a5a}', '\u{f5a5b}'];

/// A filled template.
#[derive(Debug, Default)]
pub struct Filled {
    /// The text.
    pub text: String,
    /// Where pieces of the text come from: first byte there, first byte in the template, and whether it runs along.
    pieces: Vec<(usize, usize, bool)>,
    /// The variables that may be unset and are guarded by a `fail`.
    pub guarded: Vec<String>,
}

/// Why a template can't be filled.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// It says `fail`, or Go would refuse it: nothing is loaded.
    Fails(usize, String),
    /// It isn't understood.
    Opaque(usize, String),
}

/// Why a text isn't known, if it holds the mark of a variable.
pub fn unknown_in(text: &str) -> Option<String> {
    let name = text.split_once(MARKS[0])?.1.split(MARKS[1]).next()?;
    Some(format!("depends on the variable `{name}`, whose value is not known"))
}

impl Filled {
    /// The place in the template of a byte of the text.
    pub fn origin(&self, at: usize) -> usize {
        let index = self.pieces.partition_point(|(start, ..)| *start <= at).saturating_sub(1);
        match self.pieces.get(index) {
            Some((start, origin, true)) => origin + (at - start),
            Some((_, origin, false)) => *origin,
            None => at,
        }
    }
}

/// Fills a template. Errors: see [`Trouble`].
pub fn fill(text: &str, variables: &Variables) -> Result<Filled, Trouble> {
    let mut filler = Filler { variables, names: Vec::new(), out: Filled::default(), blocks: Vec::new() };
    let mut at = 0;
    let mut trim = false;
    while let Some(start) = text[at..].find("{{").map(|start| at + start) {
        let opaque = |why: &str| Trouble::Opaque(start, why.to_owned());
        let inner = start + 2;
        let trim_before = text[inner..].starts_with("- ") || text[inner..].starts_with("-\n");
        let from = inner + usize::from(trim_before);
        let comment = text[from..].trim_start().starts_with("/*");
        let end = if comment { text[from..].find("*/").map(|end| from + end) } else { Some(from) };
        let end = end.and_then(|end| action_end(&text[end..]).map(|length| end + length));
        let end = end.ok_or_else(|| Trouble::Fails(start, "`{{` without its `}}`".to_owned()))?;
        let action = &text[from..end];
        let trim_after = action.ends_with('-') && action.trim_end_matches('-').ends_with(char::is_whitespace);
        filler.plain(text, at, start, trim, trim_before);
        if !comment {
            filler.action(start, action.strip_suffix('-').filter(|_| trim_after).unwrap_or(action).trim(), &opaque)?;
        }
        (at, trim) = (end + 2, trim_after);
    }
    filler.plain(text, at, text.len(), trim, false);
    if filler.blocks.is_empty() {
        Ok(filler.out)
    } else {
        Err(Trouble::Fails(text.len(), "`{{ if }}` without its `{{ end }}`".to_owned()))
    }
}

/// Where an action ends, texts in quotes skipped.
fn action_end(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some('"') if letter == '\\' => escaped = true,
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if letter == '"' || letter == '`' => quote = Some(letter),
            None if text[at..].starts_with("}}") => return Some(at),
            None => {}
        }
    }
    None
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Int(i64),
    Bool(bool),
    /// Not known: the variable that it depends on.
    Unknown(String),
}

/// An `if` that is open: whether the part that is being read counts, whether an earlier part did, and the variable that decides it, if
/// that isn't known.
struct Block {
    live: bool,
    done: bool,
    unknown: Option<String>,
}

struct Filler<'v> {
    variables: &'v Variables,
    names: Vec<(String, Value)>,
    out: Filled,
    blocks: Vec<Block>,
}

impl Filler<'_> {
    fn live(&self) -> bool {
        self.blocks.iter().all(|block| block.live)
    }

    fn plain(&mut self, text: &str, start: usize, end: usize, trim_start: bool, trim_end: bool) {
        let mut part = &text[start..end];
        if trim_end {
            part = part.trim_end();
        }
        let whole = part.len();
        if trim_start {
            part = part.trim_start();
        }
        if self.live() && !part.is_empty() {
            self.out.pieces.push((self.out.text.len(), start + whole - part.len(), true));
            self.out.text.push_str(part);
        }
    }

    fn action(&mut self, at: usize, action: &str, opaque: &dyn Fn(&str) -> Trouble) -> Result<(), Trouble> {
        let (word, rest) = action.split_once(char::is_whitespace).unwrap_or((action, ""));
        match word {
            "if" => {
                let block = match self.live() {
                    false => Block { live: false, done: true, unknown: None },
                    true => match self.value(at, rest, opaque)? {
                        Value::Unknown(name) => Block { live: true, done: false, unknown: Some(name) },
                        value => Block { live: truth(&value), done: truth(&value), unknown: None },
                    },
                };
                // What an unknown condition guards may only fail: then the file is taken as loaded.
                self.blocks.push(block);
                Ok(())
            }
            "end" | "else" => {
                let block = self.blocks.pop().ok_or_else(|| Trouble::Fails(at, "`end` without `if`".to_owned()))?;
                if word == "else" {
                    if !rest.is_empty() || block.unknown.is_some() {
                        return Err(opaque("`else` isn't understood here"));
                    }
                    let live = !block.done;
                    self.blocks.push(Block { live, done: true, unknown: None });
                }
                Ok(())
            }
            _ if !self.live() => Ok(()),
            "fail" => match self.blocks.iter().find_map(|block| block.unknown.clone()) {
                Some(name) => {
                    self.out.guarded.push(name);
                    Ok(())
                }
                None => Err(Trouble::Fails(at, format!("the template fails: {}", rest.trim_matches('"')))),
            },
            _ if self.blocks.iter().any(|block| block.unknown.is_some()) => {
                Err(opaque("an `if` on a variable whose value isn't known"))
            }
            name if name.starts_with('$') && rest.trim_start().starts_with([':', '=']) => {
                let value = rest.trim_start().trim_start_matches(':').strip_prefix('=').unwrap_or_default();
                let value = self.value(at, value, opaque)?;
                self.names.retain(|(own, _)| own != name);
                self.names.push((name.to_owned(), value));
                Ok(())
            }
            _ => {
                let text = match self.value(at, action, opaque)? {
                    Value::Text(text) => text,
                    Value::Int(number) => number.to_string(),
                    Value::Bool(value) => value.to_string(),
                    Value::Unknown(name) => format!("{}{name}{}", MARKS[0], MARKS[1]),
                };
                self.out.pieces.push((self.out.text.len(), at, false));
                self.out.text.push_str(&text);
                Ok(())
            }
        }
    }

    fn value(&self, at: usize, text: &str, opaque: &dyn Fn(&str) -> Trouble) -> Result<Value, Trouble> {
        let mut words = words(text).ok_or_else(|| opaque(&format!("`{}` isn't understood", text.trim())))?;
        let mut piped: Option<Value> = None;
        let mut stages = words.split_mut(|word| *word == "|").peekable();
        while let Some(stage) = stages.next() {
            let (first, more) = stage.split_first().ok_or_else(|| opaque("an empty part"))?;
            let mut arguments = more.iter().map(|word| self.word(at, word, opaque)).collect::<Result<Vec<_>, _>>()?;
            let is_call = first.chars().all(|letter| letter.is_ascii_alphanumeric())
                && !first.starts_with(|c: char| c.is_ascii_digit());
            let result = if is_call && !["true", "false"].contains(&&**first) {
                arguments.extend(piped.take());
                self.call(at, first, arguments, opaque)?
            } else if arguments.is_empty() && piped.is_none() {
                self.word(at, first, opaque)?
            } else {
                return Err(opaque(&format!("`{first}` isn't understood")));
            };
            if stages.peek().is_none() {
                return Ok(result);
            }
            piped = Some(result);
        }
        Err(opaque("an empty action"))
    }

    fn word(&self, at: usize, word: &str, opaque: &dyn Fn(&str) -> Trouble) -> Result<Value, Trouble> {
        if let Some(inner) = word.strip_prefix('(') {
            return self.value(at, inner.strip_suffix(')').unwrap_or(inner), opaque);
        }
        if let Some(text) = word.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            return match text.contains('\\') {
                true => serde_json::from_str(word).map(Value::Text).map_err(|_| opaque("an escape isn't understood")),
                false => Ok(Value::Text(text.to_owned())),
            };
        }
        if let Some(text) = word.strip_prefix('`').and_then(|text| text.strip_suffix('`')) {
            return Ok(Value::Text(text.to_owned()));
        }
        if let Ok(number) = word.parse() {
            return Ok(Value::Int(number));
        }
        match word {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            name if name.starts_with('$') => {
                let found = self.names.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
                found.ok_or_else(|| Trouble::Fails(at, format!("undefined variable `{name}`")))
            }
            name => self.call(at, name, Vec::new(), opaque),
        }
    }

    fn call(
        &self,
        at: usize,
        name: &str,
        arguments: Vec<Value>,
        opaque: &dyn Fn(&str) -> Trouble,
    ) -> Result<Value, Trouble> {
        let unknown = arguments.iter().find_map(|value| match value {
            Value::Unknown(name) => Some(name.clone()),
            _ => None,
        });
        if let Some(unknown) = unknown {
            return Ok(Value::Unknown(unknown));
        }
        let text = |value: &Value| match value {
            Value::Text(text) => text.clone(),
            Value::Int(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Unknown(_) => String::new(),
        };
        Ok(match (name, arguments.as_slice()) {
            ("env", [Value::Text(name)]) => match self.variables.get(name) {
                Variable::Set(value) => Value::Text(value.to_owned()),
                Variable::Unset => Value::Text(String::new()),
                Variable::Unknown => Value::Unknown(name.clone()),
            },
            ("len", [Value::Text(text)]) => Value::Int(i64::try_from(text.len()).unwrap_or(i64::MAX)),
            ("lt" | "le" | "gt" | "ge", [Value::Int(left), Value::Int(right)]) => Value::Bool(match name {
                "lt" => left < right,
                "le" => left <= right,
                "gt" => left > right,
                _ => left >= right,
            }),
            ("eq", [left, more @ ..]) if !more.is_empty() => Value::Bool(more.contains(left)),
            ("ne", [left, right]) => Value::Bool(left != right),
            ("not", [value]) => Value::Bool(!truth(value)),
            ("empty", [value]) => Value::Bool(!truth(value)),
            ("and", [values @ .., last]) => values.iter().find(|value| !truth(value)).unwrap_or(last).clone(),
            ("or", [values @ .., last]) => values.iter().find(|value| truth(value)).unwrap_or(last).clone(),
            ("default", [other, value]) => if truth(value) { value } else { other }.clone(),
            ("trim", [Value::Text(text)]) => Value::Text(text.trim().to_owned()),
            ("upper", [Value::Text(text)]) => Value::Text(text.to_uppercase()),
            ("lower", [Value::Text(text)]) => Value::Text(text.to_lowercase()),
            ("quote", [value]) => Value::Text(format!("{:?}", text(value))),
            ("fail", [value]) => return Err(Trouble::Fails(at, format!("the template fails: {}", text(value)))),
            _ => return Err(opaque(&format!("the function `{name}` isn't understood here"))),
        })
    }
}

fn truth(value: &Value) -> bool {
    match value {
        Value::Text(text) => !text.is_empty(),
        Value::Int(number) => *number != 0,
        Value::Bool(value) => *value,
        Value::Unknown(_) => false,
    }
}

/// The words of an expression; what stands in parentheses is one, with them.
fn words(text: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' | '`' => {
                let mut escaped = false;
                let closing = |(_, letter): &(usize, char)| {
                    let closes = *letter == first && !escaped;
                    escaped = first == '"' && *letter == '\\' && !escaped;
                    closes
                };
                rest.char_indices().skip(1).find(closing)?.0 + 1
            }
            '(' => {
                let mut depth = 0_usize;
                let mut quoted = false;
                let closing = |(_, letter): &(usize, char)| {
                    quoted ^= *letter == '"';
                    match letter {
                        '(' if !quoted => depth += 1,
                        ')' if !quoted => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    depth == 0 && *letter == ')' && !quoted
                };
                rest.char_indices().find(closing)?.0 + 1
            }
            '|' => 1,
            _ => rest.find(|letter: char| letter.is_whitespace() || "|()\"`".contains(letter)).unwrap_or(rest.len()),
        };
        if end == 0 {
            return None;
        }
        words.push(Cow::Borrowed(&rest[..end]));
        rest = rest[end..].trim_start();
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn variables(complete: bool) -> Variables {
        Variables { values: [("KEY".to_owned(), "0123456789abcdef".to_owned())].into(), complete }
    }

    const GUARD: &str = "{{ $k := env \"KEY\" }}{{ if lt (len $k) 16 }}{{ fail \"short\" }}{{ end }}a: {{ $k }}!";

    #[test]
    fn variables_are_filled_in_and_guards_hold() {
        let filled = fill(GUARD, &variables(true)).unwrap();
        assert_eq!(filled.text, "a: 0123456789abcdef!");
        assert_eq!(&GUARD[filled.origin(0)..][..2], "a:");
        assert_eq!(&GUARD[filled.origin(filled.text.len() - 1)..], "!");
        assert_eq!(&GUARD[filled.origin(5)..], "{{ $k }}!");
        let other = GUARD.replace("KEY", "OTHER");
        assert!(matches!(fill(&other, &variables(true)), Err(Trouble::Fails(..))));
        let unknown = fill(&other, &variables(false)).unwrap();
        assert!(unknown_in(&unknown.text).unwrap().contains("`OTHER`"));
        assert_eq!(unknown.guarded, ["OTHER"]);
    }

    #[test]
    fn the_rest_is_go_templates() {
        let known = |text: &str| fill(text, &variables(true)).unwrap().text;
        assert_eq!(known("a {{- /* c }} */ -}} b"), "ab");
        assert_eq!(known("{{ if eq (env \"NO\") \"\" }}x{{ else }}y{{ end }}"), "x");
        assert_eq!(known("{{ env \"NO\" | default \"d\" }} {{ `q` }}"), "d q");
        assert!(matches!(fill("{{ range .x }}{{ end }}", &variables(true)), Err(Trouble::Opaque(..))));
        assert!(matches!(fill("{{ if true }}", &variables(true)), Err(Trouble::Fails(..))));
    }
}
