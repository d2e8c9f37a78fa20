//! Reading what `render` wrote gives the policy back: for every policy of `fixtures/conformance` and for random ones, every question that
//! `prove` would ask gets the policy's answer from the interpreted files, for each target that this program can read.
//!
//! No server is started: that the servers answer so as well is what tests/conformance.rs shows. `LLMGUARD_CASES` (default 1) multiplies
//! the number of random policies, `LLMGUARD_SEED` (default 0) chooses others.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not there")]

mod ask;
mod conformance;
#[path = "../common/policies.rs"]
mod policies;
mod random;
