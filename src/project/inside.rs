//! What a proxy of a compose project is started with: the files that its container sees, its environment, and where it is published.
//!
//! In: a container that was laid out, and what its readers made of it. Out: an [`Inside`] for whoever starts that server elsewhere.
//! Invariant: the files stay as long as this value.

use std::net::{IpAddr, Ipv4Addr};

use tempfile::TempDir;

use crate::dialect::compose::model::{NetworkMode, Project, Protocol, Service};
use crate::dialect::{Options, traefik};
use crate::gateway::{Gateway, Listener};
use crate::source::SourceFile;

/// A proxy's container.
#[derive(Debug)]
pub struct Inside {
    /// What its server is given.
    pub given: Given,
    /// The container's root folder, its environment, and what people call its files.
    pub options: Options,
    /// Where its ports are reached; empty: only as it listens.
    pub published: Vec<Published>,
    /// The folder of its files.
    pub(super) _files: Option<TempDir>,
}

/// What a server is given.
#[derive(Debug)]
pub enum Given {
    /// The main file, below the root folder.
    Main(SourceFile),
    /// Everything that a Traefik reads.
    Traefik(Box<traefik::System>),
}

/// A port of a container that is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The host's address.
    pub address: IpAddr,
    /// The host's port; 0: any that is free.
    pub port: u16,
    /// The container's port.
    pub target: u16,
}

/// The service on whose network a service's ports are, and those that it publishes; nothing: it is reached as it listens.
pub fn published<'p>(project: &'p Project, service: &'p Service) -> (&'p Service, Vec<Published>) {
    let owner = match &service.network {
        NetworkMode::Host(_) => return (service, Vec::new()),
        NetworkMode::Service(name, _) => project.service(name).unwrap_or(service),
        NetworkMode::Networks(_)
        | NetworkMode::Container(..)
        | NetworkMode::None(_)
        | NetworkMode::Bridge(_)
        | NetworkMode::Other(_) => service,
    };
    let ports = owner.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
    let each = ports.map(|port| Published {
        address: port.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        port: port.published.map_or(0, |(first, _)| first),
        target: port.target,
    });
    (owner, each.collect())
}

/// Puts a proxy's listeners where its service publishes them. One that publishes nothing is reached from its networks, as it listens.
pub fn publish(project: &Project, service: &Service, gateway: &mut Gateway) -> Vec<Published> {
    let (owner, ports) = published(project, service);
    if ports.is_empty() {
        return ports;
    }
    let inside = std::mem::take(&mut gateway.listeners);
    for port in &ports {
        for listener in inside.iter().filter(|listener| listener.port == port.target && !listener.address.is_loopback())
        {
            let note = format!("{}; published by `{}`", listener.origin.note, owner.name);
            gateway.listeners.push(Listener {
                address: port.address,
                // Docker hands on what comes over IPv6 from an address of its own network.
                both: false,
                port: port.port,
                origin: listener.origin.noted(note),
                ..listener.clone()
            });
        }
    }
    ports
}
