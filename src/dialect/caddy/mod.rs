//! Caddyfiles and Caddy's JSON.
//!
//! In: a Caddyfile with all it imports. Out: the JSON document that `caddy adapt` makes of it, each node with its place.

pub mod gateway;
