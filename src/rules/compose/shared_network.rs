//! Other containers reach the model server without the proxy.
//!
//! ## What it finds
//!
//! A network that the model server shares with services that have nothing to do with it, or (as `info`) one that is made
//! outside the project, which other projects' containers join. Services that name the model server in their variables, their
//! command or under `depends_on` are meant to reach it.
//!
//! ## Why it matters
//!
//! In a network of Docker's every container reaches every port of every other one. Whoever gets into one of them
//! has the model server without a key.
//!
//! ## A request that shows it
//!
//!     docker compose exec blog curl -i -X POST http://ollama:11434/api/pull
//!
//! ## Wrong
//!
//! ```yaml
//! services:
//!   ollama: { image: ollama/ollama:0.32.15 }
//!   proxy: { image: caddy:2.11.7 }
//!   blog: { image: example/blog:3 }
//! ```
//!
//! ## Right
//!
//! ```yaml
//! services:
//!   ollama: { image: ollama/ollama:0.32.15, networks: [models] }
//!   proxy: { image: caddy:2.11.7, networks: [default, models] }
//!   blog: { image: example/blog:3 }
//! networks:
//!   models:
//! ```

use super::{finding, model_servers};
use crate::finding::{Finding, Severity};
use crate::project::deployment::{Attached, Network, Role, Service};
use crate::rules::{Context, Rule};

/// The rule.
pub const RULE: Rule =
    Rule { id: "shared-network", severity: Severity::Warning, source: include_str!("shared_network.rs"), check };

fn check(context: &Context<'_>, found: &mut Vec<Finding>) {
    let Some(own) = &context.deployed else { return };
    let servers: Vec<&Service> = model_servers(own).collect();
    for server in &servers {
        let Attached::Networks(networks) = &server.network else { continue };
        if server.listens.is_some_and(|(address, _)| address.is_loopback()) {
            continue;
        }
        let foreign = |other: &&Service| {
            other.role == Role::Other
                && !servers.iter().any(|server| server.name == other.name)
                && !other.names_others.contains(&server.name)
        };
        for network in networks {
            let others: Vec<&Service> =
                own.deployment.services.iter().filter(foreign).filter(|other| is_in(other, network)).collect();
            found.extend(shared(context, server, network, &others));
        }
    }
}

fn is_in(service: &Service, network: &Network) -> bool {
    matches!(&service.network, Attached::Networks(list) if list.iter().any(|own| own.name == network.name))
}

fn shared(context: &Context<'_>, server: &Service, network: &Network, others: &[&Service]) -> Option<Finding> {
    let name = &server.name;
    if others.is_empty() {
        let message =
            format!("containers of other projects in the network `{}` reach `{name}` without the proxy", network.name);
        let own = network.external.then(|| finding(context, (RULE.id, Severity::Info), &network.origin, message))??;
        let help = format!("put `{name}` into a network of this project's own, and the proxy into both");
        return Some(own.label("this network is made outside the project").help(help));
    }
    let names: Vec<String> = others.iter().map(|other| format!("`{}`", other.name)).collect();
    let verb = if others.len() == 1 { "reaches" } else { "reach" };
    let message = format!("{} {verb} `{name}` without the proxy, by the network `{}`", names.join(", "), network.name);
    let help = format!("put `{name}` and the proxy into a network of their own, such as `models`");
    let own = finding(context, (RULE.id, RULE.severity), &network.origin, message)?
        .label("shared with all of these")
        .help(help);
    Some(others.iter().fold(own, |own, other| own.with(context.place(&other.origin), "this one needn't reach it")))
}
