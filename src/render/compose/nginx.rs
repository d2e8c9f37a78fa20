//! nginx can't read its environment, so its image's template step writes the keys into the files at start.
//!
//! In: the plan with [`Stand`]-ins instead of keys, and the files that nginx's renderer made of it. Out: templates of those files and a
//! script that checks every key before the template step puts it in. Invariant: no key is in a rendered file, and a value that isn't
//! a key's or a hash's shape stops the start: in a regular expression it could open the door.

use minijinja::{Value, context};

use crate::policy::plan::{HashAlgorithm, KeyOrigin, Plan};
use crate::render::RenderedFile;
use crate::secret::Secret;

/// A value that stands in the files until the container starts.
pub struct StandIn {
    /// What stands in the files: the shape of a key or of a bcrypt hash, found nowhere else.
    pub text: String,
    /// The variable that the script sets and the template step reads.
    pub variable: String,
    /// The script's function that checks the value: `key` or `hash`.
    pub kind: &'static str,
    /// Where the value comes from.
    pub origin: KeyOrigin,
}

/// Only variables with these first letters are replaced, so nginx's own stay.
pub const PREFIX: &str = "LLMGUARD_";

/// Puts stand-ins into the plan for every key, and for every hash that a variable holds.
pub fn stand_in(plan: &mut Plan) -> Vec<StandIn> {
    let mut all = Vec::new();
    let mut next = |kind, origin| {
        let number = all.len() + 1;
        let mark = format!("LLMGUARDSTANDIN{number:06}");
        let text = if kind == "hash" { format!("$2y$10${mark:0<53}") } else { mark };
        let secret = Secret::new(text.clone());
        all.push(StandIn { text, variable: format!("{PREFIX}{number}"), kind, origin });
        Some(secret)
    };
    let keys = plan.clients.iter_mut().flat_map(|client| &mut client.keys).chain(&mut plan.upstream.api_key);
    for key in keys {
        key.value = next("key", key.origin.clone());
    }
    for password in plan.clients.iter_mut().filter_map(|client| client.password.as_mut()) {
        if let Some(name) = &password.env {
            password.hash = next("hash", KeyOrigin::Env(name.clone()));
            // Unset here means unknown: the script takes bcrypt only. A known argon2id stays, for the renderer to refuse.
            password.algorithm.get_or_insert(HashAlgorithm::Bcrypt { cost: 10 });
        }
    }
    all
}

/// Turns a file with stand-ins into a template, which is no secret any more; any other file stays as it is.
pub fn template(file: &RenderedFile, stand_ins: &[StandIn]) -> Option<String> {
    let mut content = file.content.clone();
    for stand_in in stand_ins {
        content = content.replace(&stand_in.text, &format!("${{{}}}", stand_in.variable));
    }
    (content != file.content).then_some(content)
}

/// What the script does: check a value and set the variable.
pub fn checks(stand_ins: &[StandIn]) -> Vec<Value> {
    let check = |stand_in: &StandIn| {
        let (reader, name) = match &stand_in.origin {
            KeyOrigin::Env(name) => ("printenv", name.clone()),
            KeyOrigin::File(path) => ("cat", path.display().to_string()),
        };
        context! { kind => stand_in.kind, variable => &stand_in.variable, reader, name }
    };
    stand_ins.iter().map(check).collect()
}
