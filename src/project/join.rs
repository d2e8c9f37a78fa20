//! A compose project as one system: the proxies in it with the configs that they mount, labels, and the ports that are published.
//!
//! In: compose files. Out: a [`System`] for each proxy and one for the ports that lead past them. Invariant: a proxy answers where its
//! service's ports are published and nowhere else; a proxy whose config isn't known answers `unknown`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::container::Container;
use super::discover::Config;
use super::inside::{Given, publish};
use super::read::real;
use super::{Dialect, System, deployment, entrypoint, image, read, stock, traefik};
use crate::diag::{Diagnostic, Severity, Sink};
use crate::dialect::Options;
use crate::dialect::compose::model::{Project, Service};
use crate::dialect::compose::{self, Role};
use crate::source::SourceFile;

/// What a service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proxy {
    Nginx,
    Caddy,
    Traefik,
}

/// The systems of all projects that some compose files make, and the files that were read for them.
pub fn projects(configs: Vec<Config>, options: &Options, sink: &mut Sink) -> (Vec<System>, BTreeSet<PathBuf>) {
    let mut systems = Vec::new();
    for files in groups(configs, options) {
        let project = match files.as_slice() {
            [only] if only.name == "<stdin>" => compose::read_text(only.clone(), options, sink),
            files => {
                let paths: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
                compose::read(&paths, options, sink)
            }
        };
        systems.extend(systems_of(&project, options, sink));
    }
    let files = systems.iter().flat_map(|system: &System| &system.gateway.files);
    let claimed = files.map(|file| real(&file.path)).collect();
    (systems, claimed)
}

/// Which files make a project together: those that are named, and in a walked folder those that Compose takes by itself, or that
/// `COMPOSE_FILE` names. Another file
/// beside them (`docker-compose.prod.yml`) is a project of its own where it is whole, else it is laid over them.
fn groups(configs: Vec<Config>, options: &Options) -> Vec<Vec<SourceFile>> {
    let mut out = Vec::new();
    let (named, walked): (Vec<_>, Vec<_>) = configs.into_iter().partition(|config| config.named);
    let mut by_folder: BTreeMap<PathBuf, Vec<Config>> = BTreeMap::new();
    for config in named {
        by_folder.entry(config.source.folder().to_owned()).or_default().push(config);
    }
    out.extend(by_folder.into_values().map(sources));
    let mut by_folder: BTreeMap<PathBuf, Vec<Config>> = BTreeMap::new();
    for config in walked {
        by_folder.entry(config.source.folder().to_owned()).or_default().push(config);
    }
    for (folder, configs) in by_folder {
        let files = compose::files_of(&folder, &options.variables);
        let paths: Vec<PathBuf> = files.iter().map(|path| real(path)).collect();
        let (named, others): (Vec<_>, Vec<_>) =
            configs.into_iter().partition(|config| paths.contains(&real(&config.source.path)));
        let read = |path: &PathBuf| {
            let known = named.iter().find(|config| real(&config.source.path) == real(path));
            let known = known.map(|config| config.source.clone());
            known.or_else(|| options.texts.read_config(path.display().to_string(), path).ok())
        };
        let main: Vec<SourceFile> = files.iter().filter_map(read).collect();
        let others: Vec<_> = others.into_iter().filter(|config| !compose::with_override(&config.source.path)).collect();
        for other in others {
            let text = &other.source.text;
            let whole = text.lines().any(|line| ["image:", "build:"].iter().any(|key| line.trim().starts_with(key)));
            match whole || main.is_empty() {
                true => out.push(vec![other.source]),
                false => out.push(main.iter().cloned().chain([other.source]).collect()),
            }
        }
        if !main.is_empty() {
            out.push(main);
        }
    }
    out
}

fn sources(configs: Vec<Config>) -> Vec<SourceFile> {
    configs.into_iter().map(|config| config.source).collect()
}

