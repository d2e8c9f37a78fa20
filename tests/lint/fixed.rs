//! Fixes, tried on a copy of every case that has one.
//!
//! In: the cases of `fixtures/lint`. Out: one failure for each fix after which its finding is still there, another one is new, a line that it
//! isn't about differs, the server refuses the files, or something is left to fix; and where `--diff` shows something else than `--fix` does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use llmguard::project::{Dialect, secrets};
use llmguard::source::{SourceFile, Span};
use serde_json::Value;

use super::case::Case;

/// How many cases are tried at once: mostly servers are waited for.
const WORKERS: usize = 4;

/// A copy of a case.
struct Copied<'c> {
    case: &'c Path,
    folder: tempfile::TempDir,
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

impl Copied<'_> {
    fn new(case: &Path) -> Copied<'_> {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files(case) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        Copied { case, folder }
    }

    fn lint(&self, more: &[&str]) -> String {
        self.told(more).0
    }

    /// What it prints, and what it says besides.
    fn told(&self, more: &[&str]) -> (String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llmguard"));
        command.arg("lint").args(more).args(super::arguments(self.case));
        let out = command.current_dir(self.folder.path()).env_clear().output().unwrap();
        (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    }

    fn findings(&self, more: &[&str]) -> (Vec<Value>, String) {
        let (text, said) = self.told(&[&["--format", "json"], more].concat());
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{}: {text}", self.case.display()));
        assert!(!text.contains("not-a-real-key"), "{}: {text}", self.case.display());
        (value["findings"].as_array().unwrap().clone(), said)
    }

    /// Whether the servers load what is there, each of its systems. Errors: why not.
    fn loads(&self) -> Result<(), String> {
        let case = Case::read(self.folder.path(), super::arguments(self.case));
        for system in case.systems() {
            match system.dialect {
                Dialect::Compose => self.compose()?,
                Dialect::Htpasswd => {}
                Dialect::Nginx | Dialect::Caddy | Dialect::Traefik if system.deployment.is_some() => {}
                Dialect::Nginx | Dialect::Caddy | Dialect::Traefik => {
                    super::real::site(&system, &case, false).map(|site| drop(site.stop()))?;
                }
            }
        }
        Ok(())
    }

    fn compose(&self) -> Result<(), String> {
        let Some(compose) = super::common::server("lint fixes", "LLMGUARD_COMPOSE") else { return Ok(()) };
        let name = |path: &PathBuf| path.to_str().is_some_and(|name| name.contains("compose") && name.contains(".y"));
        let main = files(self.folder.path()).into_keys().find(name).unwrap();
        let mut command = Command::new(compose);
        command.arg("-f").arg(main).args(["config", "-q"]).current_dir(self.folder.path());
        let out = command.env("HOME", self.folder.path()).output().unwrap();
        if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
    }
}

/// What is in a folder, but for what tests say about it.
fn files(folder: &Path) -> Files {
    let mut all = Files::new();
    let mut left = vec![folder.to_owned()];
    while let Some(at) = left.pop() {
        for path in fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => left.push(path),
                false => drop(all.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap())),
            }
        }
    }
    all.remove(Path::new("expected.txt"));
    all
}

/// What `--diff` should show of two states of a folder.
fn difference(before: &Files, after: &Files) -> String {
    let mut out = String::new();
    for (path, old) in before.iter().filter(|(path, old)| after[*path] != **old) {
        let name = path.display().to_string();
        let shown = |bytes: &[u8]| {
            let file = secrets::hide(&SourceFile::of_bytes(name.clone(), path.clone(), bytes.to_vec()));
            file.shown(Span { start: 0, end: file.text.len() }, 0).0
        };
        let (old, new) = (shown(old), shown(&after[path]));
        let lines = similar::TextDiff::from_lines(old.as_str(), new.as_str());
        out.push_str(&lines.unified_diff().header(&format!("a/{name}"), &format!("b/{name}")).to_string());
    }
    out
}

