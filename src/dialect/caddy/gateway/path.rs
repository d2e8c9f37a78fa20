//! Caddy's `path` matcher (MatchPath).
//!
//! In: its patterns. Out: a condition. Invariant: a path is compared decoded, cleaned and in lower case, unless the pattern has a `%`.

use super::placeholder::Unknown;
use super::{Compiler, apply, var, variable};
use crate::dialect::Place;
use crate::gateway::*;

impl Compiler<'_, '_> {
    /// One of these patterns fits the path.
    pub(super) fn path_is(&self, patterns: &[String], place: Place) -> Predicate {
        if patterns.iter().any(|pattern| pattern == "*") {
            return Predicate::Always;
        }
        Predicate::Any(patterns.iter().map(|pattern| self.fits(pattern, place)).collect())
    }

    fn fits(&self, pattern: &str, place: Place) -> Predicate {
        match self.value(pattern, Unknown::Empty, place) {
            Value::Literal(pattern) => fixed(&String::from_utf8_lossy(&pattern).to_lowercase()),
            value => {
                let path = apply(Function::Clean(true), apply(Function::LowerText, Value::Path));
                Predicate::Value(path, Test::PathPattern(Box::new(value)))
            }
        }
    }
}

fn fixed(pattern: &str) -> Predicate {
    if pattern == "*" {
        return Predicate::Always;
    }
    let merge = !pattern.contains("//");
    if pattern.contains('%') {
        let path = apply(Function::Clean(merge), variable(var::PATH));
        return Predicate::Value(path, Test::EscapedGlob(pattern.into()));
    }
    let path = apply(Function::Clean(merge), apply(Function::LowerText, Value::Path));
    let inner = pattern.strip_prefix('*').and_then(|pattern| pattern.strip_suffix('*'));
    let test = match pattern.matches('*').count() {
        2 if inner.is_some() => Test::Contains(inner.unwrap_or_default().into()),
        1 if pattern.starts_with('*') => Test::Suffix(pattern[1..].into()),
        1 if pattern.ends_with('*') => Test::Prefix(pattern[..pattern.len() - 1].into()),
        0 if !pattern.contains(['?', '[', '\\']) => Test::Equals(pattern.into()),
        _ => Test::Glob(pattern.into()),
    };
    Predicate::Value(path, test)
}
