//! The `expression` matcher (celmatcher.go).
//!
//! In: a CEL expression. Out: a condition; opaque, with the expression's place, where a part isn't understood. Invariant: texts and numbers
//! are never equal to each other, as in CEL; what could be null is opaque where null would make a difference.

mod parse;

use parse::{Expr, parse};

use super::placeholder::Known;
use super::{Compiler, apply};
use crate::dialect::Place;
use crate::gateway::*;

/// Placeholders whose values are numbers.
const NUMBERS: &[&str] = &["http.request.port", "http.error.status_code", "http.reverse_proxy.status_code"];

/// Why an expression isn't followed.
type Why = String;

impl Compiler<'_, '_> {
    /// An expression holds; `name` is that of its regular expressions.
    pub(super) fn cel(&mut self, expression: &str, name: &str, place: Place) -> Predicate {
        let alone = expression.trim();
        if alone.starts_with('{') && alone.find('}') == Some(alone.len() - 1) {
            self.refused(place, "the expression is a placeholder alone, which is no truth value");
        }
        // The expression itself isn't shown: it may hold a key.
        let holds = parse(expression).map_err(|_| "a part".to_owned()).and_then(|expr| self.holds(&expr, name, place));
        holds.unwrap_or_else(|what| Predicate::Opaque(self.reason(place, format!("{what} in an expression"))))
    }

    fn holds(&self, expr: &Expr, name: &str, place: Place) -> Result<Predicate, Why> {
        Ok(match expr {
            Expr::Bool(true) => Predicate::Always,
            Expr::Bool(false) => Predicate::Always.negated(),
            Expr::Not(inner) => self.holds(inner, name, place)?.negated(),
            Expr::Binary("&&", one, other) => {
                Predicate::All(vec![self.holds(one, name, place)?, self.holds(other, name, place)?])
            }
            Expr::Binary("||", one, other) => {
                Predicate::Any(vec![self.holds(one, name, place)?, self.holds(other, name, place)?])
            }
            Expr::Binary("==", one, other) => self.equal(one, other, place)?,
            Expr::Binary("!=", one, other) => self.equal(one, other, place)?.negated(),
            Expr::Binary(operator @ ("<" | "<=" | ">" | ">="), one, other) => {
                let Expr::Number(limit) = **other else { return Err("a comparison".to_owned()) };
                let Some(value) = self.number_of(one, place) else { return Err("a comparison".to_owned()) };
                Predicate::Value(
                    value,
                    match *operator {
                        "<" => Test::Between(i64::MIN, limit.saturating_sub(1)),
                        "<=" => Test::Between(i64::MIN, limit),
                        ">" => Test::Between(limit.saturating_add(1), i64::MAX),
                        _ => Test::Between(limit, i64::MAX),
                    },
                )
            }
            Expr::Binary("in", one, list) => {
                let Expr::List(items) = list.as_ref() else { return Err("`in` something that is no list".to_owned()) };
                let any: Result<Vec<_>, _> = items.iter().map(|item| self.equal(one, item, place)).collect();
                Predicate::Any(any?)
            }
            Expr::Call(method, true, args) => self.method(method, args, place)?,
            Expr::Call(function, false, args) => self.function(function, args, name, place)?,
            _ => return Err("a part".to_owned()),
        })
    }

    /// A text.
    fn text_of(&self, expr: &Expr, place: Place) -> Result<Value, Why> {
        Ok(match expr {
            Expr::Text(text) => Value::literal(text.as_str()),
            Expr::Binary("+", one, other) => {
                Value::concat(vec![self.text_of(one, place)?, self.text_of(other, place)?])
            }
            Expr::Placeholder(key) if NUMBERS.contains(&key.as_str()) => {
                return Err(format!("a number for a text: `{{{key}}}`"));
            }
            Expr::Placeholder(key) => match self.placeholder(key, place) {
                Known::Value(value) if !key.starts_with("http.vars.") => value,
                // Unset, it is null and no text.
                _ => return Err(format!("`{{{key}}}`, which may be null,")),
            },
            Expr::Call(method, true, args) if method == "lowerAscii" || method == "upperAscii" => {
                let function = if method == "lowerAscii" { Function::Lower } else { Function::Upper };
                match args.as_slice() {
                    [text] => apply(function, self.text_of(text, place)?),
                    _ => return Err(format!("`{method}`")),
                }
            }
            Expr::Call(string, false, args) if string == "string" && args.len() == 1 => {
                self.text_of(&args[0], place)?
            }
            Expr::Call(name, ..) => return Err(format!("`{name}`")),
            _ => return Err("a value that is no text".to_owned()),
        })
    }

    /// A number.
    fn number_of(&self, expr: &Expr, place: Place) -> Option<Value> {
        match expr {
            Expr::Number(number) => Some(Value::literal(number.to_string())),
            Expr::Placeholder(key) if NUMBERS.contains(&key.as_str()) => match self.placeholder(key, place) {
                Known::Value(value) | Known::Maybe(value) => Some(value),
                Known::Nothing => None,
            },
            _ => None,
        }
    }

