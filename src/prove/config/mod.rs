//! A user's own config on a real server: moved aside, started, asked, and its answers set beside the evaluator's.
//!
//! In: configs as they were read. Out: a report of the differences, in the user's own names. Invariant: what the evaluator reads is what
//! the server reads; nothing of the user's is bound, written or asked.

pub mod edits;
pub mod nginx;
pub mod requests;
pub mod site;
pub mod world;
