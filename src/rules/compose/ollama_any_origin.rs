//! Ollama answers scripts of every web page.
//!
//! ## What it finds
//!
//! `OLLAMA_ORIGINS` with a `*` that stands for every origin.
//!
//! ## Why it matters
//!
//! Any page that somebody opens who reaches the server, or whose browser keeps a password for the proxy, may use it. A proxy
//! that owns CORS needs no origins in Ollama at all.
//!
//! ## A request that shows it
//!
//!     curl -i -H 'Origin: https://evil.example' http://HOST:11434/api/tags
//!
//! ## Wrong
//!
//! ```yaml
//! environment: [OLLAMA_ORIGINS=*]
//! ```
//!
//! ## Right
//!
//! ```yaml
//! environment: [OLLAMA_ORIGINS=https://chat.example.com]
//! ```

use super::finding;
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "ollama-any-origin", severity: Severity::Warning, source: include_str!("ollama_any_origin.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let services = context.deployed.iter().flat_map(|own| &own.deployment.services);
    for setting in services.filter(|service| service.is_a("ollama")).filter_map(|own| own.setting("OLLAMA_ORIGINS")) {
        let any = |origin: &str| ["*", "http://*", "https://*"].contains(&origin.trim());
        let Some(origin) = setting.value.as_deref().and_then(|value| value.split(',').find(|own| any(own))) else {
            continue;
        };
        let message = format!("`OLLAMA_ORIGINS` admits `{}`: scripts of any web page", origin.trim());
        let own = finding(context, (RULE.id, RULE.severity), &setting.origin, message);
        let help = "leave `OLLAMA_ORIGINS` out where the proxy owns CORS, else list the origins";
        found.extend(own.map(|own| own.label("every origin").help(help)));
    }
}
