//! The file asks for a variable that isn't set.
//!
//! ## What it finds
//!
//! `${NAME}` without a default where `NAME` is known to be unset; and, as `info`, a key or password that is asked for so where no
//! file of variables was read: nothing stops Compose if it is missing.
//!
//! ## Why it matters
//!
//! Compose puts nothing in its place, warns, and goes on. An empty key is one that strangers guess: some servers take an empty
//! header for it.
//!
//! ## Wrong
//!
//! ```yaml
//! environment: ["API_KEY=${API_KEY}"]
//! ```
//!
//! ## Right
//!
//! ```yaml
//! environment: ["API_KEY=${API_KEY:?set it in .env}"]
//! ```

use super::finding;
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "unset-variable", severity: Severity::Warning, source: include_str!("unset_variable.rs"), check };

/// Parts of the names of variables that hold credentials.
const CREDENTIALS: &[&str] = &["KEY", "TOKEN", "PASSWORD", "PASS", "SECRET", "HASH", "USERS", "AUTH"];

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let variables = context.deployed.iter().flat_map(|own| &own.deployment.variables);
    for variable in variables {
        let name = &variable.name;
        let is_credential = name.to_ascii_uppercase().split('_').any(|part| CREDENTIALS.contains(&part));
        let (severity, message) = match variable.unset {
            true => (Severity::Warning, format!("`{name}` is unset: Compose puts nothing in its place")),
            false if is_credential => (Severity::Info, format!("Compose starts also where `{name}` is unset")),
            false => continue,
        };
        let help = format!("write `${{{name}:?set it in .env}}`: Compose then stops where it is missing");
        let own = finding(context, (RULE.id, severity), &variable.origin, message);
        found.extend(own.map(|own| own.label("nothing stands here then").help(help)));
    }
}
