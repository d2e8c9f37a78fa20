//! The labels of containers, moved aside: the same labels with other addresses, and the containers that have them.
//!
//! In: the [`LabelSet`]s of one Traefik. Out: those that the evaluator reads, and [`Container`]s for the stand-in of Docker's engine.
//! Invariant: both have the same labels; what a label doesn't name (which port of a container is taken, what its routers are called) is
//! left to Traefik.

use super::docker::Container;
use super::traefik::{known_users, url};
use super::world::World;
use crate::dialect::Options;
use crate::dialect::traefik::LabelSet;
use crate::dialect::traefik::template::unknown_in;

/// Moves the labels of all containers. Errors: what can't be moved.
pub fn edit(sets: &mut [LabelSet], options: &Options, world: &mut World) -> Result<Vec<Container>, String> {
    for set in sets.iter_mut() {
        ports(set, world)?;
        let names: Vec<String> = set.labels.iter().map(|(name, ..)| name.to_ascii_lowercase()).collect();
        let mut moved = Vec::with_capacity(names.len());
        for ((name, value, place), lower) in std::mem::take(&mut set.labels).into_iter().zip(&names) {
            let label = Label { name, value, lower };
            moved.extend(label.moved(set, &names, options, world)?.map(|(name, value)| (name, value, place)));
        }
        set.labels = moved;
    }
    Ok(sets.iter().map(container).collect())
}

/// The ports that a container exposes, in their order: Traefik takes the lowest where no label names one.
fn ports(set: &mut LabelSet, world: &mut World) -> Result<(), String> {
    set.ports.sort_unstable();
    set.ports.dedup();
    let names: Vec<String> = set.ports.iter().map(|port| format!("{}:{port}", set.service)).collect();
    set.ports = world.ascending(&names)?;
    Ok(())
}

struct Label<'l> {
    name: String,
    value: String,
    lower: &'l str,
}

impl Label<'_> {
    fn moved(
        self,
        set: &LabelSet,
        names: &[String],
        options: &Options,
        world: &mut World,
    ) -> Result<Option<(String, String)>, String> {
        let Label { name, value, lower } = self;
        if !lower.starts_with("traefik.") || unknown_in(&value).is_some() {
            return Ok(Some((name, value)));
        }
        let ends = |end: &str| lower.ends_with(end);
        let value = match () {
            () if ends(".loadbalancer.server.port") => {
                let host = if set.host_network { "127.0.0.1" } else { &set.service };
                world.upstream(&format!("{host}:{}", value.trim()))?.port().to_string()
            }
            () if ends(".loadbalancer.server.url") || ends(".forwardauth.address") => url(&value, world)?,
            // Stand-ins have no TLS.
            () if ends(".loadbalancer.server.scheme") && value == "https" => "http".to_owned(),
            () if ends(".basicauth.users") => known_users(value.split(',').map(str::trim))?.join(","),
            () if ends(".basicauth.usersfile") => {
                let own = crate::dialect::traefik::below(options.root.as_deref(), &value);
                let lines = std::fs::read_to_string(&own).unwrap_or_default();
                let known = known_users(lines.lines())?.join("\n");
                match own.exists() {
                    true => {
                        world.write(&format!("users/{}-{lower}", set.service), known.as_bytes())?.display().to_string()
                    }
                    false => value,
                }
            }
            () if ends(".tls.certresolver") => {
                // It alone may be what makes a router speak TLS.
                let tls = lower.trim_end_matches("certresolver");
                let others = names
                    .iter()
                    .any(|other| other.as_str() != lower && (other.starts_with(tls) || *other == tls[..tls.len() - 1]));
                let own = name[..name.len() - ".certresolver".len()].to_owned();
                return Ok((!others).then(|| (own, "true".to_owned())));
            }
            () if lower.contains(".loadbalancer.healthcheck.") || lower.contains(".forwardauth.tls.") => {
                return Ok(None);
            }
            () => value,
        };
        Ok(Some((name, value)))
    }
}

fn container(set: &LabelSet) -> Container {
    let mut labels: Vec<(String, String)> =
        set.labels.iter().map(|(name, value, _)| (name.clone(), value.clone())).collect();
    if !set.project.is_empty() {
        labels.push(("com.docker.compose.project".to_owned(), set.project.clone()));
        labels.push(("com.docker.compose.service".to_owned(), set.service.clone()));
    }
    Container {
        name: set.container().to_owned(),
        labels,
        ports: set.ports.clone(),
        host_network: set.host_network,
        health: None,
    }
}
