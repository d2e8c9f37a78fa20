//! Engines: what answers a question. The evaluator is one; a real server behind rendered files is another.
//!
//! In: a plan and a program. Out: answers. Invariant: a server runs unprivileged where it can, in a folder of its own, on loopback, and is
//! gone with its [`Engine`].

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::http2;
use super::moved::{self, Moved, Phase};
use super::question::Question;
use super::server::{self, Launch, Running, Scratch};
use super::upstream::{Seen, Upstream};
use super::wire::{self, Exchange, TlsOptions};
use crate::gateway::Gateway;
use crate::gateway::eval::{Outcome, evaluate};
use crate::http::Version;
use crate::lower;
use crate::policy::plan::{Plan, Proxy, Tls};
use crate::render::target::Target;
use crate::render::write::write;
use crate::render::{RenderedFile, Site, internal_tls};
use crate::source::SourceFile;

/// How long an answer may take.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// Something that decides about requests.
pub trait Decides {
    /// Its name, with its version.
    fn name(&self) -> String;
    /// What it does with a question.
    fn ask(&mut self, question: &Question) -> Answer;
}

/// What came of a question.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The evaluator's decision.
    Decided(Box<Outcome>),
    /// What a server sent, and what reached the stand-in upstream.
    Observed(Box<(Exchange, Vec<Seen>)>),
}

/// The evaluator as an engine.
pub struct Evaluator {
    gateway: Gateway,
}

impl Evaluator {
    /// What a plan means.
    pub fn new(plan: &Plan, file: &SourceFile) -> Evaluator {
        Evaluator { gateway: lower::gateway(plan, file) }
    }

    /// The decision about a question.
    pub fn decide(&self, question: &Question) -> Outcome {
        evaluate(&self.gateway, &question.request)
    }
}

impl Decides for Evaluator {
    fn name(&self) -> String {
        "evaluator".to_owned()
    }

    fn ask(&mut self, question: &Question) -> Answer {
        Answer::Decided(Box::new(self.decide(question)))
    }
}

/// A real server with what `render` wrote, and the stand-in upstream behind it.
pub struct Engine {
    /// Which proxy.
    pub proxy: Proxy,
    /// Its version.
    pub version: String,
    /// The plan that it runs.
    pub moved: Moved,
    /// The stand-ins, one for each server of the policy.
    pub upstreams: Vec<Upstream>,
    /// Where it listens.
    pub addr: SocketAddr,
    /// The folder that it runs in.
    pub folder: Scratch,
    ca: Option<Vec<u8>>,
    running: Running,
    next_id: u64,
}

impl Proxy {
    /// The render target that runs on this machine.
    pub fn target(self) -> &'static str {
        match self {
            Proxy::Nginx => "nginx",
            Proxy::Caddy => "caddy",
            Proxy::Traefik => "traefik-file",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Proxy::Nginx => "nginx",
            Proxy::Caddy => "caddy",
            Proxy::Traefik => "traefik",
        }
    }
}

/// Why a server can't be asked.
#[derive(Debug, Clone)]
pub enum NoEngine {
    /// The target can't enforce the policy (the reasons).
    Gaps(Vec<String>),
    /// Something went wrong.
    Failed(String),
}

