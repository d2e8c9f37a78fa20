//! Regular expressions.
//!
//! In: an expression, in the syntax of whoever wrote it. Out: a [`Pattern`]. Invariant: equal expressions are one in memory, since compiling one
//! takes longer than reading a site, and tens of kB.

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// How many compiled expressions are remembered; configs with more are rare, and are read right as well.
const MOST: usize = 10_000;

/// A regular expression as a server reads it.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// Linear time.
    Regular(regex::bytes::Regex),
    /// With look-around, back references or the like; bytes that aren't UTF-8 are not to be known.
    Fancy(Box<fancy_regex::Regex>),
    /// Not understood: why.
    Opaque(Cow<'static, str>),
}

/// In whose syntax an expression is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// Of the `regex` crate, over bytes.
    Bytes,
    /// Go's.
    Re2,
    /// PCRE's.
    Pcre,
    /// PCRE's, letters in any case.
    PcreAnyCase,
}

/// Compiled expressions by their text.
type Known = HashMap<(Syntax, Box<str>), Arc<Pattern>>;

/// The expressions that were compiled so far.
static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

impl Pattern {
    /// An expression of this crate's own, over bytes.
    pub fn of(text: &str) -> Arc<Pattern> {
        let compile = || match regex::bytes::Regex::new(text) {
            Ok(regex) => Ok::<Pattern, Infallible>(Pattern::Regular(regex)),
            Err(error) => Ok(Pattern::Opaque(error.to_string().into())),
        };
        match Pattern::shared(Syntax::Bytes, text, compile) {
            Ok(pattern) => pattern,
            Err(never) => match never {},
        }
    }

    /// The pattern of an expression: the known one, else what `compile` gives. Errors: those of `compile`, each time.
    pub fn shared<E>(
        syntax: Syntax,
        text: &str,
        compile: impl FnOnce() -> Result<Pattern, E>,
    ) -> Result<Arc<Pattern>, E> {
        let key = (syntax, Box::from(text));
        if let Some(known) = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(known));
        }
        // Compiled without the lock: others have their own to compile.
        let made = Arc::new(compile()?);
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        Ok(Arc::clone(known.entry(key).or_insert(made)))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, sum: &mut H) {
        std::ptr::hash(self, sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_expressions_are_one() {
        assert!(Arc::ptr_eq(&Pattern::of("^a$"), &Pattern::of("^a$")));
        assert!(matches!(*Pattern::of("("), Pattern::Opaque(_)));
        let wrong = Pattern::shared(Syntax::Re2, "^a$", || Err::<Pattern, &str>("wrong"));
        assert_eq!(wrong.err(), Some("wrong"));
    }
}
