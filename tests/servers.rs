//! The servers that the other tests start are there, and are the ones that they were written against.

mod common;

use std::process::{Command, Stdio};

/// Each server: its variable, the arguments that make it tell what it is, and what it must tell.
const SERVERS: &[(&str, &[&str], &str)] = &[
    ("LLMGUARD_NGINX_OLD", &["-v"], "nginx/1.22."),
    ("LLMGUARD_NGINX", &["-v"], "nginx/1.31."),
    ("LLMGUARD_CADDY", &["list-modules"], "http.handlers.rate_limit\n"),
    ("LLMGUARD_CADDY_STOCK", &["version"], "v2.11."),
    ("LLMGUARD_TRAEFIK", &["version"], "3.7."),
    ("LLMGUARD_COMPOSE", &["version"], "v2.40."),
    ("LLMGUARD_CHROMIUM", &["--version"], "Chromium "),
];

#[test]
fn the_installed_servers_are_the_expected_ones() {
    for (variable, arguments, expected) in SERVERS {
        let Some(program) = common::server("the_installed_servers_are_the_expected_ones", variable) else { continue };
        let output = Command::new(&program).args(*arguments).stdin(Stdio::null()).output().unwrap();
        let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(told.contains(expected), "{variable}: {} tells {told}", program.display());
    }
}
