//! The plan as the proxy in its container sees it.
//!
//! In: the user's plan. Out: an [`Inside`]: that plan with the container's addresses and paths, and what has to be brought in.
//! Invariant: what the policy names by variable stays named; no value of a key is needed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use super::publish::Published;
use crate::policy::plan::{KeyOrigin, KeySource, Log, LogPath, Plan, Server, Tls};
use crate::render::Output;

/// The upstream's service, which is its name on the inner network.
pub const UPSTREAM: &str = "ollama";
/// The port that Ollama's image listens on.
const UPSTREAM_PORT: u16 = 11434;
/// Docker's name for the machine that the containers run on.
pub const HOST: &str = "host.docker.internal";
/// Where secrets are in a container.
const SECRETS: &str = "/run/secrets";
/// Where the log's folder is in the container.
const LOGS: &str = "/var/log/llmguard";

/// What goes into the proxy's container.
pub struct Inside {
    /// The plan with the container's addresses and paths.
    pub plan: Plan,
    /// The variables that must be set, each with what it holds.
    pub variables: BTreeMap<String, String>,
    /// Compose's secrets: name and file on the host.
    pub secrets: Vec<(String, PathBuf)>,
    /// Files and folders of the host.
    pub mounts: Vec<Mount>,
    /// Whether root in the container must read or write what another user of the host owns.
    pub foreign_files: bool,
}

/// A file or folder of the host in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// On the host; relative to the compose file's folder.
    pub source: String,
    /// In the container.
    pub target: String,
    /// Whether the container may only read it.
    pub read_only: bool,
}

impl Mount {
    /// A file or folder that the container may only read.
    pub fn read_only(source: impl Into<String>, target: impl Into<String>) -> Mount {
        Mount { source: source.into(), target: target.into(), read_only: true }
    }
}

impl Inside {
    /// Moves a plan into a container. What can't work there is recorded in `out`.
    pub fn new(plan: &Plan, published: &Published, out: &mut Output) -> Inside {
        let mut inside = Inside {
            plan: plan.clone(),
            variables: BTreeMap::new(),
            secrets: Vec::new(),
            mounts: Vec::new(),
            foreign_files: false,
        };
        inside.plan.listen.address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        inside.plan.listen.port = published.inside;
        inside.upstream(plan, out);
        inside.tls();
        inside.log(plan, out);
        inside.keys();
        inside
    }

    fn upstream(&mut self, plan: &Plan, out: &mut Output) {
        let span = plan.places.at("upstream.servers");
        if !plan.upstream.servers_given {
            if plan.upstream.kind != UPSTREAM {
                let reason = format!("a project can create Ollama only, not `{}`", plan.upstream.kind);
                out.refuse("upstream.servers", span, reason, format!("name its servers, such as `{HOST}:8000`"));
            }
            self.plan.upstream.servers = vec![Server { host: UPSTREAM.to_owned(), port: UPSTREAM_PORT }];
            return;
        }
        for server in plan.upstream.servers.iter().filter(|server| is_loopback(&server.host)) {
            out.refuse(
                "upstream.servers",
                span,
                format!("`{server}` is the proxy's own container when seen from there"),
                format!("`{HOST}:{}` for a server on this machine, which must listen on Docker's bridge", server.port),
            );
        }
    }

    fn tls(&mut self) {
        let (certificate, private_key) = match &self.plan.listen.tls {
            Tls::Off | Tls::Auto { .. } => return,
            Tls::Files { certificate, private_key } => {
                (certificate.display().to_string(), private_key.display().to_string())
            }
            Tls::Internal => ("./tls/leaf.pem".to_owned(), "./tls/leaf.key".to_owned()),
        };
        let (in_certificate, in_key) = ("/tls/certificate.pem", "/tls/private_key.pem");
        self.mounts.push(Mount::read_only(certificate, in_certificate));
        self.mounts.push(Mount::read_only(private_key, in_key));
        self.foreign_files = true;
        self.plan.listen.tls = Tls::Files { certificate: in_certificate.into(), private_key: in_key.into() };
    }

    fn log(&mut self, plan: &Plan, out: &mut Output) {
        let Log::Json(path) = &plan.log else { return };
        let path = match path {
            LogPath::Default | LogPath::Stdout => {
                self.plan.log = Log::Json(LogPath::Stdout);
                return;
            }
            LogPath::File(path) => Path::new(path),
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let (Some(folder), Some(name)) = (folder, path.file_name()) else {
            let reason = format!("`{}` is in no folder that the container could be given", path.display());
            out.refuse("log.path", plan.places.at("log.path"), reason, "`logs/access.log`, or `stdout`");
            return;
        };
        let source = if folder.is_absolute() { folder.to_owned() } else { Path::new(".").join(folder) };
        if folder.is_relative() {
            out.folders.push(format!("{}/{}", super::FOLDER, folder.display()));
        }
        let mount = Mount { source: source.display().to_string(), target: LOGS.to_owned(), read_only: false };
        self.mounts.push(mount);
        self.foreign_files = true;
        self.plan.log = Log::Json(LogPath::File(format!("{LOGS}/{}", name.to_string_lossy())));
    }

    fn keys(&mut self) {
        let Inside { plan, variables, secrets, .. } = self;
        let mut take = |key: &mut KeySource, about: String, secret: String| match &key.origin {
            KeyOrigin::Env(name) => {
                variables.entry(name.clone()).or_insert(about);
            }
            KeyOrigin::File(path) => {
                let path = path.clone();
                key.origin = KeyOrigin::File(Path::new(SECRETS).join(&secret));
                secrets.push((secret, path));
            }
        };
        for client in &mut plan.clients {
            let about = format!("The key of `{0}`: llmguard key new {0}", client.name);
            for (index, key) in client.keys.iter_mut().enumerate() {
                take(key, about.clone(), format!("key-{}-{}", client.name, index + 1));
            }
        }
        if let Some(key) = &mut plan.upstream.api_key {
            take(key, "The upstream's own key.".to_owned(), "key-of-upstream".to_owned());
        }
        self.foreign_files |= !self.secrets.is_empty();
        for client in &self.plan.clients {
            if let Some(name) = client.password.as_ref().and_then(|password| password.env.as_ref()) {
                let about =
                    format!("The hash of the password of `{}`, in single quotes: llmguard key hash", client.name);
                self.variables.entry(name.clone()).or_insert(about);
            }
        }
    }
}

/// Whether a host is the machine, here the container, itself.
fn is_loopback(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| {
            let address = address.to_canonical();
            address.is_loopback() || address.is_unspecified()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_itself_has_many_names() {
        for host in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "0.0.0.0", "LocalHost", "a.localhost."] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [HOST, "192.168.1.5", "ollama", "localhost.example"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
