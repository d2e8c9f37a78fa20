//! Every policy of `fixtures/conformance` on every real server of this machine. One test a server; a server that isn't there is a named
//! skip.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not there")]

mod common;
mod suite;

use llmguard::policy::plan::Proxy;
use llmguard::prove::engine::Engine;
use llmguard::prove::stage::Form;

fn conforms(proxy: Proxy, test: &str, variable: &str) {
    let Some(program) = common::server(test, variable) else { return };
    suite::conforms(Form::of(proxy), |plan, phase| Engine::start(plan, proxy, &program, phase));
}

#[test]
fn nginx_of_debian_answers_by_every_policy() {
    conforms(Proxy::Nginx, "conformance-nginx-old", "LLMGUARD_NGINX_OLD");
}

#[test]
fn current_nginx_answers_by_every_policy() {
    conforms(Proxy::Nginx, "conformance-nginx", "LLMGUARD_NGINX");
}

#[test]
fn caddy_answers_by_every_policy() {
    conforms(Proxy::Caddy, "conformance-caddy", "LLMGUARD_CADDY");
}

#[test]
fn traefik_answers_by_every_policy() {
    conforms(Proxy::Traefik, "conformance-traefik", "LLMGUARD_TRAEFIK");
}
