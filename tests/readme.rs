//! The README's examples, run as they stand.
//!
//! In: every ```console block, in order, in one folder with `examples/` in it: `$ ` begins a command, what follows is what it says
//! (`[..]` stands for the rest of a line, a line `...` for any lines). The ```toml block is `examples/home.toml`.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_examples_do_what_the_readme_says() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("examples")).unwrap();
    for name in ["home.toml", "llm.conf"] {
        fs::copy(root().join("examples").join(name), folder.path().join("examples").join(name)).unwrap();
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_llmguard")).parent().unwrap();
    let mut commands = 0;
    for block in blocks("console") {
        for example in block.split("$ ").filter(|example| !example.is_empty()) {
            let (command, expected) = example.split_once('\n').unwrap();
            let out = Command::new("/bin/sh")
                .args(["-c", &format!("{{ {command}; }} 2>&1")])
                .current_dir(folder.path())
                .env_clear()
                .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
                .output()
                .unwrap();
            let said = String::from_utf8(out.stdout).unwrap();
            // What is shown: success, findings, a policy with a mistake.
            assert!(matches!(out.status.code(), Some(0..=2)), "{command}: {:?}\n{said}", out.status);
            snapbox::Assert::new().eq(said, snapbox::Data::text(expected.to_owned()));
            commands += 1;
        }
    }
    assert!(commands > 10);
}

#[test]
fn the_policy_in_the_readme_is_the_example() {
    assert_eq!(blocks("toml"), [fs::read_to_string(root().join("examples/home.toml")).unwrap()]);
}

/// The text of every block of a language.
fn blocks(language: &str) -> Vec<String> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let start = format!("\n```{language}\n");
    readme.split(&start).skip(1).map(|rest| format!("{}\n", rest.split("\n```").next().unwrap())).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
