//! Traefik: everything that one reads, moved aside.
//!
//! In: its parts as [`System`] has them. Out: the same parts with other addresses, certificates and logs, for the evaluator; a static file,
//! dynamic files and containers that say the same, for the server. Invariant: only the file provider and Docker's are left, and only what
//! HTTP needs of the static part: nothing is asked or told outside.

use std::path::{Path, PathBuf};

use super::docker::Engine;
use super::document::{entries, get, items, json, list, made, map, maps, path, put, remove, set, text};
use super::world::{self, World};
use super::{labels, settings};
use crate::dialect::document::{Document, NodeId, Style};
use crate::dialect::traefik::fields::{DYNAMIC, STATIC as KNOWN};
use crate::dialect::traefik::node::Node;
use crate::dialect::traefik::statics::OWN;
use crate::dialect::traefik::template::unknown_in;
use crate::dialect::traefik::{self, DynamicFile, System, below};
use crate::dialect::{Options, Place};
use crate::prove::server::Launch;

/// The parts of a static file that stay, as all its names in small letters.
const STATIC: &[&str] = &["entrypoints", "log", "accesslog", "core", "serverstransport", "api", "ping", "metrics"];
/// The parts of a transport that name files or check certificates, which stand-ins have none of.
const TRANSPORT: &[&str] = &["serverName", "insecureSkipVerify", "rootCAs", "certificates", "spiffe", "peerCertURI"];
/// What stays of the Docker provider: which containers count, and what their routers are called.
const DOCKER: &[&str] = &["exposedbydefault", "defaultrule", "constraints", "network", "allowemptyservices"];

/// Moves everything that a Traefik reads, and writes what its server is given into the folder of `world`. Returns the static file there.
///
/// Errors: what can't be moved.
pub fn stage(system: &mut System, options: &Options, world: &mut World) -> Result<PathBuf, String> {
    let folder = world.folder.path().join("dynamic");
    let mut main = configuration(system, world)?;
    settings::canonical(&mut main, &KNOWN);
    let docker = docker(&main, world);
    edit_static(&mut main, &folder, world)?;
    if docker.is_some() {
        let containers = labels::edit(&mut system.labels, options, world)?;
        let engine =
            Engine::start(containers).map_err(|error| format!("the stand-in for Docker can't listen: {error}"))?;
        let endpoint = format!("tcp://{}", engine.addr());
        let here = Place::default();
        let own = map(&mut main, here, &[("endpoint", &endpoint, Style::Quoted), ("watch", "false", Style::Plain)]);
        for (key, value) in docker.into_iter().flatten() {
            put(&mut main, own, &key, value);
        }
        if let Some(providers) = made(&mut main, &["providers"]) {
            put(&mut main, providers, "docker", own);
        }
        world.docker = Some(engine);
    }
    std::fs::create_dir_all(&folder).map_err(|error| format!("`{}` can't be made: {error}", folder.display()))?;
    for (index, file) in system.dynamic.iter_mut().enumerate() {
        let below = format!("dynamic/{index:04}.yml");
        match file {
            DynamicFile::Loaded(document) => {
                settings::canonical(document, &DYNAMIC);
                edit_dynamic(document, options, world)?;
                write(document, &below, world)?;
            }
            // What Traefik loads nothing for.
            DynamicFile::Refused => drop(world.write(&below, b"{{ fail }}")?),
            DynamicFile::Opaque(_, why) => return Err(format!("a dynamic file {why}")),
        }
    }
    let static_file = write(&main, "traefik.yml", world)?;
    (system.flags, system.environment) = (Vec::new(), Vec::new());
    system.configuration = Some(main);
    Ok(static_file)
}

/// The static configuration, wherever it stands. Errors: Traefik refuses it.
fn configuration(system: &mut System, world: &mut World) -> Result<Document, String> {
    let names = match (system.configuration.take(), traefik::assumed(system)) {
        (Some(document), _) => return Ok(document),
        (None, Some(points)) => {
            let named: Vec<String> = points.iter().map(|(name, port)| format!("`{name}` :{port}")).collect();
            let note = format!("its static configuration isn't here; assumed: entry points {}", named.join(", "));
            world.notes.push(note);
            let addresses = points.into_iter().map(|(name, port)| {
                (format!("traefik.entryPoints.{name}.address"), format!(":{port}"), Place::default())
            });
            let docker = ("traefik.providers.docker".to_owned(), "true".to_owned(), Place::default());
            addresses.chain([docker]).collect()
        }
        (None, None) => traefik::names(system),
    };
    let names = names.iter().map(|(name, value, place)| (name.as_str(), value.as_str(), *place));
    let top = Node::of_names(names, "traefik", &KNOWN).map_err(|refusal| refusal.why)?;
    Ok(settings::document(&top, &KNOWN))
}

