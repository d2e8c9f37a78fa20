//! What a project's published ports let through: a published port is a gateway without filters.
//!
//! In: a [`Project`], and what answers at each service. Out: a listener for each port that nothing else speaks for. Invariant: nothing
//! stands between such a port and its service, so every request arrives there as it was sent.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::super::Place;
use super::model::{NetworkMode, Port, Project, Protocol, Service};
use crate::catalog::Kind;
use crate::gateway::{Chain, ChainId, Forward, Gateway, Listener, Origin, Terminal, Value, Wire};

/// Parts of the names of images that stand before a model server and are named after it.
const FRONTS: &[&str] = &["proxy", "webui", "ui", "auth", "exporter", "gateway"];

/// What answers at a service's ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// The service itself, whatever arrives.
    Upstream,
    /// A proxy whose own config says what happens; it has its own listeners.
    Proxy,
    /// A proxy whose config isn't known: why.
    Unknown(String),
}

/// The listeners of a project's published ports, but for those of proxies that are read by themselves.
pub fn gateway(project: &Project, role: &dyn Fn(&Service) -> Role) -> Gateway {
    let mut gateway = Gateway { files: project.files.clone(), ..Gateway::default() };
    for service in project.services.iter().filter(|service| service.enabled) {
        let end = match role(service) {
            Role::Proxy => continue,
            Role::Unknown(why) => Some(why),
            Role::Upstream => None,
        };
        for open in open_ports(service) {
            open.listen(service, end.clone(), &mut gateway);
        }
    }
    gateway.listeners.sort_by_key(|listener| (listener.origin.file(), listener.origin.span()));
    gateway
}

/// A port of the host that leads to a service.
struct Open {
    address: IpAddr,
    port: u16,
    target: u16,
    place: Place,
    note: Cow<'static, str>,
}

/// The TCP ports of the host that lead to a service.
fn open_ports(service: &Service) -> Vec<Open> {
    match &service.network {
        NetworkMode::Host(place) => on_host(service, *place).into_iter().collect(),
        NetworkMode::None(_) => Vec::new(),
        NetworkMode::Networks(_)
        | NetworkMode::Service(..)
        | NetworkMode::Container(..)
        | NetworkMode::Bridge(_)
        | NetworkMode::Other(_) => {
            let ports = service.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
            ports.map(|port| published(service, port)).collect()
        }
    }
}

fn published(service: &Service, port: &Port) -> Open {
    let address = port.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let on = match (address.is_unspecified(), address.is_loopback()) {
        (true, _) => "every address of the host".to_owned(),
        (_, true) => "the host itself".to_owned(),
        _ => format!("`{address}`"),
    };
    let number = match port.published {
        Some((0, 0)) | None => "any free port".to_owned(),
        Some((first, last)) if first == last => format!("port {first}"),
        Some((first, last)) => format!("a port from {first} to {last}"),
    };
    let (name, target) = (&service.name, port.target);
    let hangs = match &port.unknown {
        Some(variable) => format!("; it hangs on the variable `{variable}`, which isn't known"),
        None => String::new(),
    };
    Open {
        address,
        port: port.published.map_or(0, |(first, _)| first),
        target,
        place: port.place,
        note: format!("{number} on {on} leads to port {target} of `{name}`, with nothing between{hangs}").into(),
    }
}

/// An upstream that is known by its image and listens on the host itself.
fn on_host(service: &Service, place: Place) -> Option<Open> {
    let (kind, address, port) = own_port(service)?;
    let note = format!("`{}` is on the host's own network: {} listens on port {port} there", service.name, kind.title);
    Some(Open { address, port, target: port, place, note: note.into() })
}

/// Where an upstream listens that is known by its image.
pub fn own_port(service: &Service) -> Option<(Kind, IpAddr, u16)> {
    let image = &service.image.as_ref()?.text;
    let kind = Kind::names().filter_map(Kind::find).find(|kind| is_image_of(image, &kind.kind))?;
    let (mut address, mut port) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), kind.default_port?);
    let host = service.environment.iter().find(|variable| variable.name == "OLLAMA_HOST" && kind.kind == "ollama");
    if let Some(host) = host.and_then(|variable| variable.value.as_ref()) {
        let (own_address, own_port) = address_of(host.reveal());
        (address, port) = (own_address.unwrap_or(address), own_port.unwrap_or(port));
    }
    let words = service.command.iter().flatten().chain(service.entrypoint.iter().flatten());
    let words: Vec<&str> = words.map(|word| word.text.as_str()).collect();
    port = argument(&words, "--port").and_then(|port| port.parse().ok()).unwrap_or(port);
    address = argument(&words, "--host").and_then(|host| host.parse().ok()).unwrap_or(address);
    Some((kind, address, port))
}

/// Whether an image is one of a kind of upstream: by the last part of its name.
fn is_image_of(image: &str, kind: &str) -> bool {
    let name = image.split('@').next().unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default().split(':').next().unwrap_or_default();
    let is_front = name.split(['-', '_']).any(|part| FRONTS.contains(&part));
    let named = |part: &str| part == kind || part.starts_with(&format!("{kind}-"));
    !is_front && name.replace('.', "-").split('_').any(named)
}

/// The value of `--name value` or `--name=value`.
fn argument<'w>(words: &[&'w str], name: &str) -> Option<&'w str> {
    let at = words
        .iter()
        .position(|word| word.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))?;
    match words[at].split_once('=') {
        Some((_, value)) => Some(value),
        None => words.get(at + 1).copied(),
    }
}

/// The address and port of `OLLAMA_HOST`.
fn address_of(text: &str) -> (Option<IpAddr>, Option<u16>) {
    let text = text.rsplit("//").next().unwrap_or_default().split('/').next().unwrap_or_default();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host, port.parse().ok()),
        _ => (text, None),
    };
    let host = if host == "localhost" { "127.0.0.1" } else { host.trim_matches(['[', ']']) };
    (host.parse().ok(), port)
}

impl Open {
    fn listen(self, service: &Service, unknown: Option<String>, gateway: &mut Gateway) {
        let (file, span) = (self.place.file(), self.place.span());
        let origin = Origin::new(file, span, self.note);
        let otherwise = match unknown {
            Some(why) => Terminal::unknown(why),
            None => Terminal::Forward(Arc::new(Forward {
                upstream: Value::literal(format!("{}:{}", service.name, self.target)),
                target: Value::OriginalTarget,
                host: Value::Header("Host".to_owned(), crate::gateway::value::Join::First),
            })),
        };
        let to = origin.noted(format!("`{}` gets every request as it was sent", service.name));
        let chain: ChainId = gateway.add(Chain { clauses: Vec::new(), otherwise, origin: to });
        let wire = Wire { raw: true, ..Wire::strict(1 << 20) };
        gateway.listeners.push(Listener {
            address: self.address,
            both: true,
            port: self.port,
            tls: false,
            wire,
            handshake: None,
            chain,
            origin,
        });
    }
}
