//! The two files on disk: read, changed by [`super`]'s pure functions, written in the order that is safe at every moment.
//!
//! In: paths and a client's name. Out: [`Done`]. Invariant: `.env` is 0600 after every write; a file that isn't there counts
//! as empty only for `.env`.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::{Change, Error};
use crate::secret::Secret;
use crate::source::{SourceFile, atomic, io_reason};

/// Where the two files lie.
#[derive(Debug, Clone)]
pub struct Files {
    /// `llmguard.toml`.
    pub policy: PathBuf,
    /// `.env`, which `new` and `rotate` create if it isn't there.
    pub env: PathBuf,
}

/// What was done.
#[derive(Debug, Clone)]
pub struct Done {
    /// The variable that was added or removed.
    pub variable: Option<String>,
    /// The fresh key.
    pub key: Option<Secret>,
    /// Sentences for the user, for standard error.
    pub notes: Vec<String>,
}

impl Files {
    /// `key new`: see [`super::new`]. Errors: as there, and what the system says.
    pub fn new_key(&self, client: &str) -> Result<Done, Error> {
        let key = super::generate()?;
        let change = super::new(&self.policy_text()?, &self.env_text()?, client, &key, &in_environment)?;
        self.add(change, key)
    }

    /// `key rotate`: see [`super::rotate`]. Errors: as there, and what the system says.
    pub fn rotate(&self, client: &str) -> Result<Done, Error> {
        let key = super::generate()?;
        let change = super::rotate(&self.policy_text()?, &self.env_text()?, client, &key, &in_environment)?;
        self.add(change, key)
    }

    /// `key retire`: see [`super::retire`]. Errors: as there, and what the system says.
    pub fn retire(&self, client: &str) -> Result<Done, Error> {
        let mut change = super::retire(&self.policy_text()?, &self.env_text()?, client, &in_environment)?;
        self.write_policy(&change)?;
        self.write_env(&mut change)?;
        Ok(Done { variable: change.variable, key: None, notes: change.notes })
    }

    fn add(&self, mut change: Change, key: Secret) -> Result<Done, Error> {
        self.write_env(&mut change)?;
        self.write_policy(&change)?;
        Ok(Done { variable: change.variable, key: Some(key), notes: change.notes })
    }

    fn policy_text(&self) -> Result<String, Error> {
        read(&self.policy)
    }

    fn env_text(&self) -> Result<String, Error> {
        if self.env.exists() { read(&self.env) } else { Ok(String::new()) }
    }

    fn write_policy(&self, change: &Change) -> Result<(), Error> {
        let Some(text) = &change.policy else { return Ok(()) };
        let mode = std::fs::metadata(&self.policy).map_or(0o644, |meta| meta.permissions().mode() & 0o777);
        write(&self.policy, text, mode)
    }

    fn write_env(&self, change: &mut Change) -> Result<(), Error> {
        let Some(text) = &change.env else { return Ok(()) };
        let mode = std::fs::metadata(&self.env).map_or(0o600, |meta| meta.permissions().mode() & 0o777);
        write(&self.env, text, 0o600)?;
        if mode & !0o600 != 0 {
            let name = self.env.display();
            change.notes.push(format!("`{name}` had mode {mode:04o}; now only its owner can read it (0600)"));
        }
        Ok(())
    }
}

fn in_environment(name: &str) -> bool {
    std::env::var_os(name).is_some()
}

fn read(path: &Path) -> Result<String, Error> {
    let file = SourceFile::read(path).map_err(|reason| failed("read", path, &reason))?;
    Ok(file.text.to_string())
}

/// Writes where a symbolic link leads, and leaves the file to whom it belonged.
fn write(path: &Path, text: &Secret, mode: u32) -> Result<(), Error> {
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let before = std::fs::metadata(&target).ok();
    let change = || {
        atomic::write(&target, text.reveal().as_bytes(), mode)?;
        let after = std::fs::metadata(&target)?;
        match before {
            Some(before) if (before.uid(), before.gid()) != (after.uid(), after.gid()) => {
                std::os::unix::fs::chown(&target, Some(before.uid()), Some(before.gid()))
            }
            _ => Ok(()),
        }
    };
    change().map_err(|error| failed("write", path, &io_reason(&error)))
}

