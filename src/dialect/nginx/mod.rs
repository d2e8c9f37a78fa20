//! nginx: its configs as nginx reads them.

mod check;
pub mod config;
pub mod context;
mod faults;
mod glob;
mod infer;
pub mod lexer;
mod lua;
mod meaning;
mod modules;
pub mod read;
mod store;
pub mod table;
pub mod units;

pub use meaning::users::passwords;
pub use meaning::{gateway, read_gateway};
