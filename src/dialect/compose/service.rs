//! The maps below `services` → [`Service`]s.
//!
//! In: the project's merged map. Out: services in the order of their names. Invariant: a key that Compose doesn't know is an error.

use std::collections::HashSet;

use super::super::document::{Entry, NodeId};
use super::super::{Place, Variables};
use super::load::Loader;
use super::model::{Attachment, Build, Healthcheck, Network, NetworkMode, Service, Text};
use super::words;
use crate::diag::Severity;

/// The network that every service is in that names none.
const DEFAULT: &str = "default";

impl Loader<'_> {
    /// The services of a project.
    pub(super) fn services(&mut self, top: NodeId, variables: &Variables, active: &[String]) -> Vec<Service> {
        self.check_top(top);
        let Some(services) = self.get(top, "services") else { return Vec::new() };
        let mut out = Vec::new();
        let whole =
            |entry: &Entry| ["image", "build", "provider"].iter().any(|key| self.get(entry.value, key).is_some());
        let is_part = !self.entries(services).iter().any(whole);
        for entry in self.entries(services) {
            if entry.key.starts_with("x-") {
                continue;
            }
            if !self.at(entry.value).is_map() {
                self.error(entry.key_place, &format!("the service `{}` is a map", entry.key));
                continue;
            }
            out.push(self.service(&entry, top, variables, active, is_part));
        }
        out.sort_by(|a: &Service, b| a.name.cmp(&b.name));
        self.container_names(&out);
        out
    }

    /// A service; `is_part`: no service of the project says what it runs.
    fn service(
        &mut self,
        entry: &Entry,
        top: NodeId,
        variables: &Variables,
        active: &[String],
        is_part: bool,
    ) -> Service {
        let node = entry.value;
        self.check_service(node);
        let profiles = self.texts(node, "profiles");
        let enabled = profiles.is_empty()
            || profiles.iter().any(|profile| active.contains(&profile.text))
            || active.iter().any(|on| on == "*");
        let text = |loader: &Self, key| loader.get(node, key).and_then(|id| loader.text(id));
        let build = self.get(node, "build").filter(|id| !self.at(*id).is_null()).map(|id| self.build(id));
        let deploy_labels = self.get(node, "deploy").map(|deploy| self.labels(deploy)).unwrap_or_default();
        let service = Service {
            name: entry.key.to_string(),
            place: entry.key_place,
            node,
            enabled,
            profiles,
            image: text(self, "image"),
            build,
            container_name: text(self, "container_name"),
            command: self.command(node, "command"),
            entrypoint: self.command(node, "entrypoint"),
            working_dir: text(self, "working_dir"),
            environment: self.environment(node, variables),
            labels: self.labels(node),
            deploy_labels,
            ports: self.ports(node),
            expose: self.texts(node, "expose"),
            network: self.network(node, top),
            mounts: self.mounts(node, top),
            privileged: self.switch(node, "privileged"),
            gpus: self.gpus(node),
            healthcheck: self.healthcheck(node),
        };
        if service.image.is_none() && service.build.is_none() && self.get(node, "provider").is_none() {
            let message =
                format!("the service `{}` has neither an image nor a build: Compose doesn't start it", entry.key);
            // A part that is laid over other files needn't be whole.
            let severity = if is_part { Severity::Note } else { Severity::Warning };
            self.problem(severity, Some(entry.key_place), message);
        }
        service
    }

    /// How an image is made: a folder, or a map.
    fn build(&mut self, node: NodeId) -> Build {
        let arguments = self.arguments(node);
        let text = |key: &str| self.get(node, key).and_then(|id| self.text(id));
        let context = if self.at(node).is_map() { text("context") } else { self.text(node) };
        let here = Text { text: ".".to_owned(), place: self.place(node), unknown: None };
        let context = context.unwrap_or(here);
        // A repository elsewhere, or a name that isn't known.
        let away = context.unknown.is_some() || context.text.contains("://") || context.text.starts_with("git@");
        let named = Text { text: "Dockerfile".to_owned(), ..Text::default() };
        Build {
            place: self.place(node),
            dockerfile: text("dockerfile").unwrap_or(named),
            inline: text("dockerfile_inline"),
            target: text("target"),
            arguments,
            context: (!away).then(|| self.folder(context.place).join(&context.text)),
        }
    }

    /// Tells of names of containers that are given twice.
    fn container_names(&mut self, services: &[Service]) {
        let mut seen = HashSet::new();
        for name in services.iter().filter_map(|service| service.container_name.as_ref()) {
            if !seen.insert(&name.text) {
                self.error(name.place, &format!("another container is named `{}` already", name.text));
            }
        }
    }

    /// The texts of a list, or one; each once.
    fn texts(&self, map: NodeId, key: &str) -> Vec<Text> {
        let mut out: Vec<Text> = Vec::new();
        let Some(list) = self.get(map, key) else { return out };
        let mut seen = HashSet::new();
        out.extend(self.at(list).one_or_more().filter_map(|item| self.text(item.id)));
        out.retain(|text| seen.insert(text.text.clone()));
        out
    }

    /// A truth value; text that a variable gave may also be `yes` and `on`.
    fn is_on(&self, id: NodeId) -> bool {
        let text = self.at(id).printed().unwrap_or_default().to_ascii_lowercase();
        ["true", "y", "yes", "on"].contains(&text.as_str())
    }

    /// Where something is switched on.
    fn switch(&mut self, map: NodeId, key: &str) -> Option<Place> {
        let id = self.get(map, key).filter(|id| !self.at(*id).is_null())?;
        let text = self.at(id).printed().unwrap_or_default().to_ascii_lowercase();
        let place = self.place(id);
        let target = self.tree.target(id).unwrap_or(id);
        if !["true", "false", "y", "yes", "on", "n", "no", "off"].contains(&text.as_str())
            && !self.unknown.contains_key(&target)
        {
            self.error(place, &format!("`{key}` is `true` or `false`"));
        }
        self.is_on(id).then_some(place)
    }

    fn command(&mut self, map: NodeId, key: &str) -> Option<Vec<Text>> {
        let id = self.get(map, key)?;
        if self.at(id).is_list() {
            return Some(self.at(id).items().filter_map(|item| self.text(item.id)).collect());
        }
        let whole = self.text(id)?;
        let Some(words) = words::split(&whole.text) else {
            self.error(whole.place, &format!("`{key}` is no command: a quote or bracket isn't closed"));
            return None;
        };
        Some(words.into_iter().map(|text| Text { text, ..whole.clone() }).collect())
    }

    fn network(&mut self, map: NodeId, top: NodeId) -> NetworkMode {
        let networks = self.get(map, "networks").filter(|id| !self.at(*id).is_null());
        if let Some(mode) =
            self.get(map, "network_mode").and_then(|id| self.text(id)).filter(|mode| !mode.text.is_empty())
        {
            if networks.is_some() {
                self.error(mode.place, "`network_mode` and `networks` can't stand together");
            }
            return mode_of(mode);
        }
        let place_of = |place: Place| Some(place);
        let mut out: Vec<Attachment> = Vec::new();
        if let Some(networks) = networks {
            let named: Vec<(String, Place, Option<NodeId>)> = match self.at(networks).is_map() {
                true => {
                    let entries = self.entries(networks).into_iter();
                    entries.map(|entry| (entry.key.into(), entry.key_place, Some(entry.value))).collect()
                }
                false => self.texts(map, "networks").into_iter().map(|text| (text.text, text.place, None)).collect(),
            };
            for (network, place, value) in named {
                let declared = self.get(top, "networks").and_then(|all| self.get(all, &network));
                if declared.is_none() && network != DEFAULT {
                    self.error(place, &format!("no network `{network}` is declared"));
                }
                let aliases = value.map(|value| self.texts(value, "aliases")).unwrap_or_default();
                let aliases = aliases.into_iter().map(|alias| alias.text).collect();
                out.push(Attachment { network, aliases, place: place_of(place) });
            }
        }
        if out.is_empty() {
            out.push(Attachment { network: DEFAULT.to_owned(), aliases: Vec::new(), place: None });
        }
        NetworkMode::Networks(out)
    }

    fn healthcheck(&mut self, map: NodeId) -> Option<Healthcheck> {
        let id = self.get(map, "healthcheck").filter(|id| self.at(*id).is_map())?;
        let test = match self.get(id, "test") {
            Some(test) if self.at(test).is_list() => self.command(id, "test").unwrap_or_default(),
            Some(test) => {
                let text = self.text(test).unwrap_or_default();
                let shell = Text { text: "CMD-SHELL".to_owned(), ..text.clone() };
                vec![shell, text]
            }
            None => Vec::new(),
        };
        let off = self.get(id, "disable").is_some_and(|id| self.is_on(id));
        let disabled = off || test.first().is_some_and(|first| first.text == "NONE");
        Some(Healthcheck { test, disabled, place: self.place(id) })
    }

    /// Where GPUs are claimed: as devices, by `gpus`, or by NVIDIA's runtime.
    fn gpus(&self, map: NodeId) -> Option<Place> {
        let claims = |id: NodeId| {
            let capabilities = self.get(id, "capabilities").map(|list| self.at(list));
            let gpu = |item: &str| ["gpu", "nvidia", "compute"].contains(&item);
            capabilities.is_some_and(|list| list.one_or_more().filter_map(|item| item.text()).any(gpu))
        };
        let devices = self.at(map).path(&["deploy", "resources", "reservations", "devices"]);
        let device = devices.and_then(|list| list.items().find(|item| claims(item.id)));
        let runtime = self.get(map, "runtime").filter(|id| self.at(*id).text() == Some("nvidia"));
        let whole = self.get(map, "gpus").filter(|id| !self.at(*id).is_null());
        device.map(|item| item.id).or(whole).or(runtime).map(|id| self.place(id))
    }

    /// The networks that are declared.
    pub(super) fn networks(&self, top: NodeId) -> Vec<Network> {
        let Some(all) = self.get(top, "networks") else { return Vec::new() };
        let network = |entry: Entry| {
            let on = |key| self.get(entry.value, key).is_some_and(|id| self.at(id).is_map() || self.is_on(id));
            Network {
                internal: on("internal"),
                external: on("external"),
                name: entry.key.into(),
                place: entry.key_place,
            }
        };
        self.entries(all).into_iter().map(network).collect()
    }
}

fn mode_of(mode: Text) -> NetworkMode {
    match mode.text.as_str() {
        _ if mode.unknown.is_some() => NetworkMode::Other(mode),
        "host" => NetworkMode::Host(mode.place),
        "none" => NetworkMode::None(mode.place),
        "bridge" => NetworkMode::Bridge(mode.place),
        text => match text.split_once(':') {
            Some(("service", name)) => NetworkMode::Service(name.to_owned(), mode.place),
            Some(("container", name)) => NetworkMode::Container(name.to_owned(), mode.place),
            _ => NetworkMode::Other(mode),
        },
    }
}