/// The lines of a file's old text that fixes touch, from 1.
fn touched(findings: &[Value], file: &Path, text: &str) -> BTreeSet<usize> {
    let edits = findings.iter().flat_map(|one| one["fix"]["edits"].as_array().into_iter().flatten());
    let own = edits.filter(|edit| Path::new(edit["file"].as_str().unwrap()) == file);
    let line = |at: &Value| text[..usize::try_from(at.as_u64().unwrap()).unwrap()].matches('\n').count() + 1;
    own.flat_map(|edit| line(&edit["start"])..=line(&edit["end"])).collect()
}

fn count(findings: &[Value], rule: &Value) -> usize {
    findings.iter().filter(|one| one["rule"] == *rule).count()
}

/// What is wrong with the fixes of a case, and how many there are.
fn tried(case: &Path) -> (Vec<String>, usize) {
    let copied = Copied::new(case);
    let (found, _) = copied.findings(&[]);
    let fixes = found.iter().filter(|one| one["fix"].is_object()).count();
    if fixes == 0 {
        return (Vec::new(), 0);
    }
    let mut wrong = Vec::new();
    let before = files(copied.folder.path());
    let shown = copied.lint(&["--diff", "--unsafe-fixes"]);
    if files(copied.folder.path()) != before {
        wrong.push("`--diff` writes".to_owned());
    }
    let (left, said) = copied.findings(&["--fix", "--unsafe-fixes"]);
    let after = files(copied.folder.path());
    let wanted = difference(&before, &after);
    if shown != wanted {
        wrong.push(format!("`--diff` shows\n{shown}and `--fix` does\n{wanted}"));
    }
    for one in &found {
        let rule = &one["rule"];
        let mended = found.iter().filter(|other| other["rule"] == *rule && other["fix"].is_object()).count();
        if one["fix"].is_object() && count(&left, rule) > count(&found, rule) - mended {
            wrong.push(format!("{rule} is still there: {}\n{wanted}", one["message"]));
        }
    }
    for one in left.iter().filter(|one| one["severity"] != "info") {
        if count(&left, &one["rule"]) > count(&found, &one["rule"]) {
            wrong.push(format!("{} is new: {}\n{wanted}", one["rule"], one["message"]));
        }
    }
    if let Some(one) = left.iter().find(|one| one["fix"].is_object()) {
        wrong.push(format!("{} is left to fix: {}\n{wanted}", one["rule"], one["fix"]["description"]));
    }
    // What the first fixes bring up is mended as well, elsewhere.
    let once = said.contains(&format!("mended {fixes} finding"));
    for (path, old) in before.iter().filter(|_| once) {
        let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(&after[path]));
        let own = touched(&found, path, &old);
        let lines = similar::TextDiff::from_lines(&*old, &*new);
        let gone = lines.iter_all_changes().filter(|change| change.tag() == similar::ChangeTag::Delete);
        for change in gone.filter(|change| !own.contains(&(change.old_index().unwrap() + 1))) {
            wrong.push(format!("{}: `{}` is nobody's to change", path.display(), change.value().trim_end()));
        }
    }
    copied.lint(&["--fix", "--unsafe-fixes"]);
    if files(copied.folder.path()) != after {
        wrong.push("the second `--fix` changes something".to_owned());
    }
    if let Err(why) = copied.loads() {
        match Copied::new(case).loads() {
            Ok(()) => wrong.push(format!("it doesn't load: {why}\n{wanted}")),
            Err(same) => println!("not started, as before: {}: {}", case.display(), same.lines().next().unwrap()),
        }
    }
    (wrong, fixes)
}

#[test]
fn fixes_mend_what_they_are_about_and_nothing_else() {
    let only = std::env::var("LLMGUARD_CASE").ok();
    let mut cases = super::cases();
    cases.retain(|case| only.as_ref().is_none_or(|only| case.display().to_string().contains(only.as_str())));
    let (next, all) = (AtomicUsize::new(0), Mutex::new((Vec::new(), 0)));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (wrong, fixes) = tried(case);
                    let mut all = all.lock().unwrap();
                    all.0.extend(wrong.into_iter().map(|wrong| format!("{}: {wrong}", case.display())));
                    all.1 += fixes;
                }
            });
        }
    });
    let (wrong, fixes) = all.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(fixes > 0, "no case has a fix");
    println!("{fixes} fixes were tried");
}
