//! The `[[client]]` tables: names, keys, password hashes, rates.
//!
//! In: the tables and the variables. Out: [`Client`]s. Invariant: no two clients share a name or a key; no key stands in the policy.

use std::collections::BTreeMap;
use std::path::Path;

use super::access::Lists;
use super::file::ClientFile;
use super::parse;
use super::plan::{Client, EndpointSet, KeyOrigin, KeySource, Password};
use super::validate::Check;
use super::value::{RateSetting, Spanned};
use crate::diag::Severity;
use crate::secret::Secret;
use crate::source::{SourceFile, Span};

/// Resolves every client; `sets` collects the different endpoint sets.
pub(super) fn read(
    files: &[ClientFile],
    lists: &Lists<'_>,
    sets: &mut Vec<EndpointSet>,
    check: &mut Check<'_>,
) -> Vec<Client> {
    let mut names: BTreeMap<String, Span> = BTreeMap::new();
    let mut references: BTreeMap<KeyOrigin, String> = BTreeMap::new();
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let mut out: Vec<Client> = Vec::new();
    for file in files {
        let table = file.places.at("");
        let name = name(file, &mut names, check);
        let sources = sources(file, check);
        for source in &sources {
            // One key, as far as known: the same reference, or the same value.
            let value = source.value.as_ref().map(|value| value.reveal().to_owned());
            let by_reference = references.insert(source.origin.clone(), name.clone());
            let by_value = value.and_then(|value| values.insert(value, name.clone()));
            if let Some(other) = by_reference.or(by_value) {
                let message = if other == name {
                    format!("client `{name}` has the same key twice")
                } else {
                    format!("clients `{other}` and `{name}` have the same key")
                };
                check.error(source.span, message, "give each its own: `llmguard key new NAME` makes one");
            }
        }
        let password = file.password_hash.as_ref().and_then(|hash| password(hash, check));
        if sources.is_empty()
            && password.is_none()
            && !["api_key", "password_hash"].iter().any(|key| file.places.keys.contains_key(*key))
        {
            check.error(
                table,
                format!("client `{name}` has neither `api_key` nor `password_hash`"),
                format!(
                    "add api_key = \"env:{}\" and run `llmguard key new {name}`",
                    super::variables::default_name(&name)
                ),
            );
        }
        let set = lists.client(file, check);
        let set = match sets.iter().position(|known| *known == set) {
            Some(index) => index,
            None => {
                sets.push(set);
                sets.len() - 1
            }
        };
        let rate = match file.rate.as_ref().map(|rate| rate.value) {
            Some(RateSetting::On(rate)) => Some(rate),
            _ => None,
        };
        out.push(Client { name, keys: sources, password, set, rate, places: file.places.clone() });
    }
    out
}

fn name(file: &ClientFile, names: &mut BTreeMap<String, Span>, check: &mut Check<'_>) -> String {
    let Some(name) = &file.name else {
        if !file.places.keys.contains_key("name") {
            check.error(file.places.at(""), "this client has no `name`", "add name = \"laptop\"");
        }
        return "?".to_owned();
    };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.value.is_empty() || name.value.len() > 32 || !name.value.bytes().all(plain) {
        check.error(
            name.span,
            format!("`{}` can't be a client's name", name.value.escape_debug()),
            "use a-z 0-9 and -, at most 32 characters",
        );
    } else if let Some(first) = names.insert(name.value.clone(), name.span) {
        let line = check.file.line_column(first.start).line;
        check.error(
            name.span,
            format!("client `{}` stands twice", name.value),
            format!("the first is at line {line}: give each its own name"),
        );
    }
    name.value.clone()
}

fn sources(file: &ClientFile, check: &mut Check<'_>) -> Vec<KeySource> {
    let list = file.api_key.iter().flat_map(|keys| &keys.value.0);
    list.filter_map(|reference| source(reference, check)).collect()
}

