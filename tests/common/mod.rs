//! What the tests against real servers share: where a server is, and a word when it is not there.
//!
//! In: the variables that `tests/servers/install.sh` writes. Invariant: a test that does not run says so, in a line
//! `SKIPPED name: reason` on standard error and in the file that `LLMGUARD_SKIPS` names (`tests/run` lists them).

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The program that `variable` names (such as `LLMGUARD_TRAEFIK`).
///
/// `None`: it is not there; that the test `name` is skipped has then been said, and the test should return.
pub fn server(name: &str, variable: &str) -> Option<PathBuf> {
    let program = PathBuf::from(setting(name, variable)?);
    if !program.is_file() {
        skip(name, &format!("{variable} is `{}`, which is not there", program.display()));
        return None;
    }
    Some(program)
}

/// The value of `variable` (such as `LLMGUARD_DOCKER_HOST`), from the environment or what was installed last.
///
/// `None`: as in [`server`].
pub fn setting(name: &str, variable: &str) -> Option<String> {
    let value = env::var(variable).ok().or_else(|| installed(variable));
    if value.is_none() {
        skip(name, &format!("{variable} is not set; tests/run sets it where it can"));
    }
    value
}

/// The value in the install script's file, for a plain `cargo test`.
fn installed(variable: &str) -> Option<String> {
    let folder =
        env::var("LLMGUARD_SERVERS").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/.servers").into());
    let lines = fs::read_to_string(Path::new(&folder).join("env")).ok()?;
    let start = format!("export {variable}='");
    lines.lines().find_map(|line| Some(line.strip_prefix(&start)?.strip_suffix('\'')?.to_owned()))
}

/// Writes past the test harness, which would hide the line of a test that passes.
pub fn skip(name: &str, reason: &str) {
    let line = format!("SKIPPED {name}: {reason}\n");
    let _ = io::stderr().write_all(line.as_bytes());
    if let Some(file) = env::var_os("LLMGUARD_SKIPS") {
        let told =
            OpenOptions::new().append(true).create(true).open(&file).and_then(|mut f| f.write_all(line.as_bytes()));
        assert!(told.is_ok(), "{}: {told:?}", Path::new(&file).display());
    }
}
