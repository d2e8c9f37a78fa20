//! llmguard: one policy for the gateway in front of an LLM server.
//!
//! Data flows one way: [`policy`] (text) → [`policy::plan::Plan`] (resolved) → [`render`] (files) and
//! `lower` → `gateway::Gateway` (what it means) → `gateway::eval` (one request, one decision);
//! `prove` asks a real server the same requests. `ARCHITECTURE.md` has the whole picture.
//!
//! The modules stand here in order: each may use only those above it (checked by `tests/tidy.rs`).

pub mod source;

pub mod diag;

pub mod http;

pub mod secret;

pub mod catalog;

pub mod policy;

pub mod render;

pub mod gateway;

pub mod lower;

pub mod dialect;

pub mod project;

pub mod analysis;

pub mod finding;

pub mod rules;

pub mod report;

pub mod prove;

pub mod keys;

pub mod cli;
