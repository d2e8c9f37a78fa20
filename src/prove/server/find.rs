//! The servers installed on this machine. In: a proxy. Out: its program and version.
//!
//! Invariant: looks only where programs are found, and a program asked for its version is ended after [`ANSWER_WITHIN`].

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Running;
use crate::policy::plan::Proxy;

/// Where servers are that are not in every user's PATH.
const FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"];
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How a proxy's program is found and asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// Its names, best first.
    pub names: &'static [&'static str],
    /// The variable that names another one, with its path.
    pub variable: &'static str,
    /// The arguments that make it print its version.
    pub version: &'static [&'static str],
    /// What stands before the version.
    before: &'static str,
}

/// The program of a proxy.
pub fn program(proxy: Proxy) -> Program {
    match proxy {
        Proxy::Nginx => {
            Program { names: &["nginx"], variable: "LLMGUARD_NGINX", version: &["-v"], before: "nginx version: nginx/" }
        }
        Proxy::Caddy => Program { names: &["caddy"], variable: "LLMGUARD_CADDY", version: &["version"], before: "v" },
        Proxy::Traefik => {
            Program { names: &["traefik"], variable: "LLMGUARD_TRAEFIK", version: &["version"], before: "Version:" }
        }
    }
}

/// The first program with one of these names: what `variable` names if it is set (and nothing else then), else in the folders
/// of PATH, else where servers usually are.
pub fn find(names: &[&str], variable: &str) -> Option<PathBuf> {
    let chosen = std::env::var_os(variable).filter(|path| !path.is_empty());
    look(names, chosen.as_deref(), &std::env::var_os("PATH").unwrap_or_default())
}

fn look(names: &[&str], chosen: Option<&OsStr>, path: &OsStr) -> Option<PathBuf> {
    if let Some(chosen) = chosen {
        return Some(PathBuf::from(chosen)).filter(|path| executable(path));
    }
    let folders = std::env::split_paths(path).chain(FOLDERS.map(PathBuf::from));
    // A relative folder in PATH would make the answer depend on where this runs.
    let mut folders = folders.filter(|folder| folder.is_absolute());
    folders.find_map(|folder| names.iter().map(|name| folder.join(name)).find(|path| executable(path)))
}

fn executable(path: &Path) -> bool {
    let runs = |permissions: Permissions| permissions.mode() & 0o111 != 0;
    path.metadata().is_ok_and(|found| found.is_file() && runs(found.permissions()))
}

/// The version that a program prints, such as `1.22.1`. Errors: it does not run, or prints none, as a sentence.
pub fn version(path: &Path, proxy: Proxy) -> Result<String, String> {
    let program = program(proxy);
    let named = |reason: String| format!("`{}` does not tell its version: {reason}", path.display());
    let text = printed(path, program.version).map_err(named)?;
    read_version(&text, program.before).ok_or_else(|| named(format!("it printed `{}`", text.trim())))
}

/// What this nginx was built with, as it prints it: `--prefix=… --with-…`.
pub fn nginx_build(path: &Path) -> String {
    printed(path, &["-V"]).unwrap_or_default()
}

/// A dynamic module of this nginx, where it lies in the folder that the program was built for.
pub fn nginx_module(path: &Path, name: &str) -> Option<PathBuf> {
    let text = nginx_build(path);
    let folder = text.split_whitespace().find_map(|word| word.strip_prefix("--modules-path="))?;
    Some(Path::new(folder).join(name)).filter(|module| module.is_file())
}

/// What a program writes to standard output, with these variables and the few that are inherited. Errors: what it says when it fails.
pub fn output(path: &Path, args: &[&OsStr], variables: &[(String, String)]) -> Result<String, String> {
    let file = || tempfile::tempfile().map_err(|error| error.to_string());
    let (mut said, mut wrong) = (file()?, file()?);
    let twin = |file: &std::fs::File| file.try_clone().map_err(|error| error.to_string());
    let mut command = Command::new(path);
    command.args(args).stdin(Stdio::null()).stdout(twin(&said)?).stderr(twin(&wrong)?).process_group(0);
    command.env_clear().envs(super::inherited()).envs(variables.iter().map(|(name, value)| (name, value)));
    let mut running = Running::spawn(command, None)?;
    let status = running.wait_exit(ANSWER_WITHIN).ok_or_else(|| "it does not end".to_owned())?;
    drop(running);
    let mut text = Vec::new();
    let from = if status.success() { &mut said } else { &mut wrong };
    from.rewind().and_then(|()| from.read_to_end(&mut text)).map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&text).into_owned();
    if status.success() { Ok(text) } else { Err(text.trim().to_owned()) }
}

/// What a program prints before it ends by itself.
fn printed(path: &Path, args: &[&str]) -> Result<String, String> {
    let mut output = tempfile::tempfile().map_err(|error| error.to_string())?;
    let twin = |file: &std::fs::File| file.try_clone().map_err(|error| error.to_string());
    let mut command = Command::new(path);
    command.args(args).stdin(Stdio::null()).stdout(twin(&output)?).stderr(twin(&output)?).process_group(0);
    let mut running = Running::spawn(command, None)?;
    running.wait_exit(ANSWER_WITHIN).ok_or_else(|| "it does not end".to_owned())?;
    drop(running);
    let mut text = Vec::new();
    output.rewind().and_then(|()| output.read_to_end(&mut text)).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn read_version(text: &str, before: &str) -> Option<String> {
    let rest = text.lines().find_map(|line| line.trim_start().strip_prefix(before))?;
    let word = rest.split_whitespace().next()?.trim_start_matches('v');
    word.starts_with(|first: char| first.is_ascii_digit()).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn versions_are_read() {
        let read = |text: &str, proxy| read_version(text, program(proxy).before);
        assert_eq!(read("nginx version: nginx/1.22.1 (Ubuntu)\n", Proxy::Nginx).unwrap(), "1.22.1");
        assert_eq!(read("v2.11.7 h1:yj0Y4f=\n", Proxy::Caddy).unwrap(), "2.11.7");
        assert_eq!(read("Version:      3.7.15\nCodename:     langres\n", Proxy::Traefik).unwrap(), "3.7.15");
        assert_eq!(read("usage: nginx\n", Proxy::Nginx), None);
    }

    #[test]
    fn programs_are_looked_for_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, runs) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&plain, "").unwrap();
        std::fs::write(&runs, "#!/bin/sh\necho 'nginx version: nginx/9.8.7' >&2\n").unwrap();
        std::fs::set_permissions(&plain, Permissions::from_mode(0o644)).unwrap();
        std::fs::set_permissions(&runs, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(look(&["a", "b"], None, folder.path().as_os_str()), Some(runs.clone()));
        assert_eq!(look(&["a"], Some(runs.as_os_str()), OsStr::new("")), Some(runs.clone()));
        assert_eq!(look(&["sh"], Some(plain.as_os_str()), OsStr::new("/bin")), None);
        assert_eq!(look(&["no-such-server"], None, folder.path().as_os_str()), None);
        // While another test starts a process, that one holds the new file open for writing for a moment.
        let ask = |proxy| loop {
            match version(&runs, proxy) {
                Err(reason) if reason.contains("busy") => std::thread::sleep(Duration::from_millis(5)),
                other => break other,
            }
        };
        assert_eq!(ask(Proxy::Nginx).unwrap(), "9.8.7");
        assert!(ask(Proxy::Traefik).unwrap_err().contains("nginx/9.8.7"));
    }
}
