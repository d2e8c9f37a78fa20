//! API keys and password hashes: `llmguard key`.
//!
//! In: the policy's text, the `.env` file's text and a client's name. Out: [`Change`]s, the two texts as they should be.
//! [`files`] reads and writes them. Invariant: no name in `.env` is ever overwritten, and whichever of the two files is
//! written last, what lies on disk in between is valid: a key comes into `.env` first and leaves the policy first.

pub mod edit;
mod error;
pub mod files;
pub mod hash;

use base64::Engine as _;
use zeroize::Zeroizing;

use crate::policy::env_file::{self, EnvFile};
pub use crate::policy::variables::default_name as default_variable;
use crate::secret::Secret;
pub use error::Error;

/// What becomes of the two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The variable that was added or removed; `None`: the key was not in a variable.
    pub variable: Option<String>,
    /// The policy's text; `None`: unchanged.
    pub policy: Option<Text>,
    /// The text of `.env`; `None`: unchanged.
    pub env: Option<Text>,
    /// Sentences for the user.
    pub notes: Vec<String>,
}

/// A whole file's text, which may hold keys: not shown by `Debug`.
pub type Text = Secret;

/// A fresh API key or password: 256 bits as 43 characters of URL-safe base64 (`A-Z a-z 0-9 _ -`).
///
/// Errors: the system has no randomness.
pub fn generate() -> Result<Secret, Error> {
    let mut bytes = Zeroizing::new([0u8; 32]);
    getrandom::fill(bytes.as_mut())
        .map_err(|error| Error::new(format!("the system gave no random bytes ({error})"), "try again"))?;
    Ok(Secret::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes.as_ref())))
}

/// A key or a hash as the line that its owner asked for.
pub fn line(secret: &Secret) -> Zeroizing<String> {
    Zeroizing::new(format!("{}\n", secret.reveal()))
}

/// `key new`: the variable that the policy names for `client` (the first of its list that isn't set yet) with `key` in `.env`.
///
/// `in_environment` tells whether the process environment sets a name. Errors: as [`edit::keys`], a broken `.env`, no
/// variable named, every one set already.
pub fn new(
    policy: &str,
    env: &str,
    client: &str,
    key: &Secret,
    in_environment: &dyn Fn(&str) -> bool,
) -> Result<Change, Error> {
    let origins = edit::keys(policy, client)?;
    let file = readable(env)?;
    let variables: Vec<&str> = origins.iter().filter_map(|origin| variable(origin)).collect();
    let Some(first) = variables.first() else {
        let Some(origin) = origins.first() else { return Err(edit::no_key(client)) };
        let remedy = format!("write the key there, or use `env:{}`", default_variable(client));
        return Err(Error::new(
            format!("the key of the client `{client}` comes from `{origin}`, not from `.env`"),
            remedy,
        ));
    };
    let Some(free) = variables.iter().find(|name| file.get(name).is_none()) else {
        let empty = file.get(first).is_some_and(|entry| entry.value.reveal().is_empty());
        return Err(if empty {
            Error::new(
                format!("`{first}` stands in `.env` already, with an empty value"),
                "remove that line and try again",
            )
        } else {
            let remedy = format!("to replace it: `llmguard key rotate {client}`");
            Error::new(format!("`{first}` is set in `.env` already"), remedy)
        });
    };
    Ok(Change {
        variable: Some((*free).to_owned()),
        policy: None,
        env: Some(appended(env, free, key)?),
        notes: if in_environment(free) { vec![overridden(free)] } else { Vec::new() },
    })
}

/// `key rotate`: a second (third …) key beside the client's own: `NAME_2` in `.env` and in the policy.
///
/// Errors: as [`edit::add`], a broken `.env`.
pub fn rotate(
    policy: &str,
    env: &str,
    client: &str,
    key: &Secret,
    in_environment: &dyn Fn(&str) -> bool,
) -> Result<Change, Error> {
    let origins = edit::keys(policy, client)?;
    let file = readable(env)?;
    let base = match origins.iter().find_map(|origin| variable(origin)) {
        Some(name) => without_number(name).to_owned(),
        None => default_variable(client),
    };
    let mut free = None;
    for number in 2..10_000 {
        let name = format!("{base}_{number}");
        if file.get(&name).is_none() && !in_environment(&name) && !edit::names(policy, &name)? {
            free = Some(name);
            break;
        }
    }
    let Some(free) = free else {
        return Err(Error::new(format!("every name from `{base}_2` on is taken"), "remove old keys from `.env`"));
    };
    Ok(Change {
        policy: Some(Secret::new(edit::add(policy, client, &format!("env:{free}"))?)),
        env: Some(appended(env, &free, key)?),
        variable: Some(free),
        notes: Vec::new(),
    })
}

/// `key retire`: the client's first key leaves the policy and, unless the policy still names its variable elsewhere, `.env`.
///
/// Errors: as [`edit::remove_first`], a broken `.env`.
pub fn retire(policy: &str, env: &str, client: &str, in_environment: &dyn Fn(&str) -> bool) -> Result<Change, Error> {
    let file = readable(env)?;
    let (edited, origin) = edit::remove_first(policy, client)?;
    let mut change =
        Change { variable: None, policy: Some(Secret::new(edited.as_str())), env: None, notes: Vec::new() };
    let Some(name) = variable(&origin) else {
        change.notes.push(format!("`{origin}` is no longer used; remove that file yourself"));
        return Ok(change);
    };
    if edit::names(&edited, name)? {
        change.notes.push(format!("`{name}` stays in `.env`: the policy names it in another place"));
    } else if file.get(name).is_some() {
        change.env = Some(Secret::new(env_file::remove(env, name)));
    }
    if in_environment(name) {
        change.notes.push(format!("the process environment still sets `{name}`; nothing reads it any more"));
    }
    let unset: Vec<String> = edit::keys(&edited, client)?
        .iter()
        .filter_map(|origin| variable(origin))
        .filter(|name| file.get(name).is_none() && !in_environment(name))
        .map(|name| format!("`{name}`"))
        .collect();
    if !unset.is_empty() {
        let unset = unset.join(", ");
        change.notes.push(format!("of the keys that `{client}` has left, {unset} is set neither in `.env` nor here"));
    }
    change.variable = Some(name.to_owned());
    Ok(change)
}

