//! What the matchers of rules mean: each as a condition on a request.
//!
//! In: a [`Rule`] and its syntax. Out: a [`Predicate`], or why Traefik drops the router. Invariant: a rule is dropped exactly where
//! Traefik 3.7.15 drops it (facts: pkg/muxer/http of Traefik, measured).

use super::rule::Rule;
use super::template::{guessable_in, unknown_in};
use super::v2;
use crate::dialect::re2;
use crate::gateway::{Captures, Function, Lines, Pattern, Predicate, Test, Value};

/// What is said of a matcher that only Traefik 2 knew.
pub const OF_TRAEFIK_2: &str = " (a matcher of Traefik 2)";

/// The syntax of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// Traefik 2.
    V2,
    /// Traefik 3.
    V3,
}

/// Headers that Go takes out of a request before anybody can match them.
const TAKEN_OUT: [&str; 2] = ["host", "transfer-encoding"];

const V3: [(&str, &[usize]); 11] = [
    ("ClientIP", &[1]),
    ("Method", &[1]),
    ("Host", &[1]),
    ("HostRegexp", &[1]),
    ("Path", &[1]),
    ("PathRegexp", &[1]),
    ("PathPrefix", &[1]),
    ("Header", &[2]),
    ("HeaderRegexp", &[2]),
    ("Query", &[1, 2]),
    ("QueryRegexp", &[1, 2]),
];

/// What a rule means. Errors: why Traefik drops its router.
pub fn predicate(rule: &Rule, syntax: Syntax) -> Result<Predicate, String> {
    Ok(match rule {
        Rule::And(left, right) => Predicate::All(vec![predicate(left, syntax)?, predicate(right, syntax)?]),
        Rule::Or(left, right) => Predicate::Any(vec![predicate(left, syntax)?, predicate(right, syntax)?]),
        Rule::Not(inner) => predicate(inner, syntax)?.negated(),
        Rule::Unknown(why) => Predicate::Opaque(why.clone().into()),
        Rule::Matcher(name, arguments) => {
            let called = |known: &&&str| is_called(name, known);
            let known = match syntax {
                Syntax::V3 => V3.iter().map(|(name, _)| name).find(called),
                Syntax::V2 => v2::NAMES.iter().find(called),
            };
            let known = known.ok_or_else(|| format!("unsupported function: `{name}`{}", other_syntax(name, syntax)))?;
            if arguments.is_empty() {
                return Err(format!("no arguments for `{known}`"));
            }
            if arguments.iter().any(String::is_empty) {
                return Err(format!("an empty argument for `{known}`"));
            }
            match syntax {
                Syntax::V3 => matcher(known, arguments)?,
                Syntax::V2 => v2::matcher(known, arguments)?,
            }
        }
    })
}

/// A matcher's name may be written as it is, in lower case, in upper case, or with one capital.
fn is_called(name: &str, known: &str) -> bool {
    if !name.eq_ignore_ascii_case(known) {
        return false;
    }
    let (first, rest) = (&name[..1], &name[1..]);
    let lower = |text: &str| !text.contains(|letter: char| letter.is_ascii_uppercase());
    let upper = |text: &str| !text.contains(|letter: char| letter.is_ascii_lowercase());
    name == known || lower(name) || upper(name) || upper(first) && lower(rest)
}

fn other_syntax(name: &str, syntax: Syntax) -> &'static str {
    match syntax {
        Syntax::V3 if v2::NAMES.contains(&name) => OF_TRAEFIK_2,
        Syntax::V2 if V3.iter().any(|(own, _)| *own == name) => " (a matcher of Traefik 3)",
        _ => "",
    }
}

