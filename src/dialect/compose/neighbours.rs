//! What the containers of a project reach of each other, with no gateway between.
//!
//! In: a [`Project`]. Out: each port of a service that others reach, and who they are. Invariant: a proxy is nobody's neighbour: what it
//! lets through its own config says.

use std::collections::BTreeSet;

use super::gateway::own_port;
use super::model::{NetworkMode, Project, Service};

/// A port that other containers reach directly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// The service, as they call it.
    pub service: String,
    /// Its port.
    pub port: u16,
    /// The services that reach it; [`OTHER_PROJECTS`] where a network of others is joined.
    pub from: Vec<String>,
}

/// What reaches a service through a network that is made elsewhere.
pub const OTHER_PROJECTS: &str = "other projects";

/// The network of services that share one without declaring it.
const BRIDGE: &str = "(bridge)";

/// What containers reach of each other.
pub fn neighbours(project: &Project, is_proxy: &dyn Fn(&Service) -> bool) -> Vec<Neighbour> {
    let running = || project.services.iter().filter(|service| service.enabled && !is_proxy(service));
    let mut out = Vec::new();
    for service in running() {
        let own = networks(project, service);
        let shares = |other: &&Service| other.name != service.name && !own.is_disjoint(&networks(project, other));
        let mut from: Vec<String> = running().filter(shares).map(|other| other.name.clone()).collect();
        if project.networks.iter().any(|network| network.external && own.contains(network.name.as_str())) {
            from.push(OTHER_PROJECTS.to_owned());
        }
        let neighbour = |port: u16| Neighbour { service: service.name.clone(), port, from: from.clone() };
        out.extend(open_ports(service).into_iter().map(neighbour));
    }
    out
}

/// The networks that a service is in.
fn networks<'p>(project: &'p Project, service: &'p Service) -> BTreeSet<&'p str> {
    match &service.network {
        NetworkMode::Networks(list) => list.iter().map(|attachment| attachment.network.as_str()).collect(),
        NetworkMode::Service(name, _) => match project.service(name).map(|owner| &owner.network) {
            Some(NetworkMode::Networks(list)) => list.iter().map(|attachment| attachment.network.as_str()).collect(),
            _ => BTreeSet::new(),
        },
        NetworkMode::Bridge(_) => BTreeSet::from([BRIDGE]),
        NetworkMode::Host(_) | NetworkMode::Container(..) | NetworkMode::None(_) | NetworkMode::Other(_) => {
            BTreeSet::new()
        }
    }
}

/// The ports that a service opens to its networks, as far as the files tell.
fn open_ports(service: &Service) -> BTreeSet<u16> {
    match own_port(service) {
        Some((_, address, _)) if address.is_loopback() => BTreeSet::new(),
        Some((.., port)) => BTreeSet::from([port]),
        None => {
            let exposed = service.expose.iter().filter_map(|port| port.text.split('/').next()?.parse().ok());
            exposed.chain(service.ports.iter().map(|port| port.target)).collect()
        }
    }
}
