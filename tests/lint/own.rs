//! What llmguard writes itself is in order: every policy of `fixtures/conformance`, rendered for every target that can enforce it, linted with
//! that policy.
//!
//! In: the policies. Out: one failure for each finding at warning or above. Invariant: only what a policy's `gaps` names is left out, and
//! compose projects for servers that a project can't hold.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TARGETS: &[&str] = &["nginx", "caddy", "traefik", "traefik-file", "compose"];

/// Policies that no compose project can hold: its upstream is elsewhere, or its proxy lacks something.
const NOT_COMPOSE: &[&str] = &["connections", "team", "vllm"];

fn llmguard(policy: &Path, arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmguard"));
    command.arg("-q").args(arguments).arg("--policy").arg(policy.join("llmguard.toml"));
    command.arg("--env-file").arg(policy.join("env")).current_dir(folder).env_clear().output().unwrap()
}

#[test]
fn what_is_rendered_has_no_findings() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/conformance");
    let mut policies: Vec<PathBuf> = super::folders(&policies);
    policies.sort();
    let mut wrong = Vec::new();
    let mut linted = 0;
    for policy in &policies {
        let name = policy.file_name().unwrap().to_string_lossy().into_owned();
        let gaps = fs::read_to_string(policy.join("gaps")).unwrap_or_default();
        for target in TARGETS {
            let gap = gaps.lines().any(|line| line.split_whitespace().next() == Some(target));
            if gap || *target == "compose" && NOT_COMPOSE.contains(&name.as_str()) {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let out = llmguard(policy, &["render", "--target", target, "--out", "."], folder.path());
            assert!(out.status.success(), "{name} {target}: {}", String::from_utf8_lossy(&out.stderr));
            let out = llmguard(policy, &["lint", "--format", "concise", "."], folder.path());
            let told = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
            let bad: Vec<&str> = told.lines().filter(|line| !line.contains(": info[")).collect();
            if !bad.is_empty() || !out.status.success() {
                wrong.push(format!("{name} {target}: exit code {:?}\n{}", out.status.code(), bad.join("\n")));
            }
            linted += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(linted > 30, "only {linted} were linted");
}
