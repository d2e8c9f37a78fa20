//! The places that are to blame for what becomes of a request.
//!
//! In: an outcome. Out: one step of its way. Invariant: it lies in a file, if any of them does.

use crate::gateway::Origin;
use crate::gateway::eval::Outcome;
use crate::source::Span;

/// The place that a request comes to at the end: the last one of its way that lies in a file.
pub fn cause(outcome: &Outcome) -> Option<(usize, Span)> {
    place(outcome).map(|origin| (origin.file(), origin.span()))
}

/// The place that lets a request through: the last one of its way that lies in a file and isn't said for others as well.
pub fn lets_through(outcome: &Outcome) -> Option<&Origin> {
    let own = outcome.steps.iter().rev().find(|origin| origin.span() != Span::default() && !origin.is_shared());
    own.or_else(|| place(outcome))
}

/// The same as a key.
pub fn gap_at(outcome: &Outcome) -> Option<(usize, Span)> {
    lets_through(outcome).map(|origin| (origin.file(), origin.span()))
}

/// The last step that lies in a file.
pub fn place(outcome: &Outcome) -> Option<&Origin> {
    outcome.steps.iter().rev().find(|origin| origin.span() != Span::default()).or(outcome.steps.last())
}
