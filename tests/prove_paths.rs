//! `llmguard prove PATH` on the real servers: each config's answers are what its files say, and a config that lies is told.
//!
//! In: small configs of nginx, Caddy and Traefik. Out: exit codes and reports. Needs the servers that `tests/servers/install.sh` installs.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::process::Command;

/// Runs `prove` in a folder with these files; gives the exit code and what it printed.
fn prove(files: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmguard"));
    command.arg("prove").args(arguments).args(["--most", "300"]).current_dir(folder.path());
    let out = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code(), format!("{}{}", text(out.stdout), text(out.stderr)))
}

fn agrees(files: &[(&str, &str)], arguments: &[&str]) {
    let (code, said) = prove(files, arguments);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("every answer is what the files say"), "{said}");
    assert!(!said.contains(" 0 requests"), "{said}");
}

#[test]
fn nginx_does_what_its_files_say() {
    let config = "limit_req_zone $binary_remote_addr zone=z:1m rate=5r/s;
upstream pool { server llm-1:11434; server llm-2:11434; }
server {
    listen 80;
    limit_req zone=z burst=5 nodelay;
    location /v1/ { auth_basic a; auth_basic_user_file users; proxy_pass http://pool; }
    location = /health { return 200; }
    location ~ ^/api/(pull|push)$ { return 403; }
    location / { if ($http_x_api_key != \"not-a-real-key\") { return 401; } proxy_pass http://llm.test:11434/x/; }
}
";
    agrees(&[("llm.conf", config), ("users", "ann:$apr1$not$known\n")], &["llm.conf"]);
}

#[test]
fn caddy_does_what_its_files_say() {
    let config = ":8080 {
\t@key header Authorization \"Bearer {$API_KEY}\"
\thandle /health {
\t\trespond OK 200
\t}
\thandle @key {
\t\treverse_proxy llm.test:11434
\t}
\thandle /admin/* {
\t\tbasic_auth {
\t\t\tann $2a$14$abcdefghijklmnopqrstuuJ0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d
\t\t}
\t\treverse_proxy 192.0.2.1:9000
\t}
\thandle {
\t\trespond 401
\t}
}
";
    agrees(&[("Caddyfile", config), ("env", "API_KEY=not-a-real-key\n")], &["Caddyfile", "--env-file", "env"]);
}

#[test]
fn traefik_does_what_its_files_say() {
    let main = "entryPoints: {web: {address: ':80'}}\nproviders: {file: {filename: dynamic.yml}}\napi: {}\n";
    let dynamic = "http:
  routers:
    key: {rule: 'PathPrefix(`/v1`) && Header(`X-API-Key`, `not-a-real-key`)', service: llm}
    admin: {rule: 'Path(`/api/pull`) && Method(`POST`)', service: llm, middlewares: [login]}
  middlewares:
    login: {basicAuth: {users: ['ann:$2y$05$abcdefghijklmnopqrstuuJ0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d']}}
  services:
    llm: {loadBalancer: {servers: [{url: 'http://llm.test:11434'}]}}
";
    agrees(&[("traefik.yml", main), ("dynamic.yml", dynamic)], &["traefik.yml", "dynamic.yml"]);
}

#[test]
fn what_cannot_be_proven_is_told() {
    let computed = "server { listen 80; location / { proxy_pass $scheme://x; } }\n";
    let (code, said) = prove(&[("llm.conf", computed)], &["llm.conf"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("llm.conf:1: `proxy_pass $scheme://x` can't be moved"), "{said}");
    let (code, said) = prove(&[("users", "ann:$apr1$not$known\n")], &["users", "--as", "htpasswd"]);
    assert_eq!(code, Some(2), "{said}");
}