/// The variable of an `env:NAME`.
fn variable(origin: &str) -> Option<&str> {
    origin.strip_prefix("env:").filter(|name| env_file::is_name(name))
}

/// `NAME_2` → `NAME`, up to `NAME_99`.
fn without_number(name: &str) -> &str {
    match name.rsplit_once('_') {
        Some((base, number)) if !base.is_empty() && number.parse().is_ok_and(|n| (2..100u32).contains(&n)) => base,
        _ => name,
    }
}

/// `.env` with one line more.
fn appended(env: &str, name: &str, key: &Secret) -> Result<Secret, Error> {
    let text = env_file::append(env, name, key.reveal());
    text.map(Secret::new).map_err(|message| Error::new(message, "name another variable in the policy"))
}

/// `.env`, if it has no errors: after an open quote a new line would be part of the line before.
fn readable(env: &str) -> Result<EnvFile, Error> {
    let file = env_file::parse(env);
    match file.errors.first() {
        None => Ok(file),
        Some(problem) => {
            let line = env[..problem.span.start].matches('\n').count() + 1;
            Err(Error::new(format!("line {line} of `.env`: {}", problem.message), problem.remedy.as_str()))
        }
    }
}

fn overridden(name: &str) -> String {
    format!("the process environment sets `{name}` too and wins over `.env`")
}

#[cfg(test)]
mod tests {

    use super::*;

    fn nowhere(_: &str) -> bool {
        false
    }

    #[test]
    fn keys_are_fresh_and_in_the_alphabet() {
        let keys: Vec<Secret> = (0..100).map(|_| generate().unwrap()).collect();
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(key.reveal().len(), 43);
            assert!(key.reveal().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
            assert!(!keys[..at].contains(key));
        }
    }

    #[test]
    fn new_fills_the_first_variable_that_is_free() {
        let policy = "[[client]]\nname = 'a'\napi_key = ['file:x', 'env:A_KEY', 'env:A_KEY_2']\n";
        let key = generate().unwrap();
        for (env, variable) in [("", "A_KEY"), ("A_KEY=x", "A_KEY_2"), ("# A_KEY=x\nA_KEY_2=x", "A_KEY")] {
            let change = new(policy, env, "a", &key, &nowhere).unwrap();
            assert_eq!(change.variable.as_deref(), Some(variable), "{env}");
            assert_eq!((change.policy, change.notes.len()), (None, 0));
        }
        assert_eq!(new(policy, "", "a", &key, &|name| name == "A_KEY").unwrap().notes.len(), 1);
        assert!(new(policy, "A_KEY=x\nA_KEY_2=y", "a", &key, &nowhere).is_err());
    }

    #[test]
    fn rotate_takes_the_next_free_name() {
        let key = generate().unwrap();
        for (origin, env, variable) in [
            ("env:A", "", "A_2"),
            ("env:A", "A_2=x\nA_3=y", "A_4"),
            ("env:A_2", "A_2=x", "A_3"),
            ("env:KEY_2024", "", "KEY_2024_2"),
            ("env:_2", "", "_2_2"),
            ("env:IN_PROCESS", "", "IN_PROCESS_3"),
            ("env:ELSEWHERE", "", "ELSEWHERE_3"),
            ("file:key", "", "MY_LAPTOP_KEY_2"),
        ] {
            let policy = format!(
                "[upstream]\napi_key = 'env:ELSEWHERE_2'\n[[client]]\nname = 'my-laptop'\napi_key = '{origin}'\n"
            );
            let change = rotate(&policy, env, "my-laptop", &key, &|name| name == "IN_PROCESS_2").unwrap();
            assert_eq!(change.variable.as_deref(), Some(variable), "{origin}");
            let origins = edit::keys(change.policy.unwrap().reveal(), "my-laptop").unwrap();
            assert_eq!(origins, [origin.to_owned(), format!("env:{variable}")]);
            assert!(change.env.unwrap().reveal().ends_with(&format!("{variable}={}\n", key.reveal())));
        }
    }

    #[test]
    fn retire_says_what_it_leaves() {
        let policy =
            "# not env:A\n[upstream]\napi_key = 'env:B'\n[[client]]\nname = 'a'\napi_key = ['FIRST', 'env:A_2']\n";
        for (first, env, after, notes) in [
            ("env:A", "A=x\nA_2=y\n", Some("A_2=y\n"), 0),
            ("env:A", "A=x\n", Some(""), 1),
            ("env:A", "A_2=y\n", None, 0),
            ("env:B", "B=x\nA_2=y\n", None, 1),
            ("file:k", "A_2=y\n", None, 1),
        ] {
            let change = retire(&policy.replace("FIRST", first), env, "a", &nowhere).unwrap();
            assert_eq!(change.env.as_ref().map(Secret::reveal), after, "{first} {env:?}");
            assert_eq!(change.notes.len(), notes, "{first} {env:?}: {:?}", change.notes);
            assert_eq!(edit::keys(change.policy.unwrap().reveal(), "a").unwrap(), ["env:A_2"]);
        }
    }
}