impl Engine {
    /// Renders the plan moved aside, starts `program` on it and waits until it answers.
    pub fn start(plan: &Plan, proxy: Proxy, program: &Path, phase: Phase) -> Result<Engine, NoEngine> {
        let failed = NoEngine::Failed;
        let port = server::free_port().map_err(|error| failed(format!("no free port: {error}")))?;
        let count = plan.upstream.servers.len().clamp(1, 8);
        let upstreams = (0..count)
            .map(|_| Upstream::start())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| failed(format!("the stand-in upstream can't listen: {error}")))?;
        let addresses: Vec<SocketAddr> = upstreams.iter().map(Upstream::addr).collect();
        let moved = moved::moved(plan, port, &addresses, phase).map_err(failed)?;
        let folder = Scratch::new().map_err(failed)?;
        let ca = Engine::render(&moved.plan, proxy, folder.path())?;
        let version = server::version(program, proxy).map_err(failed)?;
        let launch = launch(&moved.plan, proxy, program, folder.path());
        let mut running = Running::start(&launch).map_err(failed)?;
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        running.wait_ready(addr, Duration::from_secs(30)).map_err(failed)?;
        let mut engine = Engine { proxy, version, moved, upstreams, addr, folder, ca, running, next_id: 1 };
        engine.wait_loaded().map_err(failed)?;
        Ok(engine)
    }

    /// Writes the target's files; gives the CA to trust, if any.
    fn render(plan: &Plan, proxy: Proxy, folder: &Path) -> Result<Option<Vec<u8>>, NoEngine> {
        let target = Target::find(proxy.target()).ok_or_else(|| NoEngine::Failed("no such target".to_owned()))?;
        let site = Site { command: "llmguard prove".to_owned(), root: false };
        let output = target.render(plan, &site);
        if !output.gaps.is_empty() {
            return Err(NoEngine::Gaps(
                output.gaps.iter().map(|gap| format!("`{}`: {}", gap.key, gap.reason)).collect(),
            ));
        }
        let mut files = output.files;
        let mut ca = None;
        match &plan.listen.tls {
            Tls::Internal => {
                let made = internal_tls::internal(&plan.listen.server_names, None, std::time::SystemTime::now())
                    .map_err(NoEngine::Failed)?;
                ca = Some(made.ca_pem.clone().into_bytes());
                let file = |name: &str, content: &str| RenderedFile {
                    path: format!("{}/tls/{name}", proxy.folder()),
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

    /// Traefik answers 404 to everything until its first configuration is there.
    fn wait_loaded(&mut self) -> Result<(), String> {
        let until = Instant::now() + Duration::from_secs(20);
        let host = self.moved.plan.listen.server_names.first().cloned().unwrap_or_else(|| "localhost".to_owned());
        let mut probe =
            Question::new("is it there", "GET", b"/llmguard-is-it-there", vec![(b"Host".to_vec(), host.into_bytes())]);
        probe.request.client_ip = std::net::IpAddr::from([127, 0, 0, 2]);
        loop {
            let Answer::Observed(observed) = self.ask(&probe) else { return Ok(()) };
            match observed.0.status {
                Some(status) if status != 404 => return Ok(()),
                _ if Instant::now() > until => {
                    return Err(format!(
                        "the server doesn't answer by the policy; its log:\n{}",
                        self.running.log_tail()
                    ));
                }
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// A connection to the server from an address of 127/8.
    pub fn target(&self, question: &Question) -> wire::Target {
        let names = &self.moved.plan.listen.server_names;
        let tls = (self.moved.plan.listen.tls != Tls::Off).then(|| TlsOptions {
            server_name: question.sni.clone().unwrap_or_else(|| names.first().cloned()),
            // Without a name of its own there is none that a certificate could be checked for.
            ca_pem: self.ca.clone().filter(|_| question.sni.is_none() && !names.is_empty()),
            alpn: Vec::new(),
        });
        wire::Target { addr: self.addr, source: Some(question.request.client_ip), tls }
    }

    /// A number for the next request.
    pub fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Everything that reached any stand-in under this number.
    pub fn seen(&self, id: u64) -> Vec<Seen> {
        self.upstreams.iter().flat_map(|upstream| upstream.seen(id)).collect()
    }

    /// The server's own output and its logs, for what must not be in them.
    pub fn logs(&self) -> String {
        let folder = self.folder.path().join(self.proxy.folder()).join("logs");
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let texts = files.chain([self.folder.path().join("server.log")]);
        texts
            .filter_map(|path| std::fs::read(path).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }

    /// The server's process id, for a test that sends it a signal of its own.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Stops the server and gives its status.
    pub fn stop(self) -> Option<std::process::ExitStatus> {
        self.running.stop(Duration::from_secs(10))
    }
}

impl Decides for Engine {
    fn name(&self) -> String {
        format!("{} {}", self.proxy.folder(), self.version)
    }

    fn ask(&mut self, question: &Question) -> Answer {
        let id = self.id();
        let target = self.target(question);
        let exchange = if question.request.version == Version::Http2 {
            let (fields, body) = question.fields(id);
            http2::exchange(&target, &fields, &body, DEADLINE)
        } else {
            let method = String::from_utf8_lossy(&question.request.method);
            wire::exchange(&target, &method, &question.bytes(id), DEADLINE)
        };
        Answer::Observed(Box::new((exchange, self.seen(id))))
    }
}

fn launch(plan: &Plan, proxy: Proxy, program: &Path, folder: &Path) -> Launch {
    let mut args: Vec<OsString> = Vec::new();
    match proxy {
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
    Launch { program: program.to_owned(), args, env, cwd: folder.join(proxy.folder()), log: folder.join("server.log") }
}

/// What nginx is told beside the rendered config, which must not depend on how this machine's nginx was built.
fn nginx_globals(plan: &Plan, program: &Path) -> String {
    let mut globals = "daemon off;".to_owned();
    if is_root() {
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

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
