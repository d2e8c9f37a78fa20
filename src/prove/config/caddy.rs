//! Caddy: its JSON, moved aside. A Caddyfile is adapted by Caddy itself before.
//!
//! In: a config's [`Document`]. Out: the same with other addresses, certificates, logs and storage. Invariant: the same change is made to
//! what Caddy runs and to what the evaluator reads, and nobody outside is asked for a certificate.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::document::{entries, get, items, json, made, map, maps, path, put, remove, set, text};
use super::world::{self, World};
use crate::dialect::Place;
use crate::dialect::caddy::lexer::Lexer;
use crate::dialect::document::{Document, Kind, NodeId, Style};
use crate::prove::server::{self, Launch};
use crate::source::SourceFile;

/// The parts of a config that run here; others may do anything.
const APPS: &[&str] = &["http", "tls", "pki"];

/// Moves a config; files that it names lie below `root`. Errors: what can't be moved.
pub fn edit(document: &mut Document, root: Option<&Path>, world: &mut World) -> Result<(), String> {
    if let Some(root) = root {
        below(document, root);
    }
    let Some(top) = document.root().map(|root| root.id) else { return Err("it is empty".to_owned()) };
    let here = Place::default();
    let admin = map(document, here, &[("disabled", "true", Style::Plain)]);
    put(document, top, "admin", admin);
    let data = world.folder.path().join("data").display().to_string();
    let storage = map(document, here, &[("module", "file_system", Style::Quoted), ("root", &data, Style::Quoted)]);
    put(document, top, "storage", storage);
    let mover = &mut Mover { document, world };
    mover.logs()?;
    mover.apps();
    mover.servers()?;
    mover.certificates()?;
    for map in maps(mover.document) {
        mover.handler(map)?;
    }
    Ok(())
}

/// Absolute paths of folders and files that requests are answered from, or that placeholders read.
fn below(document: &mut Document, root: &Path) {
    let prefix = root.display().to_string();
    for map in maps(document) {
        for key in ["root", "file_root"] {
            let Some(node) = get(document, map, key) else { continue };
            match text(document, node) {
                Some(own) if own.starts_with('/') => set(document, node, format!("{prefix}{own}")),
                _ => {}
            }
        }
    }
    for node in &mut document.nodes {
        if let Kind::Scalar(text, _) = &mut node.kind
            && text.contains("{file./")
        {
            *text = text.replace("{file./", &format!("{{file.{prefix}/")).into();
        }
    }
}

/// Writes Caddyfiles into the folder of `world`, so that an import of an absolute path finds what lies below `root`. Returns the main one.
///
/// Errors: they can't be written.
pub fn stage(files: &[SourceFile], root: &Path, world: &World) -> Result<PathBuf, String> {
    let tree = world.folder.path().join("tree");
    let mut main = None;
    for file in files {
        let own = file.path.strip_prefix(root).unwrap_or(&file.path);
        let below = format!("tree/{}", own.display().to_string().trim_start_matches('/'));
        let path = world.write(&below, imports(&file.text, &tree).as_bytes())?;
        main.get_or_insert(path);
    }
    main.ok_or_else(|| "it has no file".to_owned())
}

/// A Caddyfile whose imports of absolute paths look below `tree`.
fn imports(file: &str, tree: &Path) -> String {
    let mut lexer = Lexer::new(file);
    let (mut out, mut at) = (String::with_capacity(file.len()), 0);
    let (mut last_line, mut import) = (0, false);
    while let Ok(Some(word)) = lexer.next_word() {
        if import && word.line == last_line && word.text.starts_with('/') {
            let start = word.span.start + file[word.span.clone()].find('/').unwrap_or(0);
            out.push_str(&file[at..start]);
            out.push_str(&tree.display().to_string());
            at = start;
        }
        import = word.text == "import" && word.line != last_line;
        last_line = word.line;
    }
    out.push_str(&file[at..]);
    out
}

/// How Caddy is started on a moved config.
pub fn launch(
    document: &Document,
    program: &Path,
    world: &World,
    variables: &[(String, String)],
) -> Result<Launch, String> {
    let config = world.write("caddy.json", json(document)?.as_bytes())?;
    let folder = world.folder.path();
    let own = |name: &str| ["CADDY_", "XDG_", "LLMGUARD_"].iter().any(|start| name.starts_with(start));
    let mut env: Vec<(OsString, OsString)> = variables
        .iter()
        .filter(|(name, _)| !own(name) && name != "HOME")
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    env.push(("HOME".into(), folder.into()));
    env.push(("XDG_DATA_HOME".into(), folder.join("data").into()));
    env.push(("XDG_CONFIG_HOME".into(), folder.join("config").into()));
    Ok(Launch {
        program: program.to_owned(),
        args: vec!["run".into(), "--config".into(), config.into()],
        env,
        cwd: folder.to_owned(),
        log: world.path("server.log")?,
    })
}

