//! `llmguard lint`, `explain` and `rules` as scripts rely on them: exit codes, what goes where, which files are read and written.
//!
//! In: small configs in a folder of their own, no variables. Out: one failure for each thing that the command line promises and doesn't do.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "common/program.rs"]
mod program;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use program::{Folder, ran};
use serde_json::Value;

/// Open to everybody: an error.
const OPEN: &str =
    "server {\n    listen 8080;\n    location / {\n        proxy_pass http://127.0.0.1:11434;\n    }\n}\n";
/// Nothing wrong.
const CLOSED: &str = "server {\n    listen 8080;\n    return 403;\n}\n";
/// A warning that can be mended, and with it a line end that must stay.
const STALE: &str =
    "server {\r\n    listen 8080; # llmguard: ignore[admin-reachable] of old\r\n    return 403;\r\n}\r\n";
const PUBLISHED: &str =
    "services:\n  ollama:\n    image: ollama/ollama:0.20.0\n    ports:\n      - \"11434:11434\" # all\n";
const SECRET: &str = "not-a-real-key-of-anybody";

#[test]
fn exit_codes_tell_what_was_found() {
    let folder = Folder::new(&[
        ("open.conf", OPEN),
        ("closed.conf", CLOSED),
        ("stale.conf", STALE),
        ("broken.conf", "server {"),
    ]);
    folder.run("lint closed.conf").ends(0).says(&["nothing found in 1 file", "built-in policy for Ollama"]);
    folder.run("lint open.conf").ends(1).says(&["error[admin-reachable]"]);
    folder.run("lint stale.conf").ends(1).says(&["warning[unused-ignore]"]);
    folder.run("lint stale.conf --fail-on error").ends(0).says(&["warning[unused-ignore]"]);
    folder.run("lint open.conf --fail-on never").ends(0).says(&["error[admin-reachable]"]);
    folder.run("lint broken.conf --as nginx").ends(2).says(&["error[does-not-load]"]);
    folder.run("lint open.conf broken.conf --as nginx").ends(2).says(&["error[admin-reachable]"]);
    folder.run("lint nowhere.conf").ends(2).says(&["no such file"]);
    folder.run("lint open.conf --format pretty").ends(2).says(&["pretty", "sarif"]);
    folder.run("lint open.conf --policy nowhere.toml").ends(2);
    Folder::new(&[]).run("lint").ends(2).says(&["no config"]);
}

#[test]
fn standard_output_holds_the_report_alone() {
    let folder = Folder::new(&[("open.conf", OPEN)]);
    for (format, start) in [
        ("concise", "open.conf:4:9: error["),
        ("json", "{"),
        ("sarif", "{"),
        ("gitlab", "["),
        ("github", "::error"),
        ("junit", "<?xml"),
    ] {
        let ran = folder.run(&format!("lint open.conf --format {format}"));
        assert!(ran.out.starts_with(start), "{format}: {}", ran.out);
        let quiet = folder.run(&format!("-q lint open.conf --format {format}"));
        assert_eq!((quiet.out, quiet.err), (ran.out, String::new()));
    }
    let loud = folder.run("lint open.conf");
    let quiet = folder.run("lint open.conf -q");
    assert!(loud.out.contains("found 1 error") && !quiet.out.contains("found 1 error"));
    assert!(!loud.out.contains('\u{1b}') && folder.run("lint open.conf --color always").out.contains('\u{1b}'));
    // Into a file: the same, without colours.
    folder.run("lint open.conf --color always --output report.txt").ends(1);
    assert_eq!(folder.read("report.txt"), loud.out);
    folder.run("lint open.conf --output nowhere/report.txt").ends(2).says(&["can't write `nowhere/report.txt`"]);
}

#[test]
fn one_config_can_come_from_standard_input() {
    let folder = Folder::new(&[("open.conf", OPEN)]);
    let told = ran(&mut folder.command("lint - --as nginx --format json"), OPEN);
    let value: Value = serde_json::from_str(&told.ends(1).out).unwrap();
    assert_eq!(value["findings"][0]["file"], "<stdin>");
    assert_eq!(value["files"], serde_json::json!(["<stdin>"]));
    ran(&mut folder.command("lint - --as caddy"), ":8080 {\n\trespond 403\n}\n").ends(0);
    ran(&mut folder.command("lint -"), OPEN).ends(2).says(&["--as"]);
    ran(&mut folder.command("lint - open.conf --as nginx"), OPEN).ends(2).says(&["stands alone"]);
    // Variables that aren't known are asked about twice, with the same text.
    let keyed = ":8080 {\n\t@key header Authorization \"Bearer {$KEY}\"\n\thandle @key {\n\t\treverse_proxy localhost:11434\n\t}\n\trespond 401\n}\n";
    ran(&mut folder.command("lint - --as caddy"), keyed).ends(1).says(&["fails-open-when-unset"]);
    ran(&mut folder.command("lint - --as nginx --fix"), STALE).ends(2).says(&["standard input can't be changed"]);
    ran(&mut folder.command("lint - --as nginx --diff"), STALE).ends(1).says(&["-    listen 8080; # llmguard"]);
}

