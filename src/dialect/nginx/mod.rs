//! nginx: its configs as nginx reads them.

pub mod config;
