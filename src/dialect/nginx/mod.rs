//! nginx: its configs as nginx reads them.

pub mod config;
pub mod context;
mod faults;
mod glob;
pub mod lexer;
mod lua;
mod meaning;
pub mod read;
mod store;

pub use meaning::{gateway, read_gateway};