struct Mover<'a> {
    document: &'a mut Document,
    world: &'a mut World,
}

impl Mover<'_> {
    fn at(&self, keys: &[&str]) -> Option<NodeId> {
        path(self.document, keys)
    }

    fn logs(&mut self) -> Result<(), String> {
        let logs = self.at(&["logging", "logs"]).map_or(Vec::new(), |logs| entries(self.document, logs));
        for (name, log) in logs {
            let Some(writer) = get(self.document, log, "writer") else { continue };
            match get(self.document, writer, "output").and_then(|output| text(self.document, output)).as_deref() {
                Some("file") => {
                    let file = self.world.path(&format!("logs/{}", name.replace('/', "_")))?.display().to_string();
                    if let Some(filename) = get(self.document, writer, "filename") {
                        set(self.document, filename, file);
                    }
                }
                Some("stdout" | "stderr" | "discard") | None => {}
                Some(other) => {
                    self.world.notes.push(format!("the log `{name}` (`{other}`) is written nowhere"));
                    let discard = map(self.document, Place::default(), &[("output", "discard", Style::Quoted)]);
                    put(self.document, log, "writer", discard);
                }
            }
        }
        Ok(())
    }

    /// Apps that aren't about HTTP go.
    fn apps(&mut self) {
        let Some(apps) = self.at(&["apps"]) else { return };
        for (name, _) in entries(self.document, apps) {
            if !APPS.contains(&name.as_str()) {
                self.world.notes.push(format!("the app `{name}` is left out"));
                remove(self.document, apps, &[&name]);
            }
        }
    }

    fn servers(&mut self) -> Result<(), String> {
        let servers =
            self.at(&["apps", "http", "servers"]).map_or(Vec::new(), |servers| entries(self.document, servers));
        for (_, server) in servers {
            let Some(listen) = get(self.document, server, "listen") else { continue };
            for address in items(self.document, listen) {
                let own = text(self.document, address).unwrap_or_default();
                let moved = self.listen(&own)?;
                set(self.document, address, moved);
            }
        }
        // What Caddy does by itself for HTTPS depends on which ports are the usual ones, and it binds the one for HTTP.
        if let Some(http) = made(self.document, &["apps", "http"]) {
            for (key, usual) in [("http_port", "80"), ("https_port", "443")] {
                let own = get(self.document, http, key).and_then(|port| text(self.document, port));
                let port = self.world.own_port(own.as_deref().unwrap_or(usual))?.to_string();
                let port = self.document.add(Place::default(), Kind::Scalar(port.into(), Style::Plain));
                put(self.document, http, key, port);
            }
        }
        Ok(())
    }

    fn listen(&mut self, own: &str) -> Result<String, String> {
        let cant = || format!("`{own}` can't be moved: it is no address with one port");
        let bare = own.strip_prefix("tcp/").unwrap_or(own);
        if bare.contains('/') || bare.contains('{') {
            return Err(cant());
        }
        let (host, port) = bare.rsplit_once(':').ok_or_else(cant)?;
        port.parse::<u16>().map_err(|_| cant())?;
        Ok(self.world.listener(&format!("{host}:{port}"))?.to_string())
    }

    /// Certificates that were given are those of this run, those that Caddy gets are its own.
    fn certificates(&mut self) -> Result<(), String> {
        let (certificate, key) = self.world.certificate()?;
        let files = self
            .at(&["apps", "tls", "certificates", "load_files"])
            .map_or(Vec::new(), |files| items(self.document, files));
        for file in files {
            for (name, path) in [("certificate", &certificate), ("key", &key)] {
                if let Some(node) = get(self.document, file, name) {
                    set(self.document, node, path.display().to_string());
                }
            }
        }
        // Whom Caddy trusts; where their certificates aren't here, nobody but this run.
        for map in maps(self.document) {
            for key in ["pem_files", "trusted_ca_certs_pem_files"] {
                let files = get(self.document, map, key).map_or(Vec::new(), |files| items(self.document, files));
                for file in files {
                    if !text(self.document, file).is_some_and(|path| Path::new(&path).exists()) {
                        set(self.document, file, certificate.display().to_string());
                    }
                }
            }
        }
        if let Some(certificates) = self.at(&["apps", "tls", "certificates"]) {
            remove(self.document, certificates, &["automate", "load_folders", "load_storage"]);
        }
        let here = Place::default();
        let issuer = map(self.document, here, &[("module", "internal", Style::Quoted)]);
        let issuers = self.document.add(here, Kind::List(Box::new([issuer])));
        let policy = map(self.document, here, &[]);
        put(self.document, policy, "issuers", issuers);
        let policies = self.document.add(here, Kind::List(Box::new([policy])));
        if let Some(automation) = made(self.document, &["apps", "tls", "automation"]) {
            remove(self.document, automation, &["on_demand", "ocsp_interval", "renew_interval"]);
            put(self.document, automation, "policies", policies);
        }
        if let Some(authority) = made(self.document, &["apps", "pki", "certificate_authorities", "local"]) {
            let no = self.document.add(here, Kind::Scalar("false".into(), Style::Plain));
            put(self.document, authority, "install_trust", no);
        }
        Ok(())
    }

    fn handler(&mut self, map: NodeId) -> Result<(), String> {
        let name = get(self.document, map, "handler").and_then(|name| text(self.document, name));
        match name.as_deref() {
            Some("reverse_proxy") => self.proxy(map),
            Some("authentication") => self.users(map),
            _ => Ok(()),
        }
    }

    fn proxy(&mut self, handler: NodeId) -> Result<(), String> {
        remove(self.document, handler, &["health_checks"]);
        if get(self.document, handler, "dynamic_upstreams").is_some() {
            remove(self.document, handler, &["dynamic_upstreams"]);
            let addr = self.world.upstream("an upstream that the config computes")?.to_string();
            let upstream = map(self.document, Place::default(), &[("dial", &addr, Style::Quoted)]);
            let upstreams = self.document.add(Place::default(), Kind::List(Box::new([upstream])));
            put(self.document, handler, "upstreams", upstreams);
        }
        if let Some(transport) = get(self.document, handler, "transport") {
            remove(
                self.document,
                transport,
                &["tls", "resolver", "forward_proxy_url", "network_proxy", "local_address"],
            );
        }
        let upstreams = get(self.document, handler, "upstreams").map_or(Vec::new(), |list| items(self.document, list));
        for upstream in upstreams {
            let Some(dial) = get(self.document, upstream, "dial") else { continue };
            let own = text(self.document, dial).unwrap_or_default();
            let name = if own.contains('{') { "an upstream that the config computes" } else { &own };
            let addr = self.world.upstream(name)?;
            set(self.document, dial, addr.to_string());
        }
        Ok(())
    }

    /// Users have passwords that are known here.
    fn users(&mut self, handler: NodeId) -> Result<(), String> {
        let Some(basic) =
            get(self.document, handler, "providers").and_then(|all| get(self.document, all, "http_basic"))
        else {
            return Ok(());
        };
        remove(self.document, basic, &["hash"]);
        let accounts = get(self.document, basic, "accounts").map_or(Vec::new(), |list| items(self.document, list));
        for account in accounts {
            let name = get(self.document, account, "username").and_then(|name| text(self.document, name));
            if let (Some(name), Some(password)) = (name, get(self.document, account, "password")) {
                set(self.document, password, world::hash(&name)?);
            }
        }
        Ok(())
    }
}

/// What Caddy itself makes of a Caddyfile. Errors: why it refuses it.
pub fn adapted(file: &Path, program: &Path, variables: &[(String, String)]) -> Result<String, String> {
    let file = std::path::absolute(file).map_err(|error| error.to_string())?;
    let arguments =
        ["adapt".as_ref(), "--adapter".as_ref(), "caddyfile".as_ref(), "--config".as_ref(), file.as_os_str()];
    server::output(program, &arguments, variables).map_err(|said| refusal(&said))
}

/// The errors among what Caddy says, without the rest of its lines.
pub fn refusal(said: &str) -> String {
    let told = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_error = line.get("level")?.as_str()? == "error";
        line.get("msg")?.as_str().filter(|_| is_error).map(str::to_owned)
    };
    let plain = |line: &str| line.trim().strip_prefix("Error: ").map(str::to_owned);
    let errors: Vec<String> = said.lines().filter_map(|line| told(line).or_else(|| plain(line))).collect();
    if errors.is_empty() { said.to_owned() } else { format!("Caddy refuses it: {}", errors.join("; ")) }
}
