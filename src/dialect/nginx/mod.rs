//! nginx: its configs as nginx reads them.

pub mod config;
pub mod context;
mod faults;
mod glob;
pub mod lexer;
mod lua;
pub mod read;
mod store;
