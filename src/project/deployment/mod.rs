//! What a compose project runs, as far as rules ask: its services and how they are reached, in no language's words.
//!
//! In: [`build`] a project that was read. Out: a [`Deployment`]. Invariant: origins point into the files of the project's own gateway;
//! no value of a variable stands here but of those that hold no secrets.

mod build;

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::gateway::Origin;

pub(super) use build::deployment;

/// What a project runs.
#[derive(Debug, Clone, Default)]
pub struct Deployment {
    /// The services that are started, in the order of their names.
    pub services: Vec<Service>,
    /// Variables that the files ask for and that don't stand for sure in the environment, each where it is asked for first.
    pub variables: Vec<Missing>,
    /// Keys that Compose no longer reads: the key, and where it stands.
    pub obsolete: Vec<(String, Origin)>,
    /// Values with a hash whose `$` Compose takes for variables.
    pub broken_hashes: Vec<Origin>,
}

/// A service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub origin: Origin,
    /// What it is.
    pub role: Role,
    /// The names by which other containers call it.
    pub names: BTreeSet<String>,
    /// Its image; absent: it is built here, or its name isn't known.
    pub image: Option<Image>,
    /// Where it listens, if it is a model server.
    pub listens: Option<(IpAddr, u16)>,
    /// How it is attached.
    pub network: Attached,
    /// Its published ports: the host's address, absent: all of them, and where that is said.
    pub published: Vec<(Option<IpAddr>, Origin)>,
    /// Its variables, with the values of those that hold no secrets.
    pub environment: Vec<Setting>,
    /// Other services that its environment, its command or what it waits for names.
    pub names_others: BTreeSet<String>,
    /// Where it mounts Docker's socket.
    pub docker_socket: Option<Origin>,
    /// Where it is given every right.
    pub privileged: Option<Origin>,
    /// Where a GPU is claimed.
    pub gpu: Option<Origin>,
    /// What tells whether it lives; absent: nothing in the files.
    pub health: Option<Health>,
}

/// What a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A proxy that finds its servers in its own config.
    Proxy,
    /// A proxy that asks Docker for them.
    ProxyWithDocker,
    /// A model server of this kind.
    ModelServer(&'static str),
    /// Something else.
    Other,
}

/// An image.
#[derive(Debug, Clone)]
pub struct Image {
    /// As it is written.
    pub text: String,
    /// Its tag.
    pub tag: Option<String>,
    /// Whether a digest names it.
    pub has_digest: bool,
    /// Where it is named.
    pub origin: Origin,
}

/// How a service is attached to the network.
#[derive(Debug, Clone)]
pub enum Attached {
    /// To these networks.
    Networks(Vec<Network>),
    /// To the host's own.
    Host(Origin),
    /// To something else.
    Elsewhere,
}

/// A network that a service is in.
#[derive(Debug, Clone)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Whether it is made outside the project.
    pub external: bool,
    /// Where the service joins it.
    pub origin: Origin,
}

/// A variable of a service.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value, where it may be shown and is known.
    pub value: Option<String>,
    /// Where its value stands, if that is a key.
    pub key: Option<Stands>,
    /// Where it is set.
    pub origin: Origin,
}

/// Where the value of a variable stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// At the variable's own place.
    Here,
    /// In a file of variables.
    InFile,
}

/// What tells whether a service lives.
#[derive(Debug, Clone)]
pub struct Health {
    /// The command, its words in a row.
    pub command: String,
    /// Where it stands.
    pub origin: Origin,
}

/// A variable that the files ask for.
#[derive(Debug, Clone)]
pub struct Missing {
    /// Its name.
    pub name: String,
    /// Whether it is known to be unset; else it may be set where Compose runs.
    pub unset: bool,
    /// Where it is asked for.
    pub origin: Origin,
}

impl Deployment {
    /// The service that other containers call by this name.
    pub fn called(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.names.contains(name))
    }
}

impl Service {
    /// A variable.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.environment.iter().find(|setting| setting.name == name)
    }

    /// Whether it is a model server of this kind, by its image.
    pub fn is_a(&self, kind: &str) -> bool {
        self.role == Role::ModelServer(kind_name(kind))
    }
}

fn kind_name(kind: &str) -> &'static str {
    crate::catalog::Kind::names().find(|own| *own == kind).unwrap_or_default()
}
