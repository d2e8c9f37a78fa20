//! Every policy below `fixtures/policy`, checked by the program as a user would.
//!
//! In: `{ok,err}/CASE/llmguard.toml`, beside it `env` (given as `--env-file`) and `expected.txt`. Out: `ok` cases load, and say what
//! stands in `expected.txt`, or nothing; `err` cases say exactly what stands there and exit with 2. A new case is a new
//! folder; `LLMGUARD_BLESS=1 cargo test` writes what is said now.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use llmguard::diag::Sink;
use llmguard::policy::variables::Variables;
use llmguard::policy::{file, validate};
use llmguard::source::SourceFile;

#[test]
fn every_policy_says_what_it_should() {
    let mut wrong = Vec::new();
    for (kind, code) in [("ok", 0), ("err", 2)] {
        for folder in cases(kind) {
            let out = check(&folder);
            let said = String::from_utf8(out.stderr).unwrap();
            let name = folder.strip_prefix(root()).unwrap().display();
            if out.status.code() != Some(code) || !out.stdout.is_empty() {
                wrong.push(format!("{name}: exit {:?}\n{said}", out.status.code()));
                continue;
            }
            // A policy in which there is nothing to say needs no file for that.
            let quiet = kind == "ok" && said.lines().count() == 1;
            let file = folder.join("expected.txt");
            if blessing() {
                if quiet { drop(fs::remove_file(&file)) } else { fs::write(&file, &said).unwrap() }
            }
            let expected = fs::read_to_string(&file).unwrap_or_default();
            if said != expected && !(quiet && expected.is_empty()) {
                wrong.push(format!("{name}: it says\n{said}\ninstead of\n{expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Fixtures mark what must never be shown: every key that stands where it shouldn't holds one of these words.
#[test]
fn no_key_is_ever_shown() {
    const MARKS: &[&str] = &["sk-", "literal", "hunter2", "SECRETPART", "0123456789-", "$2y$", "$argon2"];
    for folder in cases("ok").into_iter().chain(cases("err")) {
        let said = String::from_utf8(check(&folder).stderr).unwrap();
        for line in said.lines().filter(|line| !line.contains("a literal API key stands in the policy")) {
            assert!(!MARKS.iter().any(|mark| line.contains(mark)), "{}: {line}", folder.display());
        }
    }
}

/// A policy with a literal key and password, and every policy that one slip of the keyboard makes of it.
#[test]
fn no_slip_shows_a_key() {
    const KEYS: [&str; 2] = ["sk-literal-0123456789-0123", "hunter2hunter2"];
    let text = format!(
        "[upstream]\nkind = 'ollama'\n[[client]]\nname = \"a\"\napi_key = [\n  \"env:A\",\n  \"{}\", # mine\n]\npassword_hash = \"{}\"\nrate = 1\n",
        KEYS[0], KEYS[1]
    );
    let mut slips = vec![text.clone()];
    for at in 0..text.len() {
        // A slip inside a key makes another one.
        if KEYS.iter().any(|key| text.find(key).is_some_and(|start| (start + 1..start + key.len()).contains(&at))) {
            continue;
        }
        for slip in ["", "\"", "'", "[", "]", "{", "=", "#", "\n", "\\", "ü", ","] {
            slips.push(format!("{}{slip}{}", &text[..at], &text[at..]));
            slips.push(format!("{}{slip}{}", &text[..at], &text[at + 1..]));
        }
    }
    for slip in slips {
        let mut sink = Sink::default();
        validate::plan(&SourceFile::new("p", "p", slip.as_str()), &Variables::default(), &mut sink);
        for problem in sink.sorted() {
            let said = problem.render(false);
            // A password that stands alone looks like any word.
            let alone = slip.lines().any(|line| line.starts_with(&KEYS[1][1..]) || line.starts_with(KEYS[1]));
            let keys = if alone { &KEYS[..1] } else { &KEYS[..] };
            // The first or last character may have gone.
            assert!(!keys.iter().any(|key| said.contains(&key[1..key.len() - 1])), "{slip}\n{said}");
        }
    }
}

#[test]
fn the_published_schema_is_fresh() {
    let out = Command::new(env!("CARGO_BIN_EXE_llmguard")).arg("schema").output().unwrap();
    assert_eq!(out.status.code(), Some(0));
    let path = root().join("schemas/policy.schema.json");
    if blessing() {
        fs::write(&path, &out.stdout).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), String::from_utf8(out.stdout).unwrap());
}

/// Policies whose form is right and whose meaning isn't are for `check`; these are the ones that an editor can find.
#[test]
fn the_schema_agrees_about_form() {
    const WRONG_IN_FORM: &[&str] =
        &["unknown-key", "types-", "gpu-", "no-kind", "rates", "durations", "sizes", "connections"];
    let schema = jsonschema::validator_for(&file::schema()).unwrap();
    let valid = |folder: &Path| {
        let text = fs::read_to_string(folder.join("llmguard.toml")).unwrap();
        let policy: toml::Table = text.trim_start_matches('\u{feff}').parse().unwrap();
        schema
            .validate(&serde_json::to_value(policy).unwrap())
            .map_err(|error| format!("{}: {error}", folder.display()))
    };
    for folder in cases("ok") {
        valid(&folder).unwrap();
    }
    let name = |folder: &Path| folder.file_name().unwrap().to_string_lossy().into_owned();
    for folder in cases("err").iter().filter(|folder| WRONG_IN_FORM.iter().any(|start| name(folder).starts_with(start)))
    {
        assert!(valid(folder).is_err(), "{}", folder.display());
    }
}

/// Runs `llmguard check` in a case's folder, with no variables but its own.
fn check(folder: &Path) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmguard"));
    command.args(["check", "--policy", "llmguard.toml", "--color", "never"]).current_dir(folder).env_clear();
    if folder.join("env").exists() {
        command.args(["--env-file", "env"]);
    }
    command.output().unwrap()
}

fn cases(kind: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("fixtures/policy").join(kind)).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn blessing() -> bool {
    std::env::var_os("LLMGUARD_BLESS").is_some()
}
