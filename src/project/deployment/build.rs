//! A compose project → [`Deployment`].
//!
//! In: the project as it was read, and what its services are. Out: the facts that rules ask for. Invariant: nothing is judged here.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::{Attached, Deployment, Health, Image, Missing, Network, Role, Service, Setting, Stands};
use crate::dialect::Place;
use crate::dialect::compose::interpolate::Outcome;
use crate::dialect::compose::model::{self, NetworkMode, Project};
use crate::dialect::compose::own_port;
use crate::gateway::Origin;

/// The variables of model servers that hold no secrets.
const PLAIN: &[&str] =
    &["OLLAMA_HOST", "OLLAMA_ORIGINS", "OLLAMA_DEBUG", "OLLAMA_DEBUG_LOG_REQUESTS", "OLLAMA_NO_CLOUD"];

/// Keys at the top of a file that Compose no longer reads.
const OBSOLETE: &[&str] = &["version"];

/// The beginning of a hash whose `$` stand alone.
static HASH: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:^|[^$])\$(?:2[abxy]?|argon2id?|apr1|[156y])\$(?:[^$]|$)").ok());

/// How the names of variables end that hold keys.
const KEYS: &[&str] = &["KEY", "KEYS", "TOKEN", "SECRET", "PASSWORD", "PASSWD"];
/// Shorter values are words that somebody wrote because something had to stand there.
const SHORTEST_KEY: usize = 16;

/// What a project runs; `role` says of a service whether it is a proxy.
pub fn deployment(project: &Project, role: &dyn Fn(&model::Service) -> Option<Role>) -> Deployment {
    let running: Vec<&model::Service> = project.services.iter().filter(|service| service.enabled).collect();
    let names: Vec<(String, BTreeSet<String>)> =
        running.iter().map(|service| (service.name.clone(), names(service))).collect();
    let services = running.iter().map(|service| self::service(project, service, &names, role(service))).collect();
    let root = project.tree.root();
    let top = root.into_iter().flat_map(|root| root.entries());
    let obsolete = top.filter(|(entry, _)| OBSOLETE.contains(&&*entry.key));
    let mut out = Deployment {
        services,
        obsolete: obsolete.map(|(entry, _)| (entry.key.to_string(), origin(entry.key_place))).collect(),
        ..Deployment::default()
    };
    for used in &project.variables {
        let raw = project.files.get(used.place.file()).map(|file| file.slice(used.place.span())).unwrap_or_default();
        let own = origin(used.place);
        if HASH.as_ref().is_some_and(|hash| hash.is_match(raw)) {
            if !out.broken_hashes.contains(&own) {
                out.broken_hashes.push(own);
            }
            continue;
        }
        let unset = match used.outcome {
            Outcome::Empty => true,
            Outcome::Unknown => false,
            Outcome::Known | Outcome::Assumed | Outcome::Demanded => continue,
        };
        if !out.variables.iter().any(|known| known.name == used.name) {
            out.variables.push(Missing { name: used.name.clone(), unset, origin: own });
        }
    }
    out
}

fn origin(place: Place) -> Origin {
    Origin::new(place.file(), place.span(), "")
}

fn names(service: &model::Service) -> BTreeSet<String> {
    let aliases = match &service.network {
        NetworkMode::Networks(list) => list.iter().flat_map(|network| network.aliases.iter().cloned()).collect(),
        _ => Vec::new(),
    };
    let container = service.container_name.iter().map(|name| name.text.clone());
    aliases.into_iter().chain(container).chain([service.name.clone()]).collect()
}

fn service(
    project: &Project,
    service: &model::Service,
    names: &[(String, BTreeSet<String>)],
    role: Option<Role>,
) -> Service {
    let own = own_port(service);
    let listens = own.as_ref().map(|(_, address, port)| (*address, *port));
    let kind = own.and_then(|(kind, ..)| crate::catalog::Kind::names().find(|name| *name == kind.kind));
    let setting = |variable: &model::Variable| Setting {
        name: variable.name.clone(),
        value: variable
            .value
            .as_ref()
            .filter(|_| PLAIN.contains(&variable.name.as_str()) && variable.unknown.is_none())
            .map(|value| value.reveal().trim().trim_matches(['"', '\'']).to_owned()),
        key: key(project, variable),
        origin: origin(variable.place),
    };
    Service {
        name: service.name.clone(),
        origin: origin(service.place),
        role: role.or(kind.map(Role::ModelServer)).unwrap_or(Role::Other),
        names: self::names(service),
        image: service.image.as_ref().filter(|image| image.unknown.is_none() && service.build.is_none()).map(image),
        listens,
        network: attached(project, service),
        published: service.ports.iter().map(|port| (port.address, origin(port.place))).collect(),
        environment: service.environment.iter().map(setting).collect(),
        names_others: named(project, service, names),
        docker_socket: service.docker_socket().map(|mount| origin(mount.place)),
        privileged: service.privileged.map(origin),
        gpu: service.gpus.or_else(|| devices(project, service)).map(origin),
        health: health(service),
    }
}

