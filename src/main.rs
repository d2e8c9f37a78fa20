//! The `llmguard` program.

fn main() {}
