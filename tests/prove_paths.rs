//! `llmguard prove PATH` on the real servers: each config's answers are what its files say, and a config that lies is told.
//!
//! In: small configs of nginx, Caddy and Traefik, and the cases of `fixtures/prove`: files with a `case.toml` (`arguments`, the `exit` code,
//! parts of what is said; `lie`: a text of the moved config and what stands there instead when the server reads it, so that a difference
//! must be told). Out: exit codes and reports. Needs the servers that `tests/servers/install.sh` installs.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// The variables that name the servers' programs.
const SERVERS: [&str; 3] = ["LLMGUARD_NGINX", "LLMGUARD_CADDY", "LLMGUARD_TRAEFIK"];

/// A `case.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "note")]
    _note: String,
    arguments: Vec<String>,
    exit: i32,
    says: Vec<String>,
    lie: Option<[String; 2]>,
}

/// Runs `prove` in a folder with these files; gives the exit code and what it printed.
fn prove(files: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    run(folder.path(), arguments, &[])
}

/// Runs `prove` in a folder, with these variables beside the servers' own.
fn run(folder: &Path, arguments: &[&str], variables: &[(&str, PathBuf)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmguard"));
    command.arg("prove").args(arguments).args(["--most", "300"]).current_dir(folder);
    for variable in SERVERS {
        command.envs(common::server("prove_paths", variable).map(|path| (variable, path)));
    }
    let out = command.envs(variables.iter().cloned()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code(), format!("{}{}", text(out.stdout), text(out.stderr)))
}

/// Programs that change what stands in the folder in which they run, and are the real servers then.
fn liars(folder: &Path, [from, to]: &[String; 2]) -> Vec<(&'static str, PathBuf)> {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let plain = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut all = Vec::new();
    for variable in SERVERS {
        let Some(real) = common::server("prove_paths", variable) else { continue };
        let change = format!(
            "BEGIN {{ f = \"{}\"; t = \"{}\" }} {{ while (at = index($0, f)) {{ printf \"%s%s\", substr($0, 1, at - 1), t; $0 = substr($0, at + length(f)) }} print }}",
            plain(from),
            plain(to)
        );
        let script = format!(
            "#!/bin/sh\ncase \"$PWD\" in */llmguard-*) for file in $(find . -type f -name '*.conf' -o -name '*.json' -o -name '*.yml'); do \
             awk {} \"$file\" >lie && cat lie >\"$file\"; done;; esac\nexec {} \"$@\"\n",
            quoted(&change),
            quoted(&real.display().to_string())
        );
        let path = folder.join(variable);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        all.push((variable, path));
    }
    all
}

#[test]
fn every_case_is_proven_and_a_server_that_does_otherwise_is_told() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/prove");
    let mut folders: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let mut wrong = Vec::new();
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let case: Case = toml::from_str(&fs::read_to_string(folder.join("case.toml")).unwrap()).unwrap();
        let arguments: Vec<&str> = case.arguments.iter().map(String::as_str).collect();
        let (code, said) = run(&folder, &arguments, &[]);
        let missing: Vec<&String> = case.says.iter().filter(|part| !said.contains(part.as_str())).collect();
        if code != Some(case.exit) || !missing.is_empty() {
            wrong.push(format!("{name}: {code:?}, {missing:?} isn't said: {said}"));
        }
        let Some(lie) = &case.lie else { continue };
        let liars_folder = tempfile::tempdir().unwrap();
        let (code, said) = run(&folder, &arguments, &liars(liars_folder.path(), lie));
        if code != Some(1) || !said.contains("from what the files say") {
            wrong.push(format!("{name}: {lie:?} isn't noticed: {code:?}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
