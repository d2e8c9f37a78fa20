//! Caddyfiles are read as Caddy reads them: fixtures, rendered files, Caddy's own tests and random texts.
//!
//! The tests that ask Caddy need `LLMGUARD_CADDY`. `LLMGUARD_CADDYFILES` is the number of random files (else 120), `LLMGUARD_SEED` the
//! first one's seed. `LLMGUARD_CADDYTEST` names the folder `caddytest/integration` of Caddy's source.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
mod compare;
mod make;
#[path = "../common/random.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod random;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use compare::{Outcome, caddys, difference, ours};
use llmguard::diag::{Severity, Sink};
use llmguard::dialect::{Options, caddy};
use llmguard::source::SourceFile;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/dialect/caddy/adapt");

fn fixtures() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(FIXTURES).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "caddyfile"));
    files.sort();
    assert!(files.len() > 150, "the fixtures are there");
    files
}

fn assert_none(differences: &[String]) {
    assert!(differences.is_empty(), "{} differ:\n\n{}", differences.len(), differences.join("\n\n"));
}

/// The paths of files stand in what is hidden from a file server.
fn without_folder(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Adapted(json) => {
            let text = json.to_string().replace(&format!("{FIXTURES}/"), "./");
            Outcome::Adapted(serde_json::from_str(&text).unwrap())
        }
        refused => refused,
    }
}

/// What Caddy made of a fixture when it was written.
fn expected(path: &Path) -> Outcome {
    if let Ok(text) = fs::read_to_string(path.with_extension("json")) {
        return Outcome::Adapted(serde_json::from_str(&text).unwrap());
    }
    let line = fs::read_to_string(path.with_extension("refused")).unwrap();
    Outcome::Refused(line.trim().parse().ok().map(|line| (path.display().to_string(), line)))
}

#[test]
fn fixtures_become_what_caddy_made_of_them() {
    let check = |path: &PathBuf| {
        let found = difference(&expected(path), &without_folder(ours(path)))?;
        Some(format!("{}: {found}", path.display()))
    };
    assert_none(&fixtures().iter().filter_map(check).collect::<Vec<_>>());
}

