//! What `llmguard lint` prints, in each of its formats.
//!
//! In: `fixtures/report/CASE/`: configs. Out: `expected/FORMAT` beside them, what is printed; `LLMGUARD_BLESS=1` writes what is printed now. The
//! formats that have a schema are held against it: SARIF against OASIS' own (`sarif-2.1.0.json`), ours against `schemas/findings.json`.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const FORMATS: &[&str] = &["human", "concise", "json", "sarif", "github", "gitlab", "junit"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn bless() -> bool {
    std::env::var_os("LLMGUARD_BLESS").is_some()
}

fn cases() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        fs::read_dir(root().join("fixtures/report")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn printed(case: &Path, format: &str) -> String {
    let mut files: Vec<String> = fs::read_dir(case)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmguard"));
    command.args(["lint", "--format", format]).args(files).current_dir(case).env_clear();
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

/// A report whose list of rules, which grows, is left out.
fn without_rules(text: &str) -> String {
    let mut value: Value = serde_json::from_str(text).unwrap();
    let run = &mut value["runs"][0];
    let driver = run["tool"]["driver"].as_object_mut().unwrap();
    driver.shift_remove("rules");
    for result in run["results"].as_array_mut().unwrap() {
        result.as_object_mut().unwrap().shift_remove("ruleIndex");
    }
    format!("{value:#}\n")
}

#[test]
fn every_format_says_what_it_should() {
    let mut wrong = Vec::new();
    for case in cases() {
        for format in FORMATS {
            let told = printed(&case, format);
            assert!(!told.contains("not-a-real-key") && !told.contains('\u{1b}'), "{}: {told}", case.display());
            let told = if *format == "sarif" { without_rules(&told) } else { told };
            let expected = case.join("expected").join(format);
            if bless() {
                fs::create_dir_all(expected.parent().unwrap()).unwrap();
                fs::write(&expected, &told).unwrap();
            }
            if fs::read_to_string(&expected).unwrap_or_default() != told {
                wrong.push(format!("{}:\n{told}", expected.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn problems(schema: &Value, text: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(text).unwrap();
    let validator = jsonschema::validator_for(schema).unwrap();
    validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn findings_for_programs_fit_their_schema() {
    let schema = llmguard::report::schema::schema();
    for case in cases() {
        let text = printed(&case, "json");
        assert_eq!(problems(&schema, &text), Vec::<String>::new(), "{}", case.display());
    }
    assert!(!problems(&schema, r#"{"version": 1, "policy": null}"#).is_empty(), "the schema refuses nothing");
}

#[test]
fn sarif_fits_the_schema_of_its_authors() {
    // One of its regular expressions has a bracket too many.
    let schema = include_str!("sarif-2.1.0.json").replace("{2}]?$", "{2}$");
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let mut fixes = 0;
    for case in cases() {
        let text = printed(&case, "sarif");
        assert_eq!(problems(&schema, &text), Vec::<String>::new(), "{}", case.display());
        let value: Value = serde_json::from_str(&text).unwrap();
        let rules = &value["runs"][0]["tool"]["driver"]["rules"];
        let results = value["runs"][0]["results"].as_array().unwrap();
        let mut names = BTreeSet::new();
        for result in results {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert!(names.insert(result["partialFingerprints"]["llmguard/v1"].to_string()), "a fingerprint twice");
            fixes += usize::from(result["fixes"].is_array());
        }
    }
    assert!(fixes > 0, "no case has a fix");
}

#[test]
fn fingerprints_stay_when_lines_move() {
    let names = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("llm.conf"), text).unwrap();
        let value: Value = serde_json::from_str(&printed(folder.path(), "gitlab")).unwrap();
        value.as_array().unwrap().iter().map(|one| one["fingerprint"].to_string()).collect::<Vec<_>>()
    };
    let text = fs::read_to_string(root().join("fixtures/report/nginx-open/llm.conf")).unwrap();
    let before = names(&text);
    assert!(!before.is_empty());
    assert_eq!(names(&format!("# one line more\n\n{}", text.replace("    ", "\t"))), before);
}

#[test]
fn junit_is_xml_and_counts_right() {
    for case in cases() {
        let text = printed(&case, "junit");
        let document = roxmltree::Document::parse(&text).unwrap();
        let count = |name: &str| document.descendants().filter(|node| node.has_tag_name(name)).count().to_string();
        let top = document.root_element();
        assert_eq!(top.attribute("tests"), Some(count("testcase").as_str()), "{}", case.display());
        assert_eq!(top.attribute("failures"), Some(count("failure").as_str()), "{}", case.display());
    }
}

#[test]
fn annotations_are_one_line_each() {
    for case in cases() {
        let findings: Value = serde_json::from_str(&printed(&case, "json")).unwrap();
        let text = printed(&case, "github");
        assert_eq!(text.lines().count(), findings["findings"].as_array().unwrap().len());
        assert!(text.lines().all(|line| line.starts_with("::")), "{text}");
    }
}

/// Files that are made of what the program itself says.
#[test]
fn pages_and_schemas_are_up_to_date() {
    let mut files: Vec<(PathBuf, String)> =
        llmguard::rules::pages().into_iter().map(|(name, text)| (root().join("docs/rules").join(name), text)).collect();
    files.push((root().join("schemas/findings.json"), format!("{:#}\n", llmguard::report::schema::schema())));
    let mut stale = Vec::new();
    for (path, text) in &files {
        if bless() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        if fs::read_to_string(path).unwrap_or_default() != *text {
            stale.push(path.display().to_string());
        }
    }
    for entry in fs::read_dir(root().join("docs/rules")).unwrap() {
        let path = entry.unwrap().path();
        let known = files.iter().any(|(own, _)| *own == path);
        if !known && bless() {
            fs::remove_file(&path).unwrap();
        } else if !known {
            stale.push(format!("{}: no rule has this page", path.display()));
        }
    }
    assert!(stale.is_empty(), "run with LLMGUARD_BLESS=1:\n{}", stale.join("\n"));
}
