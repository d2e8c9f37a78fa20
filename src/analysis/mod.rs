//! What gateways do, looked at from outside.
//!
//! In: [`crate::gateway::Gateway`]s and requests. Out: facts about them, in the words of whoever reads configs. Invariant: nothing here
//! knows a dialect; whatever is said names its place in a file.

pub mod answer;
pub mod boundary;
pub mod caller;
mod cause;
pub mod curl;
pub mod decision;
pub mod entry;
pub mod explain;
pub mod live;
pub mod matrix;
pub mod measure;
mod merged;
mod shape;
pub mod side_by_side;
pub mod survey;
pub mod witness;
pub mod words;
