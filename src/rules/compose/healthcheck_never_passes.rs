//! The health check fails always.
//!
//! ## What it finds
//!
//! A health check of Ollama's own image that runs `curl` or `wget`, which it doesn't have, or one that asks for `/health`, which
//! Ollama doesn't answer.
//!
//! ## Why it matters
//!
//! The service never gets healthy: what waits for it (`condition: service_healthy`) never starts, and who repairs that in a hurry
//! switches the proxy's dependency off, or the proxy.
//!
//! ## Wrong
//!
//! ```yaml
//! healthcheck:
//!   test: ["CMD", "curl", "-f", "http://localhost:11434/health"]
//! ```
//!
//! ## Right
//!
//! ```yaml
//! healthcheck:
//!   test: ["CMD", "ollama", "list"]
//!   start_period: 30s
//! ```

use super::finding;
use crate::finding::{Finding, Severity};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "healthcheck-never-passes",
    severity: Severity::Warning,
    source: include_str!("healthcheck_never_passes.rs"),
    check,
};

/// Programs that Ollama's image lacks (all versions looked at, 0.1.29 to 0.32.15).
const LACKING: &[&str] = &["curl", "wget", "nc"];

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let services = context.deployed.iter().flat_map(|own| &own.deployment.services);
    for service in services.filter(|service| service.is_a("ollama") && service.image.is_some()) {
        let Some(health) = &service.health else { continue };
        let words = || health.command.split([' ', ';', '|', '&', '"', '\'', '(', ')']);
        let lacking = words().find(|word| LACKING.contains(&word.rsplit('/').next().unwrap_or_default()));
        let message = match lacking {
            Some(program) => {
                format!("the health check of `{}` runs `{program}`, which its image doesn't have", service.name)
            }
            None if words().any(|word| word.ends_with(":11434/health") || word.ends_with(":11434/healthz")) => {
                format!("the health check of `{}` asks for a path that Ollama answers with 404", service.name)
            }
            None => continue,
        };
        let own = finding(context, (RULE.id, RULE.severity), &health.origin, message);
        let help = "write `test: [\"CMD\", \"ollama\", \"list\"]`";
        found.extend(own.map(|own| own.label("this fails always").help(help)));
    }
}
