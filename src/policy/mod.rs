//! The policy file: as written ([`file`]), every problem at once ([`validate`]), and resolved ([`plan`]).
//!
//! In: the text of `llmguard.toml` and the variables that it names. Out: a [`plan::Plan`], or diagnostics.
//! Invariant: no plan comes out of a policy with errors.

mod access;
pub mod certificate;
mod clients;
mod cors;
mod deploy;
pub mod env_file;
pub mod file;
mod listen;
mod parse;
pub mod plan;
pub mod rate;
pub mod secrets;
mod syntax;
mod upstream;
pub mod validate;
pub mod value;
pub mod variables;