/// Where the value of a variable stands, if that is a key: by the variable's name, and as long and mixed as a made one.
fn key(project: &Project, variable: &model::Variable) -> Option<Stands> {
    let name = variable.name.to_ascii_uppercase();
    let value = variable.value.as_ref().filter(|_| variable.unknown.is_none())?.reveal();
    let kinds = [u8::is_ascii_digit as fn(&u8) -> bool, u8::is_ascii_alphabetic];
    let made = value.len() >= SHORTEST_KEY
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.=+".contains(&byte))
        && kinds.iter().all(|kind| value.as_bytes().iter().any(kind));
    if !made || !KEYS.iter().any(|end| name.ends_with(end)) {
        return None;
    }
    let file = project.files.get(variable.place.file())?;
    // The place may be that of the name alone.
    let line = file.text.get(variable.place.span().start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    Some(if line.contains(value) { Stands::Here } else { Stands::InFile })
}

fn image(text: &model::Text) -> Image {
    let (rest, digest) = text.text.split_once('@').map_or((text.text.as_str(), None), |(a, b)| (a, Some(b)));
    let last = rest.rsplit('/').next().unwrap_or_default();
    Image {
        text: text.text.clone(),
        tag: last.split_once(':').map(|(_, tag)| tag.to_owned()),
        has_digest: digest.is_some(),
        origin: origin(text.place),
    }
}

fn attached(project: &Project, service: &model::Service) -> Attached {
    match &service.network {
        NetworkMode::Host(place) => Attached::Host(origin(*place)),
        NetworkMode::Networks(list) => {
            let network = |own: &model::Attachment| Network {
                name: own.network.clone(),
                external: project.networks.iter().any(|network| network.name == own.network && network.external),
                origin: origin(own.place.unwrap_or(service.place)),
            };
            Attached::Networks(list.iter().map(network).collect())
        }
        NetworkMode::Service(..)
        | NetworkMode::Container(..)
        | NetworkMode::None(_)
        | NetworkMode::Bridge(_)
        | NetworkMode::Other(_) => Attached::Elsewhere,
    }
}

/// The other services that a service names in its variables, its commands and what it waits for.
fn named(project: &Project, service: &model::Service, names: &[(String, BTreeSet<String>)]) -> BTreeSet<String> {
    let commands = service.command.iter().chain(&service.entrypoint).flatten().map(|word| word.text.as_str());
    let values = service.environment.iter().filter_map(|variable| Some(variable.value.as_ref()?.reveal()));
    let map = project.map(service);
    let listed = ["depends_on", "links"].into_iter().filter_map(|key| map.get(key));
    let listed = listed.flat_map(|list| {
        let keys = list.is_map().then(|| list.entries().map(|(entry, _)| &*entry.key));
        let items = list.is_list().then(|| list.items().filter_map(|item| item.text()));
        keys.into_iter().flatten().chain(items.into_iter().flatten())
    });
    let texts: Vec<&str> = commands.chain(values).chain(listed).collect();
    let is_name = |byte: char| byte.is_ascii_alphanumeric() || "-_.".contains(byte);
    let says = |name: &String| texts.iter().any(|text| text.split(|c| !is_name(c)).any(|word| word == name));
    let others = names.iter().filter(|(own, all)| *own != service.name && all.iter().any(says));
    others.map(|(name, _)| name.clone()).collect()
}

/// Where the devices of a GPU are handed in.
fn devices(project: &Project, service: &model::Service) -> Option<Place> {
    let list = project.map(service).get("devices")?;
    let is_gpu =
        |text: &str| ["/dev/kfd", "/dev/dri", "/dev/nvidia", "nvidia.com/gpu"].iter().any(|gpu| text.starts_with(gpu));
    let mut items = list.one_or_more();
    items.find(|item| item.text().is_some_and(is_gpu)).map(|item| item.place())
}

fn health(service: &model::Service) -> Option<Health> {
    let check = service.healthcheck.as_ref().filter(|check| !check.disabled && !check.test.is_empty())?;
    let words: Vec<&str> = check.test.iter().map(|word| word.text.as_str()).collect();
    let place = check.test.iter().map(|word| word.place).find(|place| place.span().end > place.span().start);
    Some(Health { command: words.join(" "), origin: origin(place.unwrap_or(check.place)) })
}