#[test]
fn findings_are_suppressed_with_a_reason_and_known_ones_by_a_baseline() {
    let reasoned =
        OPEN.replace("http://127.0.0.1:11434;", "http://127.0.0.1:11434; # llmguard: ignore[admin-reachable] a test");
    let folder = Folder::new(&[("open.conf", OPEN)]);
    folder.write("open.conf", &reasoned);
    folder.run("lint open.conf --fail-on error").ends(0).says(&["1 suppressed"]);
    folder.write("open.conf", &reasoned.replace(" a test", ""));
    folder.run("lint open.conf").ends(1).says(&["needs a reason", "error[admin-reachable]"]);
    folder.write("open.conf", OPEN);
    folder.run("lint open.conf --write-baseline known.json").ends(0).says(&["error[admin-reachable]"]);
    folder.run("lint open.conf --baseline known.json").ends(0).says(&["nothing found", "suppressed"]);
    // It is known by what it says, not by its line.
    folder.write("open.conf", &format!("# a line more\n{OPEN}"));
    folder.run("lint open.conf --baseline known.json").ends(0);
    folder.write("open.conf", &OPEN.replace(":11434", ":11434/"));
    folder.run("lint open.conf --baseline known.json").ends(1);
    folder.run("lint open.conf --baseline open.conf").ends(2).says(&["not a baseline"]);
    folder.run("lint open.conf --baseline nowhere.json").ends(2).says(&["--write-baseline"]);
}

#[test]
fn fixes_change_what_they_say_and_nothing_else() {
    let folder = Folder::new(&[("stale.conf", STALE)]);
    fs::set_permissions(folder.path("stale.conf"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("stale.conf", folder.path("link.conf")).unwrap();
    folder.run("lint link.conf --diff").ends(1).says(&[
        "--- a/link.conf",
        "+    listen 8080;\r\n",
        "1 finding can be mended of 1",
    ]);
    assert_eq!(folder.read("stale.conf"), STALE, "a dry run writes nothing");
    folder.run("lint link.conf --fix").ends(0).says(&["mended 1 finding in link.conf", "nothing found"]);
    let mended = STALE.replace(" # llmguard: ignore[admin-reachable] of old", "");
    assert_eq!(folder.read("stale.conf"), mended);
    assert_eq!(fs::metadata(folder.path("stale.conf")).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(folder.path("link.conf")).unwrap().is_symlink());
    folder.run("lint link.conf --fix").ends(0);
    folder.run("lint link.conf --diff").ends(0).says(&["nothing can be mended"]);
    assert_eq!(folder.read("stale.conf"), mended, "fixing twice changes nothing");
}

#[test]
fn unsafe_fixes_are_asked_for() {
    let folder = Folder::new(&[("docker-compose.yml", PUBLISHED)]);
    folder.run("lint --fix").ends(1).says(&["1 can be mended with `--fix --unsafe-fixes`"]);
    assert_eq!(folder.read("docker-compose.yml"), PUBLISHED);
    folder.run("lint --unsafe-fixes").ends(2).says(&["--fix"]);
    folder.run("lint --diff --unsafe-fixes").ends(1).says(&["+      - \"127.0.0.1:11434:11434\" # all"]);
    folder.run("lint --fix --unsafe-fixes").ends(0);
    assert_eq!(folder.read("docker-compose.yml"), PUBLISHED.replace("\"11434", "\"127.0.0.1:11434"));
}

#[test]
fn nothing_is_written_where_something_cannot_be_read() {
    let folder = Folder::new(&[("stale.conf", STALE), ("broken.conf", "server {")]);
    folder.run("lint stale.conf broken.conf --as nginx --fix").ends(2);
    assert_eq!(folder.read("stale.conf"), STALE);
}

#[test]
fn no_secret_is_in_a_diff() {
    let text = format!(
        "server {{\n    listen 8080;\n    if ($http_x_api_key != \"{SECRET}\") {{ return 401; }} # llmguard: ignore[admin-reachable] old\n    return 403;\n}}\n"
    );
    let folder = Folder::new(&[("key.conf", &text)]);
    let ran = folder.run("lint key.conf --diff");
    ran.ends(1).says(&["***"]);
    assert!(!ran.out.contains(SECRET), "{}", ran.out);
    folder.run("lint key.conf --fix --fail-on error").ends(0);
    assert_eq!(folder.read("key.conf"), text.replace(" # llmguard: ignore[admin-reachable] old", ""));
}

#[test]
fn rules_are_listed_and_explained() {
    let folder = Folder::new(&[]);
    let list: Value = serde_json::from_str(&folder.run("rules --format json").ends(0).out).unwrap();
    let human = folder.run("rules").ends(0).out.clone();
    let list = list.as_array().unwrap();
    assert_eq!(human.lines().count(), list.len());
    for rule in list {
        let id = rule["id"].as_str().unwrap();
        assert!(["error", "warning", "info"].contains(&rule["severity"].as_str().unwrap()));
        let page = folder.run(&format!("explain {id}"));
        page.ends(0).says(&[id, rule["summary"].as_str().unwrap(), "What it finds", "Why it matters"]);
        assert!(page.out.lines().all(|line| !line.starts_with("## ") && !line.starts_with("```")), "{}", page.out);
    }
    folder.run("explain admin-reachble").ends(2).says(&["did you mean `admin-reachable`?"]);
    folder.run("explain something-else").ends(2).says(&["`llmguard rules` lists all"]);
}
