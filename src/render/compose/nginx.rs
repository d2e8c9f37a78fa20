//! nginx can't read its environment, so its image's template step writes the keys into the files at start.
//!
//! In: the plan with [`Stand`]-ins instead of keys, and the files that nginx's renderer made of it. Out: templates of those files and a
//! script that checks every key before the template step puts it in. Invariant: no key is in a rendered file, and a value that isn't
//! a key's or a hash's shape stops the start: in a regular expression it could open the door.

use minijinja::{Value, context};

use crate::policy::plan::{Client, HashAlgorithm, KeyOrigin, Plan};
use crate::render::Output;
use crate::render::template::{self, Template};
use crate::secret::Secret;

const SCRIPTS: &[Template] = &[("compose/keys.envsh", include_str!("../../../templates/compose/keys.envsh"))];

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
            if password.algorithm == Some(HashAlgorithm::Argon2id) {
                // nginx can't verify it, which its renderer says.
                continue;
            }
            password.hash = next("hash", KeyOrigin::Env(name.clone()));
            // Unset here means unknown: the script takes bcrypt only.
            password.algorithm.get_or_insert(HashAlgorithm::Bcrypt { cost: 10 });
        }
    }
    all
}

/// The folder of templates, and where nginx's image looks for them.
pub const TEMPLATES: &str = "templates";
/// See [`TEMPLATES`].
pub const TEMPLATES_PLACE: &str = "/etc/nginx/templates";
/// The script, and the place where nginx's image runs it before its template step (number 20).
pub const SCRIPT: &str = "keys.envsh";
/// See [`SCRIPT`].
pub const SCRIPT_PLACE: &str = "/docker-entrypoint.d/18-llmguard.envsh";

/// Turns the files that hold a secret into templates, and adds what nginx needs in its image: the script and the njs module.
///
/// Errors: a name that the script can't hold.
pub fn prepare(
    plan: &Plan,
    stand_ins: &[StandIn],
    home: &str,
    head: Vec<Value>,
    rendered: &mut Output,
) -> Result<(), String> {
    for file in rendered.files.iter_mut().filter(|file| file.secret) {
        let place = file.path.strip_prefix("nginx/").unwrap_or(&file.path);
        file.path = format!("nginx/{TEMPLATES}/{place}.template");
        let before = std::mem::take(&mut file.content);
        let content =
            |text: String, stand_in: &StandIn| text.replace(&stand_in.text, &format!("${{{}}}", stand_in.variable));
        file.content = stand_ins.iter().fold(before, content);
        // A hash that stands in the policy itself stands in the template too.
        let literal = |client: &Client| client.password.as_ref().is_some_and(|password| password.env.is_none());
        if !(file.path.ends_with(".htpasswd.template") && plan.clients.iter().any(literal)) {
            (file.secret, file.mode) = (false, 0o644);
        }
    }
    if !plan.access.models.is_empty() {
        let module = "load_module /usr/lib/nginx/modules/ngx_http_js_module.so;\n";
        rendered.file("nginx/modules/njs.conf", module);
    }
    let place = |path: &String| path.strip_prefix("nginx").map(|path| format!("{home}{path}"));
    let values = context! {
        head,
        home,
        checks => checks(stand_ins),
        folders => rendered.folders.iter().filter_map(place).collect::<Vec<_>>(),
    };
    rendered.file(format!("nginx/{SCRIPT}"), template::render(SCRIPTS, "compose/keys.envsh", values)?);
    if let Some(script) = rendered.files.last_mut() {
        // The image passes over a script that can't be executed; then nothing is set and no key opens anything.
        script.mode = 0o755;
    }
    Ok(())
}

/// What the script does: check a value and set the variable.
fn checks(stand_ins: &[StandIn]) -> Vec<Value> {
    let check = |stand_in: &StandIn| {
        let (file, name) = match &stand_in.origin {
            KeyOrigin::Env(name) => (false, name.clone()),
            KeyOrigin::File(path) => (true, path.display().to_string()),
        };
        context! { kind => stand_in.kind, variable => &stand_in.variable, file, name }
    };
    stand_ins.iter().map(check).collect()
}
