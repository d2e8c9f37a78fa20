//! Keys and password hashes: the only files of this target that hold them.
//!
//! nginx can't read the environment, so the values are written: `secrets/` is read by the master alone (0600), `.htpasswd` by the workers.

use minijinja::{Value, context};

use super::endpoints::literal;
use super::{Output, Site, TEMPLATES, WORKER, lines};
use crate::policy::plan::{HashAlgorithm, KeyOrigin, KeySource, Plan};
use crate::render::{escape, template};

/// Records what is unset, and hashes that nginx can't verify.
pub fn check(plan: &Plan, out: &mut Output) {
    if let Some(key) = &plan.upstream.api_key {
        unset(key, "upstream.api_key", out);
    }
    for client in &plan.clients {
        for key in &client.keys {
            unset(key, "api_key", out);
        }
        let Some(password) = &client.password else { continue };
        if password.hash.is_none() {
            let name = password.env.as_deref().unwrap_or("the variable");
            out.refuse(
                "password_hash",
                password.span,
                format!("`{name}` is unset and nginx can't read the environment"),
                format!("set `{name}` in the environment or in .env, then render"),
            );
        }
        match password.algorithm {
            Some(HashAlgorithm::Argon2id) => out.weaker(
                "password_hash",
                password.span,
                format!("nginx can't verify argon2id, so `{}` could not log in by password", client.name),
                "a bcrypt hash",
            ),
            Some(HashAlgorithm::Bcrypt { cost }) if cost >= 10 => out.notes.push(format!(
                "nginx checks the password of `{}` on every request, and a worker's streams stand still meanwhile: about {} ms at bcrypt cost {cost}; cost 8 and a long random password, or a key, do better",
                client.name,
                140_u64.saturating_mul(1_u64.checked_shl(cost - 10).unwrap_or(u64::MAX)),
            )),
            _ => {}
        }
    }
}

fn unset(key: &KeySource, name: &str, out: &mut Output) {
    if key.value.is_some() {
        return;
    }
    let (what, instead) = match &key.origin {
        KeyOrigin::Env(name) => {
            (format!("`{name}` is unset"), format!("set `{name}` in the environment or in .env, then render"))
        }
        KeyOrigin::File(path) => (format!("{} can't be read", path.display()), "a file with the key".to_owned()),
    };
    out.refuse(name, key.span, format!("{what}, and nginx can't read it later"), instead);
}

/// Writes `secrets/` and `.htpasswd`.
pub fn render(plan: &Plan, site: &Site, out: &mut Output) -> Result<(), String> {
    let auth = &plan.auth;
    if auth.x_api_key && !auth.anonymous {
        out.secret_file("nginx/secrets/keys.map", keys(plan, "")?, 0o600, None);
    }
    if auth.bearer && !auth.anonymous {
        out.secret_file("nginx/secrets/bearer.map", keys(plan, "(?i:bearer) +")?, 0o600, None);
    }
    if let Some(key) = &plan.upstream.api_key {
        let key = key.value.as_ref().map_or("", |value| value.reveal());
        let values = context! { authorization => format!("Bearer {key}") };
        let text = template::render(TEMPLATES, "nginx/upstream.conf", values)?;
        out.secret_file("nginx/secrets/upstream.conf", text, 0o600, None);
    }
    if auth.basic && !auth.anonymous {
        let entries = plan
            .clients
            .iter()
            .filter_map(|client| Some((client, client.password.as_ref()?)))
            .filter(|(_, password)| password.algorithm != Some(HashAlgorithm::Argon2id))
            .filter_map(|(client, password)| Some((client, password.hash.as_ref()?)))
            .map(|(client, hash)| {
                let hash = escape::htpasswd_hash(hash.reveal())?;
                Ok(context! { name => client.name.as_str(), hash => Value::from(hash) })
            })
            .collect::<Result<Vec<_>, String>>()?;
        let text = template::render(TEMPLATES, "nginx/htpasswd.txt", context! { entries => entries })?;
        out.secret_file("nginx/.htpasswd", text, 0o640, site.root.then_some(WORKER));
    }
    Ok(())
}

/// One line a key. A regular expression, because `map` compares plain text without regard to case.
fn keys(plan: &Plan, before: &str) -> Result<String, String> {
    let mut entries = Vec::new();
    for client in &plan.clients {
        for value in client.keys.iter().filter_map(|key| key.value.as_ref()) {
            let pattern = format!(r"~^{before}{}\z", literal(value.reveal()));
            entries.push((escape::nginx_map_key(&pattern)?, Value::from(client.name.as_str())));
        }
    }
    template::render(TEMPLATES, "nginx/map.conf", context! { entries => lines(entries) })
}