/// What `env:NAME` or `file:PATH` stands for.
pub(super) fn source(reference: &Spanned<String>, check: &mut Check<'_>) -> Option<KeySource> {
    let span = reference.span;
    let (origin, value) = if let Some(name) = reference.value.strip_prefix("env:") {
        let name = parse::variable(name).map_err(|(message, help)| check.error(span, message, help)).ok()?;
        let value = check.variables.get(&name).cloned();
        if value.is_none() {
            check.add(
                Severity::Note,
                span,
                format!("variable `{name}` is not set: this key opens nothing"),
                "set it in the environment or in .env (`llmguard key new` makes one)".to_string(),
            );
        }
        (KeyOrigin::Env(name), value)
    } else if let Some(path) = reference.value.strip_prefix("file:") {
        if path.is_empty() || path.contains(|c: char| c.is_control()) {
            check.error(
                span,
                format!("`{}` names no file", reference.value.escape_debug()),
                "write file:PATH, relative to the policy",
            );
            return None;
        }
        let path = check.absolute(path);
        let value = key_file(reference, &path, check);
        (KeyOrigin::File(path), value)
    } else {
        let message =
            if reference.value.is_empty() { "`api_key` is empty" } else { "a literal API key stands in the policy" };
        check.error(span, message, literal_help(&reference.value));
        return None;
    };
    let value = value.filter(|value| !value.reveal().is_empty());
    if let Some(value) = &value {
        match parse::key_value(value.reveal()) {
            Ok(true) => check.add(
                Severity::Warning,
                span,
                format!("the key behind `{}` is short ({} characters)", reference.value, value.reveal().len()),
                "32 or more characters are hard to guess: `llmguard key new`",
            ),
            Ok(false) => {}
            Err((message, help)) => check.error(span, format!("the key behind `{}` {message}", reference.value), help),
        }
    }
    Some(KeySource { origin, value, span })
}

/// The key in a file; the file may still be missing.
fn key_file(reference: &Spanned<String>, path: &Path, check: &mut Check<'_>) -> Option<Secret> {
    let shown = reference.value.escape_debug();
    let mut unset = |reason: &str| {
        check.add(
            Severity::Note,
            reference.span,
            format!("`{shown}` {reason}: this key opens nothing"),
            "make the file with one line, the key, readable by its owner only",
        );
        None
    };
    match SourceFile::read(path) {
        Err(reason) => unset(&format!("can't be read ({reason})")),
        Ok(file) => match file.text.trim_end_matches(['\n', '\r']) {
            "" => unset("is empty"),
            key if key.contains('\n') => {
                check.error(reference.span, format!("`{shown}` holds more than one line"), "keep one key in each file");
                None
            }
            key => Some(Secret::new(key)),
        },
    }
}

/// What to write where a key should have been named.
fn literal_help(text: &str) -> String {
    let name = text.trim_start_matches(['$', '{']).trim_end_matches('}');
    let name = name.strip_prefix("ENV:").unwrap_or(name);
    let upper = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    let told = name.len() < text.len() || ["KEY", "TOKEN", "SECRET"].iter().any(|word| name.ends_with(word));
    if text.is_empty() {
        return "write \"env:NAME\", or leave the key out".to_owned();
    }
    if upper && told && parse::variable(name).is_ok() {
        return format!("did you mean \"env:{name}\"?");
    }
    "keep it out of files that are shared: write \"env:NAME\" here and NAME=… in .env, and make a fresh key with `llmguard key new`".to_owned()
}

fn password(hash: &Spanned<String>, check: &mut Check<'_>) -> Option<Password> {
    let span = hash.span;
    let (env, text) = match hash.value.strip_prefix("env:") {
        Some(name) => {
            let name = parse::variable(name).map_err(|(message, help)| check.error(span, message, help)).ok()?;
            let value = check.variables.get(&name).map(|value| value.reveal().to_owned());
            if value.is_none() {
                check.add(
                    Severity::Note,
                    span,
                    format!("variable `{name}` is not set: this password opens nothing"),
                    "set it in .env in single quotes; make it with `llmguard key hash`".to_owned(),
                );
            }
            (Some(name), value)
        }
        None => (None, Some(hash.value.clone())),
    };
    let algorithm = match text.as_deref().map(parse::hash) {
        None => None,
        Some(Ok(algorithm)) => Some(algorithm),
        Some(Err(_)) if hash.value.starts_with("file:") => {
            check.error(
                span,
                "`password_hash` can't come from a file",
                "write the hash here, or \"env:NAME\" and NAME='…' in .env",
            );
            return None;
        }
        Some(Err((message, help))) => {
            let message = match &env {
                Some(name) => format!("variable `{name}`: {message}"),
                None => message,
            };
            check.error(span, message, help);
            return None;
        }
    };
    if let Some(super::plan::HashAlgorithm::Bcrypt { cost: cost @ 11.. }) = algorithm {
        // facts measured on nginx 1.22.1, Caddy 2.11.7 and Traefik 3.7.15: cost 12 lets a worker do 2.4 logins a second, cost 14 none in 5 s.
        check.add(
            Severity::Warning,
            span,
            format!("bcrypt cost {cost} is paid on every request"),
            "nginx and Traefik hash each time: at cost 12 a worker does two requests a second; use cost 8 and a long random password (`llmguard key hash`)".to_owned(),
        );
    }
    Some(Password { env, hash: text.map(Secret::new), algorithm, span })
}
