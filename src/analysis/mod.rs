//! What gateways do, looked at from outside.
//!
//! In: [`crate::gateway::Gateway`]s and requests. Out: facts about them, in the words of whoever reads configs. Invariant: nothing here
//! knows a dialect; whatever is said names its place in a file.

pub mod boundary;
pub mod explain;
pub mod words;