/// What stays of the settings of the Docker provider, if there is one.
fn docker(main: &Document, world: &mut World) -> Option<Vec<(String, NodeId)>> {
    let providers = path(main, &["providers"]).map_or(Vec::new(), |all| entries(main, all));
    for (name, _) in
        providers.iter().filter(|(name, _)| !["file", "docker", "providersthrottleduration"].contains(&name.as_str()))
    {
        world.notes.push(format!("`providers.{name}` is left out: what it delivers isn't in files"));
    }
    let (_, docker) = providers.into_iter().find(|(name, _)| name == "docker")?;
    let own = entries(main, docker);
    if own.iter().any(|(name, _)| name == "usebindportip") {
        world.notes.push("`useBindPortIP` is left out: containers are reached at a stand-in anyway".to_owned());
    }
    let note = "labels reach Traefik by a stand-in for Docker, as of running, healthy containers; through which of their networks it \
                reaches them isn't proven";
    world.notes.push(note.to_owned());
    Some(own.into_iter().filter(|(name, _)| DOCKER.contains(&name.as_str())).collect())
}

/// Moves the static file; `dynamic` is the folder of the dynamic ones. Errors: what can't be moved.
fn edit_static(document: &mut Document, dynamic: &Path, world: &mut World) -> Result<(), String> {
    let Some(root) = document.root().map(|root| root.id) else { return Err("its static file is empty".to_owned()) };
    for (name, _) in entries(document, root) {
        if !STATIC.contains(&name.as_str()) {
            if !["providers", "global"].contains(&name.as_str()) {
                world.notes.push(format!("`{name}` is left out"));
            }
            remove(document, root, &[&name]);
        }
    }
    if let Some(transport) = get(document, root, "serverstransport") {
        let names: Vec<String> = TRANSPORT.iter().map(|name| name.to_ascii_lowercase()).collect();
        remove(document, transport, &names.iter().map(String::as_str).collect::<Vec<_>>());
    }
    own_services(document, root);
    let here = Place::default();
    // Nothing else that Traefik does by itself leaves this machine.
    let global = map(document, here, &[("checknewversion", "false", Style::Plain)]);
    put(document, root, "global", global);
    let folder = dynamic.display().to_string();
    let file = map(document, here, &[("directory", &folder, Style::Quoted), ("watch", "false", Style::Plain)]);
    if let Some(providers) = made(document, &["providers"]) {
        put(document, providers, "file", file);
    }
    for name in ["log", "accesslog"] {
        if let Some(file) = path(document, &[name, "filepath"]) {
            let log = world.path(&format!("logs/{name}"))?.display().to_string();
            set(document, file, log);
        }
    }
    let points = path(document, &["entrypoints"]).map_or(Vec::new(), |points| entries(document, points));
    for (name, point) in points {
        let Some(address) = get(document, point, "address") else { continue };
        let own = text(document, address).unwrap_or_default();
        let bare = own.split('/').next().unwrap_or_default();
        let udp = own.ends_with("/udp");
        let whole = bare.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        whole.ok_or_else(|| format!("the entry point `{name}` at `{own}` can't be moved: it has no port"))?;
        let moved = world.listener(&if udp { format!("{bare}/udp") } else { bare.to_owned() })?;
        set(document, address, format!("{moved}{}", if udp { "/udp" } else { "" }));
        remove(document, point, &["http3", "observability"]);
        if let Some(tls) = get(document, point, "http").and_then(|http| get(document, http, "tls")) {
            remove(document, tls, &["certresolver"]);
        }
    }
    Ok(())
}

/// What Traefik shows of itself stays; where that opens an entry point without a word, there is one that can be moved.
fn own_services(document: &mut Document, root: NodeId) {
    if let Some(metrics) = get(document, root, "metrics") {
        let others: Vec<String> = entries(document, metrics).into_iter().map(|(name, _)| name).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).filter(|name| *name != "prometheus").collect();
        remove(document, metrics, &others);
    }
    let insecure = path(document, &["api", "insecure"]).and_then(|insecure| text(document, insecure));
    let opens = insecure.is_some_and(|insecure| insecure.eq_ignore_ascii_case("true"))
        || path(document, &["ping"]).is_some()
        || path(document, &["metrics", "prometheus"]).is_some();
    if let Some(points) = path(document, &["entrypoints"]).filter(|_| opens)
        && get(document, points, OWN).is_none()
    {
        let point = map(document, Place::default(), &[("address", ":8080", Style::Quoted)]);
        put(document, points, OWN, point);
    }
}

