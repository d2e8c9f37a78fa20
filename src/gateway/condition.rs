//! A clause's condition.
//!
//! In: a [`Predicate`]. Out: the same in few bytes, since most hold always and many are alike. Invariant: reads as the predicate.

use std::sync::Arc;

use super::Predicate;

/// A predicate that clauses share; absent: it holds.
#[derive(Clone, Default)]
pub struct Condition(Option<Arc<Predicate>>);

impl std::ops::Deref for Condition {
    type Target = Predicate;

    fn deref(&self) -> &Predicate {
        self.0.as_deref().unwrap_or(&Predicate::Always)
    }
}

impl From<Predicate> for Condition {
    fn from(predicate: Predicate) -> Condition {
        match predicate {
            Predicate::Always => Condition(None),
            other => Condition(Some(Arc::new(other))),
        }
    }
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&**self, out)
    }
}