/// Asks Caddy about files, two at a time.
fn agree(program: &Path, folder: &Path, files: &[PathBuf]) -> Vec<String> {
    let next = Mutex::new(files.iter());
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(path) = { next.lock().unwrap().next() } {
                    if let Some(difference) = difference(&caddys(program, folder, path), &ours(path)) {
                        found.lock().unwrap().push(format!("{}: {difference}", path.display()));
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

#[test]
fn caddy_agrees_about_the_fixtures() {
    let Some(program) = common::server("caddyfile-fixtures", "LLMGUARD_CADDY") else { return };
    assert_none(&agree(&program, Path::new(FIXTURES), &fixtures()));
}

#[test]
fn caddy_agrees_about_random_files() {
    let Some(program) = common::server("caddyfile-random", "LLMGUARD_CADDY") else { return };
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let seeds = number("LLMGUARD_SEED", 1)..;
    let mut files = Vec::new();
    for seed in seeds.take(usize::try_from(number("LLMGUARD_CADDYFILES", 120)).unwrap()) {
        let path = folder.path().join(format!("{seed}.caddyfile"));
        fs::write(&path, make::caddyfile(seed)).unwrap();
        files.push(path);
    }
    let found = agree(&program, folder.path(), &files);
    if !found.is_empty() {
        let kept = folder.keep();
        assert!(found.is_empty(), "in {}:\n{}", kept.display(), found.join("\n\n"));
    }
}

/// Caddy's tests that need what isn't there or isn't made here: certificates on disk, ACME servers, and plugins of the test program.
const NOT_OURS: &[&str] = &["acme_", "tls_client_auth_", "global_options_skip_install_trust"];

#[test]
fn caddy_agrees_about_its_own_tests() {
    let name = "caddyfile-caddytest";
    let Some(program) = common::server(name, "LLMGUARD_CADDY") else { return };
    let cache = std::env::var("GOMODCACHE").ok().or_else(|| Some(std::env::var("HOME").ok()? + "/go/pkg/mod"));
    let source = cache.map(|cache| format!("{cache}/github.com/caddyserver/caddy/v2@v2.11.9/caddytest/integration"));
    let source = std::env::var("LLMGUARD_CADDYTEST").ok().or(source).map(PathBuf::from);
    let Some(source) = source.filter(|source| source.join("caddyfile_adapt").is_dir()) else {
        return common::skip(name, "Caddy's source isn't there: LLMGUARD_CADDYTEST names caddytest/integration");
    };
    let folder = tempfile::tempdir().unwrap();
    let (tests, data) = (folder.path().join("caddyfile_adapt"), folder.path().join("testdata"));
    fs::create_dir(&tests).unwrap();
    fs::create_dir(&data).unwrap();
    for entry in fs::read_dir(source.join("testdata")).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), data.join(entry.file_name())).unwrap();
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(source.join("caddyfile_adapt")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let Some((text, _)) = text.split_once("----------\n") else { continue };
        if file.ends_with(".caddyfiletest") && !NOT_OURS.iter().any(|start| file.starts_with(start)) {
            fs::write(tests.join(&file), text).unwrap();
            files.push(tests.join(&file));
        }
    }
    assert!(files.len() > 200, "{} tests", files.len());
    assert_none(&agree(&program, folder.path(), &files));
}

fn read(text: &str) -> (caddy::Adapted, Sink) {
    let mut sink = Sink::default();
    let file = SourceFile::new("Caddyfile", "/nowhere/Caddyfile", text);
    (caddy::adapt_text(file, &Options::default(), &mut sink), sink)
}

fn refused(text: &str) -> bool {
    read(text).1.list.iter().any(|problem| problem.severity == Severity::Error)
}

#[test]
fn bad_input_is_told_and_ends_nothing() {
    let start = Instant::now();
    let deep = |opening: &str, number: usize| format!(":80 {{\n{}", opening.repeat(number));
    assert!(refused(&deep("handle {\n", 100_000)));
    assert!(refused(&deep("route {\nnot {\n", 50_000)));
    assert!(refused(&"{ {\n".repeat(100_000)));
    assert!(refused(&format!("(s) {{\n{}", "x {\n".repeat(100_000))));
    assert!(refused(&format!(":80 {{\n@m not {{\n{}", "not {\n".repeat(100_000))));
    let bomb: String = (1..60).map(|at| format!("(s{at}) {{\nimport s{0}\nimport s{0}\n}}\n", at - 1)).collect();
    assert!(refused(&format!("(s0) {{\nheader X y\n}}\n{bomb}:80 {{\nimport s59\n}}\n")));
    assert!(refused("(a) {\nimport b\n}\n(b) {\nimport a\n}\n:80 {\nimport a\n}\n"));
    let text = fs::read_to_string(Path::new(FIXTURES).join("reverse-proxy.caddyfile")).unwrap();
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        read(&text[..end]);
    }
    for seed in 0..500 {
        let mut random = random::Random::seeded(seed);
        let alphabet = [
            "{",
            "}",
            "\n",
            " ",
            "\"",
            "`",
            "\\",
            "#",
            "<<E",
            "E",
            "a",
            "@m",
            "/",
            "import",
            "(s)",
            "handle",
            "{$X}",
            "\r",
            "&(r)",
            ",",
            ":80",
            "é",
            "\u{85}",
            "{args[0]}",
            "{block}",
            "not",
            "path",
        ];
        let text: String = (0..random.below(60)).map(|_| alphabet[random.below(alphabet.len())]).collect();
        read(&text);
    }
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
}

#[test]
fn what_is_unknown_stays_unknown() {
    let (adapted, sink) =
        read(":{$PORT} {\n\t@k header X-Key {$KEY}\n\trespond @k {$BODY:b}\n\tfrobnicate /x\n\timport none*.conf\n}\n");
    assert!(sink.list.iter().all(|problem| problem.severity != Severity::Error), "{:?}", sink.list);
    let names: Vec<&str> = adapted.facts.variables.iter().map(|named| named.name.as_str()).collect();
    assert_eq!(names, ["PORT", "KEY", "BODY"]);
    assert_eq!(adapted.facts.empty_imports.len(), 1);
    assert_eq!(adapted.facts.plugins.len(), 1);
    let texts: Vec<&str> = adapted
        .document
        .nodes
        .iter()
        .filter_map(|node| match &node.kind {
            llmguard::dialect::document::Kind::Scalar(text, _) => Some(&**text),
            _ => None,
        })
        .collect();
    for expected in ["{env.KEY}", "b", "llmguard.opaque", "frobnicate"] {
        assert!(texts.contains(&expected), "{expected}: {texts:?}");
    }
}

#[test]
fn every_node_stands_where_its_cause_is() {
    for path in fixtures() {
        let mut sink = Sink::default();
        let adapted = caddy::adapt(&path, "x", &Options::default(), &mut sink);
        for node in &adapted.document.nodes {
            let file = &adapted.files[node.place.file()];
            assert!(
                file.text.get(node.place.span().start..node.place.span().end).is_some(),
                "{}: {node:?}",
                path.display()
            );
        }
    }
}
