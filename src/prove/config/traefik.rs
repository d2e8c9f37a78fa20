//! Traefik: its static and dynamic files, moved aside.
//!
//! In: documents of these files. Out: one static and some dynamic files with other addresses, certificates and logs. Invariant: only the
//! file provider is left, and only what HTTP needs of the static part: nothing is asked or told outside.

use std::path::{Path, PathBuf};

use super::document::{entries, get, items, json, list, made, map, maps, path, put, remove, set, text};
use super::world::{self, World};
use crate::dialect::Place;
use crate::dialect::document::{Document, Kind, NodeId, Style};
use crate::dialect::traefik::statics::OWN;
use crate::prove::server::Launch;

/// The parts of a static file that stay.
const STATIC: &[&str] = &["entryPoints", "log", "accessLog", "core", "serversTransport", "api", "ping", "metrics"];
/// The parts of a transport that name files or check certificates, which stand-ins have none of.
const TRANSPORT: &[&str] = &["serverName", "insecureSkipVerify", "rootCAs", "certificates", "spiffe", "peerCertURI"];

/// Moves the static file; `dynamic` is the folder of the dynamic ones. Errors: what can't be moved.
pub fn edit_static(document: &mut Document, dynamic: &Path, world: &mut World) -> Result<(), String> {
    let Some(root) = document.root().map(|root| root.id) else { return Err("its static file is empty".to_owned()) };
    for (name, _) in entries(document, root) {
        if !STATIC.iter().any(|own| own.eq_ignore_ascii_case(&name)) {
            if !["providers", "global"].iter().any(|own| own.eq_ignore_ascii_case(&name)) {
                world.notes.push(format!("`{name}` is left out"));
            }
            remove(document, root, &[&name]);
        }
    }
    if let Some(transport) = get(document, root, "serversTransport") {
        remove(document, transport, TRANSPORT);
    }
    own_services(document, root);
    let here = Place::default();
    // Nothing else that Traefik does by itself leaves this machine.
    let global = map(document, here, &[("checkNewVersion", "false", Style::Plain)]);
    put(document, root, "global", global);
    let folder = dynamic.display().to_string();
    let file = map(document, here, &[("directory", &folder, Style::Quoted), ("watch", "false", Style::Plain)]);
    if let Some(providers) = made(document, &["providers"]) {
        put(document, providers, "file", file);
    }
    for name in ["log", "accessLog"] {
        if let Some(file) = path(document, &[name, "filePath"]) {
            let log = world.path(&format!("logs/{name}"))?.display().to_string();
            set(document, file, log);
        }
    }
    let points = path(document, &["entryPoints"]).map_or(Vec::new(), |points| entries(document, points));
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
            remove(document, tls, &["certResolver"]);
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
    if let Some(points) = path(document, &["entryPoints"]).filter(|_| opens)
        && get(document, points, OWN).is_none()
    {
        let point = map(document, Place::default(), &[("address", ":8080", Style::Quoted)]);
        put(document, points, OWN, point);
    }
}

/// Moves a dynamic file. Errors: what can't be moved.
pub fn edit_dynamic(document: &mut Document, world: &mut World) -> Result<(), String> {
    let (certificate, key) = world.certificate()?;
    for map in maps(document) {
        for (name, file) in [("certFile", &certificate), ("keyFile", &key)] {
            if let Some(node) = get(document, map, name) {
                set(document, node, file.display().to_string());
            }
        }
        remove(document, map, &["certResolver", "healthCheck"]);
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
            users(document, basic)?;
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
fn url(own: &str, world: &mut World) -> Result<String, String> {
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
fn users(document: &mut Document, basic: NodeId) -> Result<(), String> {
    let own = get(document, basic, "users").map_or(Vec::new(), |list| items(document, list));
    let file = get(document, basic, "usersFile").and_then(|file| text(document, file));
    let mut lines: Vec<String> = own.iter().filter_map(|line| text(document, *line)).collect();
    if let Some(read) = file.and_then(|file| std::fs::read_to_string(file).ok()) {
        lines.extend(read.lines().map(str::to_owned));
    }
    let mut known = Vec::new();
    for name in lines.iter().filter_map(|line| line.split_once(':')).map(|(name, _)| name) {
        known.push(format!("{name}:{}", world::hash(name)?));
    }
    remove(document, basic, &["usersFile"]);
    let known = list(document, Place::default(), &known);
    put(document, basic, "users", known);
    Ok(())
}

/// Writes a document; YAML readers read it. Errors: it can't be written.
pub fn write(document: &Document, below: &str, world: &World) -> Result<(PathBuf, String), String> {
    let text = json(document)?;
    Ok((world.write(below, text.as_bytes())?, text))
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

/// A document for a static file that nobody has written.
pub fn is_static(document: &Document) -> bool {
    let keys = ["entryPoints", "providers"];
    document.root().is_some_and(|root| {
        root.entries().any(|(entry, _)| keys.iter().any(|key| key.eq_ignore_ascii_case(&entry.key)))
    }) && !matches!(document.root().and_then(|root| root.node()).map(|node| &node.kind), Some(Kind::List(_)))
}
