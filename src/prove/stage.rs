//! What a server needs before it starts: the rendered files in a folder of their own, and the stand-in upstreams behind them.
//!
//! In: a plan moved aside and the target it is rendered to. Out: a [`Stage`], on which a server is started as a [`Launch`] says.
//! Invariant: what the server reads is what `render` wrote, in a folder that is gone with its owner.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::engine::NoEngine;
use super::moved::{self, Moved, Phase};
use super::server::{self, Launch, Scratch};
use super::upstream::Upstream;
use crate::policy::plan::{Plan, Proxy, Tls};
use crate::render::target::Target;
use crate::render::write::write;
use crate::render::{RenderedFile, Site, internal_tls};

/// A target that a server runs.
#[derive(Debug, PartialEq, Eq)]
pub struct Form {
    /// The render target.
    pub target: &'static str,
    /// The server.
    pub proxy: Proxy,
    /// The folder that the target is rendered to, in which the server runs.
    pub folder: &'static str,
    /// Whether all that comes from one address is counted together, whoever asks for what.
    pub one_bucket: bool,
}

/// Traefik with labels: it runs where there is a Docker engine, so whoever starts it says how.
pub const LABELS: &Form =
    &Form { target: "traefik", proxy: Proxy::Traefik, folder: "traefik-labels", one_bucket: false };

impl Form {
    /// What a server of this machine runs by itself.
    pub fn of(proxy: Proxy) -> &'static Form {
        match proxy {
            Proxy::Nginx => &Form { target: "nginx", proxy: Proxy::Nginx, folder: "nginx", one_bucket: true },
            Proxy::Caddy => &Form { target: "caddy", proxy: Proxy::Caddy, folder: "caddy", one_bucket: true },
            Proxy::Traefik => {
                &Form { target: "traefik-file", proxy: Proxy::Traefik, folder: "traefik", one_bucket: true }
            }
        }
    }
}

/// Rendered files with their upstreams.
pub struct Stage {
    /// What is rendered.
    pub form: &'static Form,
    /// The plan that it is rendered from.
    pub moved: Moved,
    /// The stand-ins, one for each server of the policy.
    pub upstreams: Vec<Upstream>,
    /// The folder with the files.
    pub folder: Scratch,
    /// The CA that signed the server's certificate, as PEM; absent: nobody looks at it.
    pub ca: Option<Vec<u8>>,
}

impl Stage {
    /// Moves a plan to a free port and renders it.
    pub fn new(plan: &Plan, form: &'static Form, phase: Phase) -> Result<Stage, NoEngine> {
        let failed = NoEngine::Failed;
        let port = server::free_port().map_err(|error| failed(format!("no free port: {error}")))?;
        let upstreams = upstreams(plan).map_err(failed)?;
        let addresses: Vec<_> = upstreams.iter().map(Upstream::addr).collect();
        let moved = moved::moved(plan, port, &addresses, phase).map_err(failed)?;
        Stage::of(moved, upstreams, form)
    }

    /// Renders a plan that has its port and upstreams already.
    pub fn of(moved: Moved, upstreams: Vec<Upstream>, form: &'static Form) -> Result<Stage, NoEngine> {
        let folder = Scratch::new().map_err(NoEngine::Failed)?;
        let ca = render(&moved.plan, form, folder.path())?;
        Ok(Stage { form, moved, upstreams, folder, ca })
    }

    /// Where the server runs.
    pub fn cwd(&self) -> PathBuf {
        self.folder.path().join(self.form.folder)
    }

    /// How the server is started, with the policy's variables in its environment.
    pub fn launch(&self, program: &Path) -> Launch {
        let (plan, folder) = (&self.moved.plan, self.folder.path());
        let mut args: Vec<OsString> = Vec::new();
        match self.form.proxy {
            Proxy::Nginx => {
                args.extend(["-e", "stderr", "-p", ".", "-c", "nginx.conf", "-g"].map(OsString::from));
                args.push(nginx_globals(plan, program).into());
            }
            Proxy::Caddy => args.extend(["run", "--config", "Caddyfile", "--adapter", "caddyfile"].map(OsString::from)),
            Proxy::Traefik => args.push("--configFile=traefik.yml".into()),
        }
        let mut env: Vec<(OsString, OsString)> =
            moved::environment(plan).into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        env.push(("HOME".into(), folder.into()));
        env.push(("XDG_DATA_HOME".into(), folder.join("data").into()));
        Launch { program: program.to_owned(), args, env, cwd: self.cwd(), log: folder.join("server.log") }
    }
}

/// A stand-in for each server of the policy, up to eight. Errors: what the system says.
pub fn upstreams(plan: &Plan) -> Result<Vec<Upstream>, String> {
    (0..plan.upstream.servers.len().clamp(1, 8))
        .map(|_| Upstream::start())
        .collect::<Result<_, _>>()
        .map_err(|error| format!("the stand-in upstream can't listen: {error}"))
}

/// Writes the target's files; gives the CA to trust, if any.
fn render(plan: &Plan, form: &Form, folder: &Path) -> Result<Option<Vec<u8>>, NoEngine> {
    let target = Target::find(form.target).ok_or_else(|| NoEngine::Failed("no such target".to_owned()))?;
    let site = Site { command: "llmguard prove".to_owned(), root: false };
    let output = target.render(plan, &site);
    if !output.gaps.is_empty() {
        return Err(NoEngine::Gaps(output.gaps.iter().map(|gap| format!("`{}`: {}", gap.key, gap.reason)).collect()));
    }
    let mut files = output.files;
    let mut ca = None;
    match &plan.listen.tls {
        Tls::Internal => {
            let made = internal_tls::internal(&plan.listen.server_names, None, std::time::SystemTime::now())
                .map_err(NoEngine::Failed)?;
            ca = Some(made.ca_pem.clone().into_bytes());
            let file = |name: &str, content: &str| RenderedFile {
                path: format!("{}/tls/{name}", form.folder),
                content: content.to_owned(),
                mode: 0o600,
                secret: true,
                group: None,
            };
            files.push(file("leaf.pem", &made.leaf_pem));
            files.push(file("leaf.key", made.leaf_key.reveal()));
        }
        Tls::Files { certificate, .. } => ca = std::fs::read(certificate).ok(),
        Tls::Off | Tls::Auto { .. } => {}
    }
    write(folder, &files, &output.folders).map_err(NoEngine::Failed)?;
    Ok(ca)
}

/// What nginx is told beside the rendered config, which must not depend on how this machine's nginx was built.
fn nginx_globals(plan: &Plan, program: &Path) -> String {
    let mut globals = "daemon off;".to_owned();
    if rustix::process::geteuid().is_root() {
        // Its workers would run as nobody, who can't enter this folder.
        globals.push_str(" user root;");
    }
    if !plan.access.models.is_empty()
        && let Some(module) = server::nginx_module(program, "ngx_http_js_module.so")
    {
        globals.push_str(&format!(" load_module {};", module.display()));
    }
    globals
}