    fn equal(&self, one: &Expr, other: &Expr, place: Place) -> Result<Predicate, Why> {
        let number = |expr: &Expr| self.number_of(expr, place);
        let text = |expr: &Expr| matches!(expr, Expr::Text(_));
        match (number(one), number(other)) {
            (Some(one), Some(other)) => return Ok(Predicate::Value(one, same(other))),
            (Some(_), None) if text(other) => return Ok(Predicate::Always.negated()),
            (None, Some(_)) if text(one) => return Ok(Predicate::Always.negated()),
            _ => {}
        }
        // What may be null equals a text only if it is that text.
        let maybe = |expr: &Expr, other: &Expr| match (expr, other) {
            (Expr::Placeholder(key), Expr::Text(text)) if !text.is_empty() && !NUMBERS.contains(&key.as_str()) => {
                match self.placeholder(key, place) {
                    Known::Value(value) | Known::Maybe(value) => {
                        Some(Predicate::Value(value, Test::Equals(text.as_str().into())))
                    }
                    Known::Nothing => Some(Predicate::Always.negated()),
                }
            }
            _ => None,
        };
        if let Some(predicate) = maybe(one, other).or_else(|| maybe(other, one)) {
            return Ok(predicate);
        }
        let (one, other) = (self.text_of(one, place)?, self.text_of(other, place)?);
        Ok(match one.as_literal() {
            Some(_) => Predicate::Value(other, same(one)),
            None => Predicate::Value(one, same(other)),
        })
    }

    fn method(&self, method: &str, args: &[Expr], place: Place) -> Result<Predicate, Why> {
        let [object, argument] = args else { return Err(format!("`{method}`")) };
        let object = self.text_of(object, place)?;
        let Expr::Text(text) = argument else { return Err(format!("a computed argument of `{method}`")) };
        let bytes = text.clone().into_bytes();
        let test = match method {
            "startsWith" => Test::Prefix(bytes),
            "endsWith" => Test::Suffix(bytes),
            "contains" => Test::Contains(bytes),
            "matches" => Test::Regex(self.pattern(text, place), Captures::Dropped),
            _ => return Err(format!("`{method}`")),
        };
        let object = if method == "matches" { apply(Function::Lossy, object) } else { object };
        Ok(Predicate::Value(object, test))
    }

    /// A matcher as a function.
    fn function(&self, function: &str, args: &[Expr], name: &str, place: Place) -> Result<Predicate, Why> {
        let texts: Option<Vec<String>> = args
            .iter()
            .map(|arg| match arg {
                Expr::Text(text) => Some(text.clone()),
                _ => None,
            })
            .collect();
        let wrong = || Err(format!("`{function}`"));
        if let ("header" | "query" | "vars", [Expr::Map(entries)]) = (function, args) {
            return self.by_name(function, entries, place);
        }
        let Some(texts) = texts else { return wrong() };
        let named = |texts: &[String]| match texts {
            [pattern] => Some((name.to_owned(), pattern.clone())),
            [own, pattern] => Some((if own.is_empty() { name.to_owned() } else { own.clone() }, pattern.clone())),
            _ => None,
        };
        Ok(match (function, texts.as_slice()) {
            ("path", [_, ..]) => self.path_is(&texts, place),
            // Unlike elsewhere, a method in small letters stays so.
            ("method", [_, ..]) => {
                Predicate::Value(Value::Method, Test::OneOf(texts.iter().map(|text| text.clone().into()).collect()))
            }
            ("host", [_, ..]) => self.host_is(&texts, place),
            ("protocol", [protocol]) => super::matchers::protocol(&protocol.to_lowercase()),
            ("tls", []) => super::matchers::protocol("https"),
            ("remote_ip", [_, ..]) => match self.listed(&texts, place) {
                Ok(networks) => Predicate::Client(networks),
                Err(range) => return Err(format!("the range `{range}`")),
            },
            ("client_ip", [_, ..]) if !self.client_ip => match self.listed(&texts, place) {
                Ok(networks) => Predicate::Client(networks),
                Err(range) => return Err(format!("the range `{range}`")),
            },
            ("path_regexp", list) => {
                let Some((name, pattern)) = named(list) else { return wrong() };
                let path = apply(Function::Lossy, apply(Function::Clean(true), Value::Path));
                Predicate::Value(path, self.regex(&pattern, &name, place))
            }
            ("header_regexp" | "vars_regexp", [own @ .., field, pattern]) if own.len() < 2 => {
                let name = own.first().filter(|own| !own.is_empty()).map_or(name, String::as_str);
                let regex = self.regex(pattern, name, place);
                match function {
                    "header_regexp" => self.header_passes(field, regex),
                    _ => Predicate::Value(apply(Function::Lossy, self.key(field, place)), regex),
                }
            }
            _ => return wrong(),
        })
    }

    fn by_name(&self, function: &str, entries: &[(Expr, Expr)], place: Place) -> Result<Predicate, Why> {
        let mut all = Vec::new();
        for (key, values) in entries {
            let Expr::Text(key) = key else { return Err(format!("a key of `{function}`")) };
            let list = match values {
                Expr::List(list) => list.as_slice(),
                one => std::slice::from_ref(one),
            };
            let texts: Option<Vec<String>> = list
                .iter()
                .map(|value| match value {
                    Expr::Text(text) => Some(text.clone()),
                    Expr::Placeholder(name) => Some(format!("{{{name}}}")),
                    _ => None,
                })
                .collect();
            let Some(texts) = texts else { return Err(format!("a value of `{function}`")) };
            all.push(match function {
                "header" => self.header_is(key, &texts, place),
                "query" => self.query_is(key, &texts, place),
                _ => self.variable_in(key, &texts, place),
            });
        }
        Ok(if function == "vars" { Predicate::Any(all) } else { Predicate::All(all) })
    }
}

fn same(value: Value) -> Test {
    match value {
        Value::Literal(bytes) => Test::Equals(bytes.into_owned()),
        value => Test::Same(Box::new(value)),
    }
}
