//! The Go templates that Traefik fills dynamic files with, as far as they read variables and guard them.
//!
//! In: a file's text and the variables. Out: the filled text with a map back to where its bytes come from. Invariant: a variable that may
//! be set is a mark in the text ([`unknown_in`] finds it); what isn't understood is said, never guessed.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::dialect::re2;
use crate::dialect::{Variable, Variables};
use crate::gateway::{ENVIRONMENT, Pattern, guessable};

pub use crate::dialect::MARKS;

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
    Some(format!("{ENVIRONMENT}`{}`, whose value is not known", variable_in(text)?))
}

/// The same of what is no secret, a host or a path: whoever asks may know it.
pub fn guessable_in(text: &str) -> Option<String> {
    variable_in(text).map(guessable)
}

fn variable_in(text: &str) -> Option<&str> {
    text.split_once(MARKS[0])?.1.split(MARKS[1]).next()
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

/// How deep templates use each other.
const DEEPEST: usize = 20;

/// Fills a template. Errors: see [`Trouble`].
pub fn fill(text: &str, variables: &Variables) -> Result<Filled, Trouble> {
    let mut filler =
        Filler { text, variables, names: Vec::new(), out: Filled::default(), defined: HashMap::new(), depth: 0 };
    filler.run(0, text.len(), &Value::Text(String::new()))?;
    Ok(filler.out)
}

/// What stands in double braces.
#[derive(Clone, Copy)]
struct Action<'t> {
    /// Where the text before it ends, blanks that it takes away left out.
    before: usize,
    /// Where it begins.
    at: usize,
    /// What it says; empty for a comment.
    says: &'t str,
    /// Where the text behind it begins.
    behind: usize,
}

impl<'t> Action<'t> {
    /// The first word, and what follows.
    fn words(&self) -> (&'t str, &'t str) {
        self.says.split_once(char::is_whitespace).unwrap_or((self.says, ""))
    }
}

/// The next action in a part of a text. Errors: it has no end.
fn next_action(text: &str, from: usize, to: usize) -> Result<Option<Action<'_>>, Trouble> {
    let Some(at) = text[from..to].find("{{").map(|at| from + at) else { return Ok(None) };
    let inner = at + 2;
    let trims = text[inner..].starts_with('-') && text[inner + 1..].starts_with(char::is_whitespace);
    let start = inner + usize::from(trims);
    let comment = text[start..].trim_start().starts_with("/*");
    let end = if comment { text[start..].find("*/").map(|end| start + end) } else { Some(start) };
    let end = end.and_then(|end| action_end(&text[end..]).map(|length| end + length));
    let end = end.ok_or_else(|| Trouble::Fails(at, "`{{` without its `}}`".to_owned()))?;
    let says = &text[start..end];
    let trims_behind = says.ends_with('-') && says[..says.len() - 1].ends_with(char::is_whitespace);
    let says = says.strip_suffix('-').filter(|_| trims_behind).unwrap_or(says).trim();
    let rest = &text[end + 2..];
    let behind = if trims_behind { text.len() - rest.trim_start().len() } else { end + 2 };
    let before = if trims { from + text[from..at].trim_end().len() } else { at };
    Ok(Some(Action { before, at, says: if comment { "" } else { says }, behind: behind.min(to.max(end + 2)) }))
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

struct Filler<'v> {
    text: &'v str,
    variables: &'v Variables,
    names: Vec<(String, Value)>,
    out: Filled,
    /// The templates that the text defines: where each begins and ends.
    defined: HashMap<String, (usize, usize)>,
    depth: usize,
}

/// A part of an `if`: its condition (absent: `else`), and where it begins and ends.
type Branch<'t> = (Option<&'t str>, usize, usize);