fn failed(what: &str, path: &Path, reason: &str) -> Error {
    Error::new(format!("can't {what} `{}`: {reason}", path.display()), "check the path and its permissions")
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::policy::env_file;

    /// Variable names of these tests begin so that no environment sets them.
    const POLICY: &str = "# mine\n[[client]]\nname = \"laptop\"\napi_key = \"env:LLMGUARD_T_KEY\" # daily\n";

    fn folder(policy: &str, env: Option<(&str, u32)>) -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().unwrap();
        let files = Files { policy: folder.path().join("llmguard.toml"), env: folder.path().join(".env") };
        std::fs::write(&files.policy, policy).unwrap();
        if let Some((text, mode)) = env {
            std::fs::write(&files.env, text).unwrap();
            std::fs::set_permissions(&files.env, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        (folder, files)
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn value(files: &Files, name: &str) -> Option<String> {
        let file = env_file::parse(&std::fs::read_to_string(&files.env).unwrap());
        file.get(name).map(|entry| entry.value.reveal().to_owned())
    }

    #[test]
    fn a_key_lives_from_new_over_rotate_to_retire() {
        let (_folder, files) = folder(POLICY, None);
        let first = files.new_key("laptop").unwrap();
        assert_eq!(mode(&files.env), 0o600);
        assert_eq!(value(&files, "LLMGUARD_T_KEY").as_deref(), first.key.as_ref().map(Secret::reveal));
        assert!(first.notes.is_empty(), "{:?}", first.notes);
        assert!(files.new_key("laptop").unwrap_err().remedy.contains("rotate"));

        let second = files.rotate("laptop").unwrap();
        assert_eq!(second.variable.as_deref(), Some("LLMGUARD_T_KEY_2"));
        let policy = std::fs::read_to_string(&files.policy).unwrap();
        assert_eq!(
            policy,
            POLICY.replace("\"env:LLMGUARD_T_KEY\"", "[\"env:LLMGUARD_T_KEY\", \"env:LLMGUARD_T_KEY_2\"]")
        );
        assert_eq!(value(&files, "LLMGUARD_T_KEY_2").as_deref(), second.key.as_ref().map(Secret::reveal));
        assert_ne!(first.key, second.key);

        let retired = files.retire("laptop").unwrap();
        assert_eq!(retired.variable.as_deref(), Some("LLMGUARD_T_KEY"));
        assert!(retired.notes.is_empty(), "{:?}", retired.notes);
        assert_eq!(std::fs::read_to_string(&files.policy).unwrap(), POLICY.replace("T_KEY", "T_KEY_2"));
        assert_eq!(value(&files, "LLMGUARD_T_KEY"), None);
        assert_eq!(value(&files, "LLMGUARD_T_KEY_2").as_deref(), second.key.as_ref().map(Secret::reveal));
        assert!(files.retire("laptop").unwrap_err().message.contains("only one key"));
        assert_eq!(files.rotate("laptop").unwrap().variable.as_deref(), Some("LLMGUARD_T_KEY_3"));
    }

    #[test]
    fn an_open_env_file_is_closed_and_a_link_stays_a_link() {
        let (folder, files) = folder(POLICY, Some(("A=1", 0o664)));
        let real = folder.path().join("real.env");
        std::fs::rename(&files.env, &real).unwrap();
        std::os::unix::fs::symlink(&real, &files.env).unwrap();
        std::fs::set_permissions(&files.policy, std::fs::Permissions::from_mode(0o640)).unwrap();
        let done = files.rotate("laptop").unwrap();
        assert!(done.notes[0].contains("0664"), "{:?}", done.notes);
        assert!(std::fs::symlink_metadata(&files.env).unwrap().is_symlink());
        assert_eq!((mode(&real), mode(&files.policy)), (0o600, 0o640));
        assert!(std::fs::read_to_string(&real).unwrap().starts_with("A=1\nLLMGUARD_T_KEY_2="));
    }

    #[test]
    fn nothing_is_written_on_an_error() {
        for (policy, env, client, message) in [
            (POLICY, "A='x\n", "laptop", "line 1 of `.env`"),
            (POLICY, "LLMGUARD_T_KEY=", "laptop", "empty value"),
            (POLICY, "LLMGUARD_T_KEY='x' # y", "laptop", "set in `.env` already"),
            (POLICY, "", "phone", "no client"),
            ("[[client]]\nname = 'laptop'\napi_key = 'file:k'\n", "", "laptop", "`file:k`"),
            ("[[client]]\nname = 'laptop'\n", "", "laptop", "no `api_key`"),
        ] {
            let (_folder, files) = folder(policy, Some((env, 0o644)));
            let error = files.new_key(client).unwrap_err();
            assert!(error.message.contains(message), "{error}");
            assert_eq!(std::fs::read_to_string(&files.env).unwrap(), env);
            assert_eq!(std::fs::read_to_string(&files.policy).unwrap(), policy);
        }
        let (_folder, files) = folder(POLICY, None);
        std::fs::remove_file(&files.policy).unwrap();
        assert!(files.new_key("laptop").unwrap_err().message.contains("no such file"));
        assert!(!files.env.exists());
    }
}
