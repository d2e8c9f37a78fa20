//! Ollama listens where the proxy doesn't ask.
//!
//! ## What it finds
//!
//! `OLLAMA_HOST` with a loopback address in a container, which no other container reaches; or with a port that no proxy of the
//! project sends requests to.
//!
//! ## Why it matters
//!
//! Every request ends as 502, and the quick remedies (publishing the port, `network_mode: host`) open the server to everybody.
//!
//! ## Wrong
//!
//! ```yaml
//! environment: [OLLAMA_HOST=127.0.0.1]
//! ```
//!
//! ## Right
//!
//! ```yaml
//! environment: [OLLAMA_HOST=0.0.0.0:11434]
//! ```

use super::{finding, leads_to, outcomes};
use crate::finding::{Finding, Severity};
use crate::gateway::eval::Verdict;
use crate::project::deployment::{Attached, Service, Setting};
use crate::rules::{Context, Deployed, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "ollama-host-wrong", severity: Severity::Warning, source: include_str!("ollama_host_wrong.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let Some(own) = &context.deployed else { return };
    for service in own.deployment.services.iter().filter(|service| service.is_a("ollama")) {
        let Some(setting) = service.setting("OLLAMA_HOST").filter(|setting| setting.value.is_some()) else { continue };
        found.extend(wrong(context, own, service, setting));
    }
}

fn wrong(context: &Context<'_>, own: &Deployed<'_>, service: &Service, setting: &Setting) -> Option<Finding> {
    let (address, port) = service.listens.filter(|_| !matches!(service.network, Attached::Host(_)))?;
    let rule = (RULE.id, RULE.severity);
    if address.is_loopback() {
        let message =
            format!("`{}` listens on `{address}` inside its container: no other container reaches it", service.name);
        let help = format!("set it to `0.0.0.0:{port}`, or leave it out: the image listens on all addresses");
        return Some(finding(context, rule, &setting.origin, message)?.label("the container alone").help(help));
    }
    let all = own.parts.iter().flat_map(|(_, survey)| outcomes(survey));
    let asked: Vec<&str> = all
        .filter(|outcome| leads_to(outcome, service))
        .filter_map(|outcome| match &outcome.verdict {
            Verdict::Proxied { upstream, .. } => Some(upstream.rsplit_once(':')?.1),
            _ => None,
        })
        .collect();
    let other = asked.first().filter(|_| !asked.contains(&port.to_string().as_str()))?;
    let message = format!("`{}` listens on port {port}, and requests are sent to its port {other}", service.name);
    let help = format!("write `0.0.0.0:{other}`, or send requests to port {port}");
    Some(finding(context, rule, &setting.origin, message)?.label(format!("port {port}")).help(help))
}
