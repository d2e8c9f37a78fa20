//! A compose project, resolved.
//!
//! In: [`super::read`]. Out: services with what matters of them, each fact with its place. Invariant: services stand in the order of their
//! names, as Compose prints them; a text that hangs on a variable that isn't known names it.

use std::net::IpAddr;
use std::path::PathBuf;

use super::super::Place;
use super::super::document::{Document, NodeId, Ref};
use super::interpolate::Outcome;
use crate::secret::Secret;
use crate::source::SourceFile;

/// A project.
#[derive(Debug, Clone, Default)]
pub struct Project {
    /// Its name: the file's own, the variable's, or the folder's.
    pub name: String,
    /// All files that were read, the main file first.
    pub files: Vec<SourceFile>,
    /// The merged tree, for what the fields below don't say.
    pub tree: Document,
    /// All services, those that a profile hides too.
    pub services: Vec<Service>,
    /// The networks that are declared.
    pub networks: Vec<Network>,
    /// The variables that the files ask for.
    pub variables: Vec<VariableUse>,
}

/// A text with its place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub place: Place,
    /// The variable that it hangs on and that isn't known.
    pub unknown: Option<String>,
}

/// A variable that a file asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableUse {
    /// Its name.
    pub name: String,
    /// The value that asks for it.
    pub place: Place,
    /// What came of it.
    pub outcome: Outcome,
}

/// A service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name; other services reach it by this.
    pub name: String,
    /// Where it is declared.
    pub place: Place,
    /// Its map in [`Project::tree`].
    pub node: NodeId,
    /// Whether `docker compose up` starts it.
    pub enabled: bool,
    /// The profiles that start it; none: it always starts.
    pub profiles: Vec<Text>,
    /// Its image.
    pub image: Option<Text>,
    /// Whether it is built here.
    pub build: Option<Build>,
    /// The container's name.
    pub container_name: Option<Text>,
    /// What is started; absent: the image's own.
    pub command: Option<Vec<Text>>,
    /// What starts it; absent: the image's own.
    pub entrypoint: Option<Vec<Text>>,
    /// The folder in which that runs; absent: the image's own.
    pub working_dir: Option<Text>,
    /// Its environment, `env_file`s included, in the order of the names.
    pub environment: Vec<Variable>,
    /// Its labels, `label_file`s included, in the order of the names.
    pub labels: Vec<Label>,
    /// The labels of the service in a swarm.
    pub deploy_labels: Vec<Label>,
    /// Its published ports.
    pub ports: Vec<Port>,
    /// The ports that it exposes to its networks.
    pub expose: Vec<Text>,
    /// How it is attached to the network.
    pub network: NetworkMode,
    /// The host's files that it sees, and the like.
    pub mounts: Vec<Mount>,
    /// Whether it may do anything on the host.
    pub privileged: Option<Place>,
    /// The GPUs that it claims.
    pub gpus: Option<Place>,
    /// Its health check; absent: the image's own.
    pub healthcheck: Option<Healthcheck>,
}

/// How an image is made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Build {
    /// Where that is said.
    pub place: Place,
    /// The folder whose files the image is made of; absent: it is none of this machine's.
    pub context: Option<PathBuf>,
    /// The Dockerfile's name, from that folder on.
    pub dockerfile: Text,
    /// The Dockerfile's text, where it stands in the compose file.
    pub inline: Option<Text>,
    /// The stage that is made; absent: the last.
    pub target: Option<Text>,
    /// The arguments of the Dockerfile.
    pub arguments: Vec<Label>,
}

/// A variable of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; absent: none is set.
    pub value: Option<Secret>,
    /// Where it is set.
    pub place: Place,
    /// The variable that it hangs on and that isn't known.
    pub unknown: Option<String>,
}

/// A label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Text,
    /// The same with [`crate::dialect::MARKS`] around variables that aren't known.
    pub marked: String,
}

/// A port of a service that is published on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The host's address; absent: all of them.
    pub address: Option<IpAddr>,
    /// The host's port, or the first and last of which it is one; absent: any that is free.
    pub published: Option<(u16, u16)>,
    /// The container's port.
    pub target: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// Where it is published.
    pub place: Place,
    /// The variable that it hangs on and that isn't known.
    pub unknown: Option<String>,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// How a service is attached to the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkMode {
    /// To these networks of the project.
    Networks(Vec<Attachment>),
    /// It is on the host itself: each of its ports is the host's.
    Host(Place),
    /// To the network of another service.
    Service(String, Place),
    /// To the network of a container outside the project.
    Container(String, Place),
    /// To none.
    None(Place),
    /// To Docker's own bridge.
    Bridge(Place),
    /// To something else.
    Other(Text),
}

/// A service in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The network's name in the project.
    pub network: String,
    /// Other names that the service has there.
    pub aliases: Vec<String>,
    /// Where that is said; absent: the default network.
    pub place: Option<Place>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name in the project.
    pub name: String,
    /// Whether it has no way out.
    pub internal: bool,
    /// Whether it exists outside the project, so that others may be in it.
    pub external: bool,
    /// Where it is declared.
    pub place: Place,
}

/// Something that a container sees below a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What it is.
    pub source: Source,
    /// The path in the container.
    pub target: Text,
    /// Whether it can't be written.
    pub read_only: bool,
    /// Where it is mounted.
    pub place: Place,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file or folder of the host.
    Host(PathBuf),
    /// A volume of Docker's.
    Volume(String),
    /// A text in the compose file.
    Content(Text),
    /// An empty folder in memory.
    Memory,
    /// Not to be known from the files: why.
    Unknown(String),
}

/// A health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// What is run; empty or `NONE` first: nothing.
    pub test: Vec<Text>,
    /// Whether it is switched off.
    pub disabled: bool,
    /// Where it is declared.
    pub place: Place,
}

impl Project {
    /// A service.
    pub fn service(&self, name: &str) -> Option<&Service> {
        let at = self.services.binary_search_by(|service| service.name.as_str().cmp(name)).ok()?;
        self.services.get(at)
    }

    /// A service's map in the merged tree.
    pub fn map(&self, service: &Service) -> Ref<'_> {
        Ref { document: &self.tree, id: service.node }
    }
}

impl Service {
    /// The mount through which a path of the container is seen, the longest that fits, and the rest of the path below it.
    pub fn mount(&self, path: &str) -> Option<(&Mount, String)> {
        let below = |mount: &'_ Mount| -> Option<String> {
            let rest = path.strip_prefix(mount.target.text.trim_end_matches('/'))?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/').to_owned())
        };
        let fitting = self.mounts.iter().filter_map(|mount| Some((mount, below(mount)?)));
        fitting.max_by_key(|(mount, _)| mount.target.text.trim_end_matches('/').len())
    }

    /// The file of the host that a path of the container is, where it is one.
    pub fn host_path(&self, path: &str) -> Option<PathBuf> {
        let (mount, rest) = self.mount(path)?;
        match &mount.source {
            Source::Host(host) if rest.is_empty() => Some(host.clone()),
            Source::Host(host) => Some(host.join(rest)),
            Source::Volume(_) | Source::Content(_) | Source::Memory | Source::Unknown(_) => None,
        }
    }

    /// The mount of Docker's socket, which is power over the host.
    pub fn docker_socket(&self) -> Option<&Mount> {
        let sockets = ["/var/run/docker.sock", "/run/docker.sock"];
        let is_socket = |host: &PathBuf| sockets.iter().any(|socket| host.as_os_str() == *socket);
        self.mounts.iter().find(|mount| matches!(&mount.source, Source::Host(host) if is_socket(host)))
    }
}
