//! `llmguard lint` over configs with one mistake each, and over their twins without it.
//!
//! In: `fixtures/lint/RULE/CASE/`: configs, perhaps `args` with one argument of `lint` in each line (else `.`), and `expected.txt`, what
//! `--format concise` prints: nothing for a config in order. Out: one failure for each case that is told otherwise; `LLMGUARD_BLESS=1` writes
//! what is told now. `real.rs` sends the requests of the findings to the real servers.

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod alike;
mod case;
mod claims;
#[path = "../common/mod.rs"]
mod common;
mod curls;
mod fixed;
mod own;
mod real;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every case, in order.
fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lint");
    let mut all: Vec<PathBuf> = folders(&folder).iter().flat_map(|rule| folders(rule)).collect();
    all.sort();
    all
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

/// The arguments of a case.
fn arguments(case: &Path) -> Vec<String> {
    match fs::read_to_string(case.join("args")) {
        Ok(text) => text.lines().map(str::to_owned).collect(),
        Err(_) => vec![".".to_owned()],
    }
}

/// What is told about a case, and the exit code.
fn linted(case: &Path, format: &str) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmguard"));
    command.args(["-q", "lint", "--format", format]).args(arguments(case)).current_dir(case).env_clear();
    let out = command.output().unwrap();
    (format!("{}{}", String::from_utf8(out.stderr).unwrap(), String::from_utf8(out.stdout).unwrap()), out.status.code())
}

#[test]
fn each_mistake_is_found_and_nothing_else() {
    let mut wrong = Vec::new();
    for case in cases() {
        let (told, code) = linted(&case, "concise");
        assert!(!told.contains("not-a-real-key") && !told.contains("$2y$"), "{}: {told}", case.display());
        let path = case.join("expected.txt");
        if std::env::var_os("LLMGUARD_BLESS").is_some() {
            fs::write(&path, &told).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        let (_, last) =
            case.display().to_string().rsplit_once("/lint/").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        if expected != told {
            wrong.push(format!("{last}: expected\n{expected}told\n{told}"));
        }
        let fails = told.lines().any(|line| line.contains(": error[") || line.contains(": warning["));
        if code == Some(2) && !told.contains("error[does-not-load]") && !told.contains("error[missing-include]")
            || (code == Some(1)) != fails && code != Some(2)
        {
            wrong.push(format!("{last}: exit code {code:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_a_hit_and_a_twin_in_order() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lint");
    let mut missing = Vec::new();
    for rule in llmguard::rules::RULES.iter().map(|rule| rule.id) {
        let told: Vec<String> = cases()
            .iter()
            .filter(|case| case.starts_with(folder.join(rule)))
            .map(|case| fs::read_to_string(case.join("expected.txt")).unwrap_or_default())
            .collect();
        let mark = format!("[{rule}]");
        if !told.iter().any(|text| text.contains(&mark)) {
            missing.push(format!("{rule}: no case in fixtures/lint/{rule} has it"));
        }
        if !told.iter().any(|text| !text.contains(&mark)) {
            missing.push(format!("{rule}: no case in fixtures/lint/{rule} is free of it"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn configs_in_order_have_no_findings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lint/clean");
    let told = |case: &PathBuf| {
        let (told, _) = linted(case, "concise");
        let told: Vec<String> = told.lines().filter(|line| !line.contains(": info[")).map(str::to_owned).collect();
        (!told.is_empty()).then(|| format!("{}:\n{}", case.display(), told.join("\n")))
    };
    let wrong: Vec<String> = folders(&folder).iter().filter_map(told).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
