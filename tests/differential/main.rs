//! Differential tests: random configs of each dialect and requests aimed at their boundaries; the real server and the evaluator must agree
//! on outcome, status, and what the upstream gets.
//!
//! `cargo test --test differential` asks as many pairs as fit in a minute or so. The long run, 20,000 pairs for each server from another
//! seed: `LLMGUARD_PAIRS=20000 LLMGUARD_SEED=1 cargo test --release --test differential -- --nocapture --test-threads 1`.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where something is not there")]

mod caddy;
#[path = "../common/mod.rs"]
mod common;
mod harness;
mod nginx;
#[path = "../common/random.rs"]
mod random;
#[path = "../common/real.rs"]
mod real;
mod self_test;
mod traefik;

use harness::{Generator, agrees};
use real::Kind;

/// Runs a generator against a server, or says why not.
fn differential(name: &str, kind: Kind, pairs: usize, generator: Option<&dyn Generator>) {
    let Some(program) = common::server(name, kind.variable()) else { return };
    match generator {
        Some(generator) => agrees(kind, &program, generator, pairs),
        None => common::skip(name, "its generator isn't written yet"),
    }
}

#[test]
fn nginx_old() {
    differential("differential nginx_old", Kind::NginxOld, 3000, nginx::generator());
}

#[test]
fn nginx() {
    differential("differential nginx", Kind::Nginx, 3000, nginx::generator());
}

#[test]
fn caddy() {
    differential("differential caddy", Kind::Caddy, 1500, caddy::generator());
}

#[test]
fn traefik() {
    differential("differential traefik", Kind::Traefik, 1500, traefik::generator());
}
