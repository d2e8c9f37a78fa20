//! The `[[client]]` tables: names, keys, password hashes, rates.
//!
//! In: the tables and the variables. Out: [`Client`]s. Invariant: no two clients share a name or a key; no key stands in the policy.

use std::collections::BTreeMap;

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
    let mut keys: BTreeMap<String, String> = BTreeMap::new();
    let mut out = Vec::new();
    for file in files {
        let table = file.places.at("");
        let name = name(file, &mut names, check);
        let sources = sources(file, check);
        for source in &sources {
            let Some(value) = &source.value else { continue };
            if let Some(other) = keys.insert(value.reveal().to_owned(), name.clone()) {
                let whose = if other == name {
                    "this client has it twice".to_owned()
                } else {
                    format!("client `{other}` has it too")
                };
                check.error(
                    source.span,
                    format!("the key of client `{name}` is not its own: {whose}"),
                    "make a key for each with `llmguard key new NAME`",
                );
            }
        }
        let password = file.password_hash.as_ref().and_then(|hash| password(hash, check));
        if sources.is_empty()
            && password.is_none()
            && !file.places.keys.contains_key("api_key")
            && file.password_hash.is_none()
        {
            check.error(
                table,
                format!("client `{name}` has neither `api_key` nor `password_hash`"),
                format!(
                    "add api_key = \"env:{}_KEY\" and run `llmguard key new {name}`",
                    name.to_ascii_uppercase().replace('-', "_")
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
            check.error(span, "`file:` names no file", "write file:PATH, relative to the policy");
            return None;
        }
        let path = check.absolute(path);
        let value = match SourceFile::read(&path) {
            Ok(file) => Some(Secret::new(file.text.trim_end_matches(['\n', '\r']))),
            Err(reason) => {
                check.add(
                    Severity::Note,
                    span,
                    format!("`{}` can't be read ({reason}): this key opens nothing", path.display()),
                    "make the file with one line, the key, readable by its owner only",
                );
                None
            }
        };
        (KeyOrigin::File(path), value)
    } else {
        check.error(span, "a literal API key stands in the policy", "keep it out of files that are shared: write \"env:NAME\" here and NAME=… in .env, and make a fresh key with `llmguard key new`");
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
        Some(Err((message, help))) => {
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
