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

/// What a region of SARIF means, in bytes: its columns count characters.
fn bytes(text: &str, region: &Value) -> (usize, usize) {
    let number = |key: &str| usize::try_from(region[key].as_u64().unwrap()).unwrap();
    let at = |line: &str, column: &str| {
        let start: usize = text.split_inclusive('\n').take(number(line) - 1).map(str::len).sum();
        let characters = text[start..].chars().take(number(column) - 1);
        start + characters.map(char::len_utf8).sum::<usize>()
    };
    (at("startLine", "startColumn"), at("endLine", "endColumn"))
}

#[test]
fn fixes_are_the_same_in_sarif_and_json() {
    let mut compared = 0;
    for case in cases() {
        let findings: Value = serde_json::from_str(&printed(&case, "json")).unwrap();
        let sarif: Value = serde_json::from_str(&printed(&case, "sarif")).unwrap();
        let results = sarif["runs"][0]["results"].as_array().unwrap();
        for (finding, result) in findings["findings"].as_array().unwrap().iter().zip(results) {
            assert_eq!(finding["rule"], result["ruleId"]);
            let own = finding["fix"]["edits"].as_array().into_iter().flatten().map(|edit| {
                let number = |key: &str| usize::try_from(edit[key].as_u64().unwrap()).unwrap();
                (edit["file"].to_string(), (number("start"), number("end")), edit["text"].clone())
            });
            let changes = result["fixes"][0]["artifactChanges"].as_array().into_iter().flatten();
            let theirs = changes.flat_map(|change| {
                let uri = &change["artifactLocation"]["uri"];
                let text = fs::read_to_string(case.join(uri.as_str().unwrap())).unwrap();
                let all = change["replacements"].as_array().unwrap().clone();
                let one = move |one: Value| {
                    let content = one["insertedContent"]["text"].clone();
                    (uri.to_string(), bytes(&text, &one["deletedRegion"]), content)
                };
                all.into_iter().map(one).collect::<Vec<_>>()
            });
            let (own, theirs): (Vec<_>, Vec<_>) = (own.collect(), theirs.collect());
            compared += own.len();
            assert_eq!(own, theirs, "{}: {}", case.display(), finding["rule"]);
        }
    }
    assert!(compared > 0, "no case has a fix");
}

#[test]
fn gitlab_gets_what_its_page_on_code_quality_asks_for() {
    let schema = serde_json::json!({
        "type": "array",
        "items": {
            "type": "object",
            "required": ["description", "check_name", "fingerprint", "severity", "location"],
            "properties": {
                "description": {"type": "string", "minLength": 1},
                "check_name": {"type": "string", "minLength": 1},
                "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
                "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
                "location": {
                    "type": "object",
                    "required": ["path", "lines"],
                    "properties": {
                        "path": {"type": "string", "not": {"pattern": "^\\./"}},
                        "lines": {
                            "type": "object",
                            "required": ["begin"],
                            "properties": {"begin": {"type": "integer", "minimum": 1}, "end": {"type": "integer"}},
                        },
                    },
                },
            },
        },
    });
    for case in cases() {
        let text = printed(&case, "gitlab");
        assert_eq!(problems(&schema, &text), Vec::<String>::new(), "{}", case.display());
        let value: Value = serde_json::from_str(&text).unwrap();
        let all = value.as_array().unwrap();
        let names: BTreeSet<String> = all.iter().map(|one| one["fingerprint"].to_string()).collect();
        assert_eq!(names.len(), all.len(), "{}: a fingerprint twice", case.display());
    }
    assert!(!problems(&schema, r#"[{"description": "x"}]"#).is_empty(), "the schema refuses nothing");
}

/// What readers of JUnit's XML know (Jenkins' junit-10.xsd, and what GitLab and GitHub's actions read of it): an element, where it stands, the
/// attributes that it must have, and those that it may have.
const JUNIT: &[(&str, &str, &[&str], &[&str])] = &[
    ("testsuites", "", &[], &["name", "time", "tests", "failures", "disabled", "errors"]),
    ("testsuite", "testsuites", &["name", "tests"], &["failures", "errors", "time", "disabled", "skipped", "file"]),
    ("testcase", "testsuite", &["name"], &["assertions", "time", "classname", "status", "class", "file", "line"]),
    ("failure", "testcase", &[], &["type", "message"]),
    ("system-out", "testcase", &[], &[]),
];

#[test]
fn junit_has_the_elements_that_its_readers_know() {
    for case in cases() {
        let text = printed(&case, "junit");
        let document = roxmltree::Document::parse(&text).unwrap();
        for node in document.descendants().filter(roxmltree::Node::is_element) {
            let name = node.tag_name().name();
            let (_, parent, must, may) = JUNIT.iter().find(|(own, ..)| *own == name).unwrap();
            let above = node.parent_element().map_or("", |parent| parent.tag_name().name());
            assert_eq!(above, *parent, "{}: {name}", case.display());
            must.iter().for_each(|own| assert!(node.has_attribute(*own), "{name} needs {own}"));
            for own in node.attributes().map(|own| own.name()) {
                assert!(must.contains(&own) || may.contains(&own), "{}: {name} {own}", case.display());
            }
        }
    }
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