/// Moves a dynamic file. Errors: what can't be moved.
fn edit_dynamic(document: &mut Document, options: &Options, world: &mut World) -> Result<(), String> {
    let (certificate, key) = world.certificate()?;
    for map in maps(document) {
        for (name, file) in [("certFile", &certificate), ("keyFile", &key)] {
            if let Some(node) = get(document, map, name) {
                set(document, node, file.display().to_string());
            }
        }
        remove(document, map, &["certResolver", "healthCheck"]);
        if let Some(client) = get(document, map, "clientAuth")
            && get(document, client, "caFiles").is_some()
        {
            let own = list(document, Place::default(), &[certificate.display().to_string()]);
            put(document, client, "caFiles", own);
        }
        for (_, transport) in get(document, map, "serversTransports").map_or(Vec::new(), |all| entries(document, all)) {
            remove(document, transport, TRANSPORT);
        }
        if let Some(auth) = get(document, map, "forwardAuth") {
            if let Some(address) = get(document, auth, "address") {
                let own = text(document, address).unwrap_or_default();
                let moved = url(&own, world)?;
                set(document, address, moved);
            }
            remove(document, auth, &["tls"]);
        }
        if let Some(basic) = get(document, map, "basicAuth") {
            users(document, basic, options)?;
        }
        if let Some(servers) = get(document, map, "servers") {
            for server in items(document, servers) {
                if let Some(node) = get(document, server, "url") {
                    let own = text(document, node).unwrap_or_default();
                    let moved = url(&own, world)?;
                    set(document, node, moved);
                } else if let Some(node) = get(document, server, "address") {
                    let own = text(document, node).unwrap_or_default();
                    let moved = world.upstream(&own)?;
                    set(document, node, moved.to_string());
                }
            }
        }
    }
    Ok(())
}

/// The URL of a stand-in: plain, with the path that the config's own has.
pub fn url(own: &str, world: &mut World) -> Result<String, String> {
    let (scheme, rest) = own.split_once("://").unwrap_or(("http", own));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, uri) = rest.split_at(end);
    let port = if matches!(scheme, "https") { "443" } else { "80" };
    let bracket = host.rfind(']').map_or(host, |at| host.get(at..).unwrap_or(host));
    let name = if bracket.contains(':') { host.to_owned() } else { format!("{host}:{port}") };
    let scheme = if scheme == "h2c" { "h2c" } else { "http" };
    Ok(format!("{scheme}://{}{uri}", world.upstream(&name)?))
}

/// Users have passwords that are known here.
fn users(document: &mut Document, basic: NodeId, options: &Options) -> Result<(), String> {
    let own = get(document, basic, "users").map_or(Vec::new(), |list| items(document, list));
    let file = get(document, basic, "usersFile").and_then(|file| text(document, file));
    let mut lines: Vec<String> = own.iter().filter_map(|line| text(document, *line)).collect();
    if let Some(read) = file.and_then(|file| std::fs::read_to_string(below(options.root.as_deref(), &file)).ok()) {
        lines.extend(read.lines().map(str::to_owned));
    }
    let known = known_users(lines.iter().map(String::as_str))?;
    remove(document, basic, &["usersFile"]);
    let known = list(document, Place::default(), &known);
    put(document, basic, "users", known);
    Ok(())
}

/// Lines of users with passwords that are known here; what is no user stays. Errors: no hash could be made.
pub fn known_users<'l>(lines: impl Iterator<Item = &'l str>) -> Result<Vec<String>, String> {
    let known = |line: &'l str| match line.split_once(':') {
        Some((name, _)) if unknown_in(line).is_none() => Ok(format!("{name}:{}", world::hash(name)?)),
        _ => Ok(line.to_owned()),
    };
    lines.map(known).collect()
}

/// Writes a document; YAML readers read it. Errors: it can't be written.
fn write(document: &Document, below: &str, world: &World) -> Result<PathBuf, String> {
    // Traefik takes every file for a template first.
    let text = json(document)?.replace("{{", "{\\u007b");
    world.write(below, text.as_bytes())
}

/// How Traefik is started on a moved static file.
pub fn launch(main: &Path, program: &Path, world: &World) -> Result<Launch, String> {
    let mut argument = std::ffi::OsString::from("--configFile=");
    argument.push(main);
    Ok(Launch {
        program: program.to_owned(),
        args: vec![argument],
        env: vec![("HOME".into(), world.folder.path().into())],
        cwd: world.folder.path().to_owned(),
        log: world.path("server.log")?,
    })
}
