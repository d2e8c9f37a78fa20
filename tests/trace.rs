//! `llmguard trace` over the mistakes that configs in front of language models are made with: each is understood from its output alone.
//!
//! In: `fixtures/trace/NAME/`: configs, and `request` with one argument of `trace` in each line. Out: `expected.txt`, what it prints;
//! `LLMGUARD_BLESS=1` writes what it prints now.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/trace");
    let mut all: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn traced(fixture: &Path) -> String {
    let arguments = fs::read_to_string(fixture.join("request")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmguard"));
    command.arg("trace").args(arguments.lines()).current_dir(fixture).env_clear();
    let out = command.output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}: {}", fixture.display(), String::from_utf8_lossy(&out.stderr));
    format!("{}{}", String::from_utf8(out.stderr).unwrap(), String::from_utf8(out.stdout).unwrap())
}

#[test]
fn each_mistake_is_told() {
    let mut wrong = Vec::new();
    for fixture in fixtures() {
        let told = traced(&fixture);
        assert!(!told.contains("not-a-real-key") && !told.contains("$2y$"), "{}: {told}", fixture.display());
        let expected = fixture.join("expected.txt");
        if std::env::var_os("LLMGUARD_BLESS").is_some() {
            fs::write(&expected, &told).unwrap();
        }
        if fs::read_to_string(&expected).unwrap_or_default() != told {
            wrong.push(format!("{}:\n{told}", fixture.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
