//! The policy file: as written ([`file`]), every problem at once ([`validate`]), and resolved ([`plan`]).
//!
//! In: the text of `llmguard.toml` and the variables that it names. Out: a [`plan::Plan`], or diagnostics.

pub mod certificate;
pub mod env_file;
pub mod plan;
pub mod rate;
