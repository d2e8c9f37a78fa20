//! Traefik answers for the model server although no label asks for it.
//!
//! ## What it finds
//!
//! A model server that Traefik's Docker provider has found by itself: `exposedByDefault` is on, as it is unless somebody turns it off, and the
//! router has the default rule, the container's name as the Host.
//!
//! ## Why it matters
//!
//! Whoever sends that name as the Host is in, past every middleware: none is on a router that nobody wrote. So is every other container
//! of the machine, those that are started later too.
//!
//! ## A request that shows it
//!
//!     curl -i -X POST -H 'Host: ollama' http://HOST/api/pull
//!
//! ## Wrong
//!
//! ```yaml
//! services:
//!   traefik:
//!     command: [--providers.docker=true]
//!   ollama:
//!     image: ollama/ollama:0.32.15
//! ```
//!
//! ## Right
//!
//! ```yaml
//! services:
//!   traefik:
//!     command: [--providers.docker=true, --providers.docker.exposedByDefault=false]
//!   ollama:
//!     image: ollama/ollama:0.32.15
//!     labels: [traefik.enable=false]
//! ```

use super::finding;
use crate::finding::{Finding, Severity};
use crate::gateway::eval::Outcome;
use crate::gateway::{Gateway, Origin};
use crate::project::deployment::{Role, Service};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "exposed-by-default",
    severity: Severity::Warning,
    source: include_str!("exposed_by_default.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let Some(own) = &context.deployed else { return };
    let services = &own.deployment.services;
    if !services.iter().any(|service| service.role == Role::ProxyWithDocker) {
        return;
    }
    for service in services.iter().filter(|service| matches!(service.role, Role::ModelServer(_) | Role::Other)) {
        let Some(place) = context.place(&service.origin) else { continue };
        // What no label says has the service itself as its place: here both the router and the server that it leads to.
        let by_itself = |gateway: &Gateway, outcome: &Outcome| {
            let own = |origin: &&Origin| {
                let at = crate::rules::place(gateway, origin);
                at.is_some_and(|at| at.file.name == place.file.name && at.span == place.span)
            };
            outcome.steps.iter().filter(own).count() > 1
        };
        let exposed = own.parts.iter().any(|(gateway, survey)| {
            let gaps = survey.gaps.iter().map(|gap| &gap.actual);
            let mut all = gaps.chain(survey.routes.iter().map(|route| &route.outcome));
            all.any(|outcome| leads(gateway, outcome, service) && by_itself(gateway, outcome))
        });
        if exposed {
            let message = format!("Traefik answers for `{}`, which no label asks for", service.name);
            let help = "start Traefik with `--providers.docker.exposedByDefault=false`, and write `traefik.enable=true` where it is to answer";
            let own = finding(context, (RULE.id, RULE.severity), &service.origin, message);
            found.extend(own.map(|own| own.label("found by itself: its name is the Host").help(help)));
        }
    }
}

/// Whether a request ends at a service by way of Docker's provider, not by its published port.
fn leads(gateway: &Gateway, outcome: &Outcome, service: &Service) -> bool {
    let raw = gateway.listeners.iter().all(|listener| listener.wire.raw);
    !raw && super::leads_to(outcome, service)
}