fn systems_of(project: &Project, options: &Options, sink: &mut Sink) -> Vec<System> {
    let mut systems = Vec::new();
    let mut roles: BTreeMap<&str, Role> = BTreeMap::new();
    let mut labelled = false;
    let mut with_docker: Vec<String> = Vec::new();
    for service in project.services.iter().filter(|service| service.enabled) {
        let image = service.build.as_ref().map(|build| image::built(service, build));
        let (built, unknown) = match image {
            Some(Ok((built, unknown))) => (Some(built), unknown),
            Some(Err(why)) => (None, Some(why)),
            None => (None, None),
        };
        let inside = built.as_ref().unwrap_or(service);
        let Some(proxy) = proxy(inside) else { continue };
        if proxy == Proxy::Traefik {
            with_docker.push(service.name.clone());
        }
        let read = match (unknown, Container::new(inside, &options.texts)) {
            (Some(why), _) => Err(why),
            (None, Ok(container)) => system(project, inside, proxy, container, options, sink),
            (None, Err(error)) => Err(format!("its files can't be laid out: {}", crate::source::io_reason(&error))),
        };
        match read {
            Ok(mut system) => {
                labelled |= proxy == Proxy::Traefik;
                let published = publish(project, service, &mut system.gateway);
                system.inside.iter_mut().for_each(|inside| inside.published.clone_from(&published));
                system.name = format!("{} ({})", name(project), service.name);
                systems.push(system);
                roles.insert(&service.name, Role::Proxy);
            }
            Err(why) => {
                let why = format!("`{}` is a proxy whose config isn't known: {why}", service.name);
                if let Some(file) = project.files.get(service.place.file()) {
                    let problem = Diagnostic::new(Severity::Warning, why.clone());
                    sink.push(
                        problem.at(file, service.place.span(), "").help("mount its config as a file of the host"),
                    );
                }
                roles.insert(&service.name, Role::Unknown(why));
            }
        }
    }
    if !labelled && project.services.iter().any(traefik::has_labels) {
        systems.push(traefik::read(project, None, options, sink));
    }
    let role = |service: &Service| roles.get(service.name.as_str()).cloned().unwrap_or(Role::Upstream);
    let is_proxy = |service: &Service| matches!(role(service), Role::Proxy | Role::Unknown(_));
    let neighbours = compose::neighbours(project, &is_proxy);
    let gateway = compose::gateway(project, &role);
    systems.push(System::new(Dialect::Compose, name(project), gateway));
    let proxy_role = |service: &Service| match is_proxy(service) {
        true if with_docker.contains(&service.name) => Some(deployment::Role::ProxyWithDocker),
        true => Some(deployment::Role::Proxy),
        false => None,
    };
    let deployment = Arc::new(deployment::deployment(project, &proxy_role));
    for system in &mut systems {
        system.neighbours = Some(neighbours.clone());
        system.deployment = Some(Arc::clone(&deployment));
    }
    systems
}

fn name(project: &Project) -> String {
    project.files.first().map(|file| file.name.clone()).unwrap_or_default()
}

/// The proxy that a service is, by its image, else by what it mounts.
fn proxy(service: &Service) -> Option<Proxy> {
    let image = service.image.as_ref().map(|image| image.text.to_ascii_lowercase()).unwrap_or_default();
    let last = image.split('@').next()?.rsplit('/').next()?.split(':').next()?.to_owned();
    let named = |word: &str| last.split(['-', '_']).any(|part| part == word);
    let mounts = |folder: &str| service.mounts.iter().any(|mount| mount.target.text.starts_with(folder));
    match () {
        () if named("caddy") || mounts("/etc/caddy") => Some(Proxy::Caddy),
        () if named("traefik") || mounts("/etc/traefik") => Some(Proxy::Traefik),
        () if named("nginx") || named("openresty") || mounts("/etc/nginx") => Some(Proxy::Nginx),
        () => None,
    }
}

/// What a proxy does. Errors: why that isn't known.
fn system(
    project: &Project,
    service: &Service,
    proxy: Proxy,
    mut container: Container<'_>,
    options: &Options,
    sink: &mut Sink,
) -> Result<System, String> {
    let inside = container.options(options);
    let mut problems = Sink::default();
    let (mut system, file) = match proxy {
        Proxy::Traefik => return Ok(traefik::read(project, Some((service, container)), options, sink)),
        Proxy::Nginx => {
            // A relative name starts from nginx's own folder.
            let prefix = option(service, "-p").unwrap_or_else(|| "/etc/nginx".to_owned());
            let own = option(service, "-c").map(|main| match main.starts_with('/') {
                true => main,
                false => format!("{}/{main}", prefix.trim_end_matches('/')),
            });
            if own.is_none() && !service.mounts.iter().any(|mount| mount.target.text.contains("nginx")) {
                return Err("none is mounted".to_owned());
            }
            stock::nginx(&mut container).map_err(|error| crate::source::io_reason(&error))?;
            entrypoint::fill_templates(&mut container, &inside.variables)?;
            let inside = container.options(options);
            let mounted = stock::MAIN.iter().rev().find(|path| container.has(path)).map(|path| (*path).to_owned());
            let main = own.or(mounted).unwrap_or_default();
            let file = container.read(&main).map_err(|reason| format!("`{main}`: {reason}"))?;
            (read::nginx(file.clone(), &inside, &mut problems), file)
        }
        Proxy::Caddy => {
            let main = option(service, "--config").unwrap_or_else(|| "/etc/caddy/Caddyfile".to_owned());
            let main = container.path(&main, "/srv");
            let file = container.read(&main).map_err(|reason| format!("`{main}`: {reason}"))?;
            let system = match Path::new(&main).extension().is_some_and(|extension| extension == "json") {
                true => read::caddy_json(file.clone(), &inside, &mut problems),
                false => read::caddyfile(file.clone(), &inside, &mut problems),
            };
            (system, file)
        }
    };
    container.rename(&mut system.gateway, &mut problems);
    sink.list.append(&mut problems.list);
    system.inside = Some(container.inside(Given::Main(file), options));
    Ok(system)
}

/// The value of an option in a service's command.
fn option(service: &Service, name: &str) -> Option<String> {
    let words: Vec<&str> = service.command.iter().flatten().map(|word| word.text.as_str()).collect();
    let at = words.iter().position(|word| *word == name || word.starts_with(&format!("{name}=")))?;
    match words[at].split_once('=') {
        Some((_, value)) => Some(value.to_owned()),
        None => words.get(at + 1).map(|word| (*word).to_owned()),
    }
}