fn matcher(name: &str, arguments: &[String]) -> Result<Predicate, String> {
    let counts = V3.iter().find(|(own, _)| *own == name).map(|(_, counts)| *counts).unwrap_or_default();
    if !counts.contains(&arguments.len()) {
        return Err(format!("`{name}` has {} arguments instead of {}", arguments.len(), counts[0]));
    }
    if let Some(why) = unknown(name, arguments) {
        return Ok(Predicate::Opaque(why.into()));
    }
    let first = &arguments[0];
    let second = arguments.get(1).map(String::as_str).unwrap_or_default();
    Ok(match name {
        "ClientIP" => Predicate::Client(super::address::networks(&[first])?.into()),
        "Method" => Predicate::Value(Value::Method, Test::Equals(first.to_uppercase().into())),
        "Host" => host(first)?,
        "HostRegexp" => {
            let pattern = ascii(first, name).and_then(regex)?;
            // Without CNAME flattening the expression is also tried on the empty name that would stand in its place.
            match &pattern {
                Test::Regex(pattern, _) if matches_nothing(pattern) => Predicate::Always,
                _ => Predicate::Value(Value::Host, pattern),
            }
        }
        "Path" => Predicate::Value(Value::Path, Test::Equals(rooted(first)?.into())),
        "PathPrefix" => Predicate::Value(Value::Path, Test::Prefix(rooted(first)?.into())),
        "PathRegexp" => Predicate::Value(super::path::apply(Function::Lossy, Value::Path), regex(first)?),
        "Header" => header(first, Test::Equals(second.into())),
        "HeaderRegexp" => header(first, regex(second)?),
        "QueryRegexp" if arguments.len() == 2 => Predicate::Argument(first.as_bytes().to_vec(), regex(second)?),
        _ => Predicate::Argument(first.as_bytes().to_vec(), Test::Equals(second.into())),
    })
}

/// Why the arguments of a matcher aren't known. Headers, queries and addresses are what only some callers have, a host is everybody's.
pub fn unknown(name: &str, arguments: &[String]) -> Option<String> {
    let secret = ["Header", "Query", "ClientIP"].iter().any(|start| name.starts_with(start));
    let why = if secret { unknown_in } else { guessable_in };
    arguments.iter().find_map(|argument| why(argument))
}

/// A request header passes.
pub fn header(name: &str, test: Test) -> Predicate {
    if TAKEN_OUT.iter().any(|taken| name.eq_ignore_ascii_case(taken)) {
        return Predicate::Any(Vec::new());
    }
    Predicate::Header(name.to_owned(), Lines::Any, test)
}

/// An expression as a test.
pub fn regex(expression: &str) -> Result<Test, String> {
    let pattern = re2::compile(expression).map_err(|why| format!("the expression `{expression}`: {why}"))?;
    Ok(Test::Regex(pattern, Captures::Dropped))
}

fn matches_nothing(pattern: &Pattern) -> bool {
    matches!(pattern, Pattern::Regular(regex) if regex.is_match(b""))
}

fn rooted(path: &str) -> Result<&str, String> {
    path.starts_with('/').then_some(path).ok_or_else(|| format!("the path `{path}` doesn't begin with `/`"))
}

/// What must be ASCII.
pub fn ascii<'t>(text: &'t str, name: &str) -> Result<&'t str, String> {
    text.is_ascii().then_some(text).ok_or_else(|| format!("`{text}` isn't ASCII, which `{name}` wants"))
}

fn host(expression: &str) -> Result<Predicate, String> {
    if expression == "*" {
        return Ok(Predicate::Always);
    }
    let name = ascii(expression, "Host")?.to_lowercase();
    let mut names = vec![name.clone(), format!("{name}.")];
    names.extend(name.strip_suffix('.').map(str::to_owned));
    if !name.starts_with('*') {
        let names = names.into_iter().filter(|name| !name.is_empty()).map(String::into_bytes);
        return Ok(Predicate::Value(Value::Host, Test::OneOf(names.collect())));
    }
    // `*.a.b` stands for one label before `.a.b`; `*a` for nothing.
    let labels = names.iter().map(|name| &name[1..]).filter(|rest| rest.starts_with('.'));
    let any = labels.map(|rest| format!("[^.]*{}", regex::escape(rest)));
    match any.collect::<Vec<_>>() {
        parts if parts.is_empty() => Ok(Predicate::Any(Vec::new())),
        parts => Ok(Predicate::Value(Value::Host, regex(&format!("^(?:{})$", parts.join("|")))?)),
    }
}
