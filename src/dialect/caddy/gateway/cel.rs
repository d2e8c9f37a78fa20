//! The `expression` matcher (CEL).
use super::Compiler;
use crate::dialect::Place;
use crate::gateway::*;

impl Compiler<'_, '_> {
    pub(super) fn cel(&self, expression: &str, _name: &str, place: Place) -> Predicate {
        Predicate::Opaque(self.reason(place, format!("the expression `{expression}`")))
    }
}
