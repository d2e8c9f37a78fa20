//! A container has Docker's socket, and with it the host.
//!
//! ## What it finds
//!
//! `/var/run/docker.sock` as a volume. For a proxy that finds its servers by Docker, which needs it, this is `info`.
//!
//! ## Why it matters
//!
//! Whoever talks to that socket starts containers with every right on the host. `:ro` says that the file can't be replaced; it
//! limits nothing that is said through it.
//!
//! ## Wrong
//!
//! ```yaml
//! volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro"]
//! ```
//!
//! ## Right
//!
//! A proxy for the socket that lets reading through and nothing else, or Traefik's file provider:
//!
//! ```yaml
//! command: ["--providers.file.filename=/etc/traefik/dynamic.yml"]
//! volumes: ["./dynamic.yml:/etc/traefik/dynamic.yml:ro"]
//! ```

use super::finding;
use crate::finding::{Finding, Severity};
use crate::project::deployment::Role;
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    id: "docker-socket-mounted",
    severity: Severity::Warning,
    source: include_str!("docker_socket_mounted.rs"),
    check,
};

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let services = context.deployed.iter().flat_map(|own| &own.deployment.services);
    for service in services {
        let Some(origin) = &service.docker_socket else { continue };
        let severity = if service.role == Role::ProxyWithDocker { Severity::Info } else { Severity::Warning };
        let message = format!("who gets into `{}` has the whole host, by Docker's socket", service.name);
        let help =
            "put a proxy for the socket between that lets reading through alone, or take it away; `:ro` limits nothing";
        let own = finding(context, (RULE.id, severity), origin, message);
        found.extend(own.map(|own| own.label("Docker does here what it is told").help(help)));
    }
}
