//! Compose projects as Docker Compose reads them: fixtures, and projects made here, against the real one.
//!
//! In: `fixtures/dialect/compose` (a folder each; `expected.json` is what Compose 2.40.3 makes of it) and seeded random projects. Out: the
//! facts that the reader finds. Needs Compose v2 (`LLMGUARD_COMPOSE`) for the comparison; `LLMGUARD_COMPOSE_CASES` says how many projects
//! are made (default 40), `LLMGUARD_COMPOSE_SEED` with which the first is made.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
mod facts;
mod random;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The variables that Compose and the reader get.
const VARIABLES: &[(&str, &str)] =
    &[("HOME", "/home/u"), ("A", "aa"), ("E", ""), ("P", "8080"), ("COMPOSE_PROJECT_NAME", "t")];

fn compose() -> Option<PathBuf> {
    common::server("compose-read", "LLMGUARD_COMPOSE")
}

/// The files of a project: those of the folder, or those that `files` names.
fn files(folder: &Path) -> Vec<PathBuf> {
    match std::fs::read_to_string(folder.join("files")) {
        Ok(names) => names.split_whitespace().map(|name| folder.join(name)).collect(),
        Err(_) => llmguard::dialect::compose::files_of(folder, &Default::default()),
    }
}

/// What Compose makes of a project. Errors: why it refuses it.
fn real(program: &Path, folder: &Path) -> Result<Value, String> {
    let mut command = Command::new(program);
    command.env_clear().envs(VARIABLES.iter().copied()).current_dir(folder);
    for file in files(folder) {
        command.arg("-f").arg(file);
    }
    let out = command.args(["--profile", "*", "config", "--format", "json"]).output().unwrap();
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned());
    }
    Ok(facts::of_compose(&serde_json::from_slice(&out.stdout).unwrap(), folder))
}

/// What the reader makes of it. Errors: what it says.
fn ours(folder: &Path) -> Result<Value, String> {
    let values: BTreeMap<_, _> = VARIABLES.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let mut options = llmguard::dialect::Options::default();
    options.variables.values = values;
    let mut sink = llmguard::diag::Sink::default();
    // Without a `.env` the others are unset, as they are for Compose.
    options.variables.complete = !folder.join(".env").is_file();
    let project = llmguard::dialect::compose::read(&files(folder), &options, &mut sink);
    if sink.has_errors() {
        return Err(sink.list.iter().map(|problem| problem.render(false) + "\n").collect());
    }
    Ok(facts::of_project(&project, folder))
}

#[test]
fn fixtures() {
    let program = compose();
    let update = std::env::var_os("LLMGUARD_UPDATE").is_some();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dialect/compose");
    let mut folders: Vec<_> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() > 3);
    for folder in folders {
        let path = folder.join("expected.json");
        let show = |result: &Result<Value, String>| match result {
            Ok(facts) => serde_json::to_string_pretty(&facts::in_order(facts)).unwrap() + "\n",
            Err(_) => "\"refused\"\n".to_owned(),
        };
        if let Some(program) = &program {
            let real = real(program, &folder);
            if update {
                std::fs::write(&path, show(&real)).unwrap();
            }
            assert_eq!(
                show(&real),
                std::fs::read_to_string(&path).unwrap(),
                "Compose on {}: {real:?}",
                folder.display()
            );
        }
        let ours = ours(&folder);
        assert_eq!(show(&ours), std::fs::read_to_string(&path).unwrap(), "{}: {ours:?}", folder.display());
    }
}

#[test]
fn random_projects() {
    let Some(program) = compose() else { return };
    let number = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (first, count): (u64, u64) = (number("LLMGUARD_COMPOSE_SEED", 1), number("LLMGUARD_COMPOSE_CASES", 40));
    let mut wrong = 0;
    let mut refused = 0;
    for seed in first..first + count {
        let folder = tempfile::tempdir().unwrap();
        let texts = random::write(seed, folder.path());
        let (real, ours) = (real(&program, folder.path()), ours(folder.path()));
        refused += u64::from(real.is_err());
        if let Err(real) = &real {
            println!("refused: {}", real.trim().lines().last().unwrap_or_default());
        }
        let same = match (&real, &ours) {
            (Ok(real), Ok(ours)) => real == ours,
            (Err(_), Err(_)) => true,
            _ => false,
        };
        if !same {
            wrong += 1;
            println!("seed {seed}:\n{texts}");
            match (&real, &ours) {
                (Ok(real), Ok(ours)) => println!("{}", facts::difference(real, ours)),
                _ => println!("Compose: {real:?}\nours: {ours:?}"),
            }
        }
    }
    println!("{count} projects, {refused} refused by Compose, {wrong} read otherwise");
    assert_eq!(wrong, 0);
}

#[test]
fn hostile_projects_end() {
    let bomb: String = (1..=10)
        .map(|level| format!("x{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(",")))
        .collect();
    let chain: String =
        (1..300).map(|at| format!("  s{at}: {{image: x, extends: s{}, labels: [l{at}=x]}}\n", at - 1)).collect();
    let many: String =
        (1..1000).map(|at| format!("  s{at}: {{image: x, ports: [\"{at}:80\"], labels: [a=$B30]}}\n")).collect();
    let doubling: String = (1..40).map(|at| format!("B{at}=$B{0}$B{0}\n", at - 1)).collect();
    for (name, text, refused) in [
        ("aliases", format!("x0: &a0 [x]\n{bomb}services: {{a: {{image: x}}}}\n"), true),
        ("chain", format!("services:\n  s0: {{image: x}}\n{chain}"), false),
        ("variables", format!("services:\n{many}"), true),
        ("ports", "services: {a: {image: x, ports: ['1-65535:1-65535']}}\n".to_owned(), false),
        ("brackets", format!("services: {}", "[".repeat(100_000)), true),
        ("itself", "include: [compose.yaml]\nservices: {a: {image: x}}\n".to_owned(), true),
        ("defaults", format!("services: {{a: {{image: \"{}\"}}}}\n", "${A:-".repeat(50_000)), true),
        ("cut off", "services:\n  a:\n    image: \"x".to_owned(), true),
        ("nothing", String::new(), true),
        ("a text", "just text\n".to_owned(), true),
        ("services", "services: [a]\nvolumes: 5\nnetworks: x\n".to_owned(), true),
        ("kinds", "services: {a: {image: [x], ports: {a: b}, volumes: 5, environment: x, labels: 7, command: {a: b}, networks: 5}}\n".to_owned(), true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("compose.yaml"), text).unwrap();
        std::fs::write(folder.path().join(".env"), format!("B0=0123456789\n{}", if name == "variables" { &doubling } else { "" })).unwrap();
        let started = std::time::Instant::now();
        let ours = ours(folder.path());
        assert_eq!(ours.is_err(), refused, "{name}");
        assert!(started.elapsed().as_secs() < 30, "{name}: {:?}", started.elapsed());
    }
}