impl Filler<'_> {
    /// Fills a part of the text; `dot`: what `.` is.
    fn run(&mut self, from: usize, to: usize, dot: &Value) -> Result<(), Trouble> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Trouble::Opaque(from, "the templates use each other too deeply".to_owned()));
        }
        let text = self.text;
        let mut at = from;
        while let Some(action) = next_action(text, at, to)? {
            self.plain(at, action.before);
            at = action.behind;
            let opaque = |why: &str| Trouble::Opaque(action.at, why.to_owned());
            let (word, rest) = action.words();
            match word {
                "" => {}
                "if" => {
                    let (branches, behind) = branches(text, rest, action.behind, to)?;
                    self.branch(action.at, &branches, (action.behind, behind), dot)?;
                    at = behind;
                }
                "define" => {
                    let (branches, behind) = branches(text, rest, action.behind, to)?;
                    let (_, start, end) = branches[0];
                    self.defined.insert(rest.trim().trim_matches('"').to_owned(), (start, end));
                    at = behind;
                }
                "template" => {
                    let (name, with) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), "\"\""));
                    let (start, end) = *self
                        .defined
                        .get(name.trim_matches('"'))
                        .ok_or_else(|| Trouble::Fails(action.at, format!("no such template: {name}")))?;
                    let value = self.value(action.at, with, dot, &opaque)?;
                    self.run(start, end, &value)?;
                }
                "fail" => {
                    let why = format!("the template fails: {}", rest.trim().trim_matches('"'));
                    return Err(Trouble::Fails(action.at, why));
                }
                "end" | "else" => return Err(Trouble::Fails(action.at, format!("`{word}` without `if`"))),
                name if name.starts_with('$') && rest.trim_start().starts_with([':', '=']) => {
                    let value = rest.trim_start().trim_start_matches(':').strip_prefix('=').unwrap_or_default();
                    let value = self.value(action.at, value, dot, &opaque)?;
                    self.names.retain(|(own, _)| own != name);
                    self.names.push((name.to_owned(), value));
                }
                _ => {
                    let value = self.value(action.at, action.says, dot, &opaque)?;
                    self.write(action.at, value);
                }
            }
        }
        self.plain(at, to);
        self.depth -= 1;
        Ok(())
    }

    fn plain(&mut self, from: usize, to: usize) {
        if from < to {
            self.out.pieces.push((self.out.text.len(), from, true));
            self.out.text.push_str(&self.text[from..to]);
        }
    }

    fn write(&mut self, at: usize, value: Value) {
        let text = match value {
            Value::Text(text) => text,
            Value::Int(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Unknown(name) => format!("{}{name}{}", MARKS[0], MARKS[1]),
        };
        self.out.pieces.push((self.out.text.len(), at, false));
        self.out.text.push_str(&text);
    }

    /// Fills the branch of an `if` that counts.
    fn branch(
        &mut self,
        at: usize,
        branches: &[Branch<'_>],
        whole: (usize, usize),
        dot: &Value,
    ) -> Result<(), Trouble> {
        let opaque = |why: &str| Trouble::Opaque(at, why.to_owned());
        for (condition, start, end) in branches {
            let Some(condition) = condition else { return self.run(*start, *end, dot) };
            match self.value(at, condition, dot, &opaque)? {
                // A guard: the file is taken as loaded, since else nothing is.
                Value::Unknown(name) if self.text[*start..*end].contains("fail ") => self.out.guarded.push(name),
                // What stands in one line is one value, which isn't known then.
                Value::Unknown(name) if !self.text[whole.0..whole.1].contains('\n') => {
                    self.write(at, Value::Unknown(name));
                    return Ok(());
                }
                Value::Unknown(_) => return Err(opaque("an `if` on a variable whose value isn't known")),
                value if truth(&value) => return self.run(*start, *end, dot),
                _ => {}
            }
        }
        Ok(())
    }

    fn value(&self, at: usize, text: &str, dot: &Value, opaque: &dyn Fn(&str) -> Trouble) -> Result<Value, Trouble> {
        let mut words = words(text).ok_or_else(|| opaque(&format!("`{}` isn't understood", text.trim())))?;
        let mut piped: Option<Value> = None;
        let mut stages = words.split_mut(|word| *word == "|").peekable();
        while let Some(stage) = stages.next() {
            let (first, more) = stage.split_first().ok_or_else(|| opaque("an empty part"))?;
            let mut arguments =
                more.iter().map(|word| self.word(at, word, dot, opaque)).collect::<Result<Vec<_>, _>>()?;
            let is_call = first.chars().all(|letter| letter.is_ascii_alphanumeric())
                && !first.starts_with(|c: char| c.is_ascii_digit());
            let result = if is_call && !["true", "false"].contains(&&**first) {
                arguments.extend(piped.take());
                self.call(at, first, arguments, opaque)?
            } else if arguments.is_empty() && piped.is_none() {
                self.word(at, first, dot, opaque)?
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

    fn word(&self, at: usize, word: &str, dot: &Value, opaque: &dyn Fn(&str) -> Trouble) -> Result<Value, Trouble> {
        if let Some(inner) = word.strip_prefix('(') {
            return self.value(at, inner.strip_suffix(')').unwrap_or(inner), dot, opaque);
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
            "." => Ok(dot.clone()),
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
            ("regexMatch", [Value::Text(pattern), Value::Text(text)]) => match re2::compile(pattern).as_deref() {
                Ok(Pattern::Regular(regex)) => Value::Bool(regex.is_match(text.as_bytes())),
                _ => return Err(opaque("an expression isn't understood")),
            },
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

/// The branches of an `if` (or the body of a `define`) behind its first action, and where the text behind its `end` begins.
fn branches<'t>(
    text: &'t str,
    condition: &'t str,
    from: usize,
    to: usize,
) -> Result<(Vec<Branch<'t>>, usize), Trouble> {
    let mut out: Vec<Branch<'t>> = Vec::new();
    let (mut condition, mut start, mut at, mut depth) = (Some(condition), from, from, 0_usize);
    while let Some(action) = next_action(text, at, to)? {
        at = action.behind;
        let (word, rest) = action.words();
        match word {
            "if" | "range" | "with" | "define" | "block" => depth += 1,
            "end" if depth == 0 => {
                out.push((condition, start, action.before.max(start)));
                return Ok((out, action.behind));
            }
            "end" => depth -= 1,
            "else" if depth == 0 => {
                out.push((condition, start, action.before.max(start)));
                condition = rest.trim().strip_prefix("if ");
                start = action.behind;
            }
            _ => {}
        }
    }
    Err(Trouble::Fails(from, "`{{ if }}` without its `{{ end }}`".to_owned()))
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
    use super::*;

    fn variables(complete: bool) -> Variables {
        Variables {
            values: [("KEY".to_owned(), "0123456789abcdef".to_owned())].into(),
            complete,
            ..Variables::default()
        }
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
