//! Engines: what answers a question. The evaluator is one; a real server behind rendered files is another.
//!
//! In: a plan and a program. Out: answers. Invariant: a server runs unprivileged where it can, in a folder of its own, on loopback, and is
//! gone with its [`Engine`].

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::http2;
use super::moved::{Moved, Phase};
use super::question::Question;
use super::server::{self, Launch, Running, Scratch};
use super::stage::{Form, Stage};
use super::upstream::{Seen, Upstream};
use super::wire::{self, Exchange, TlsOptions};
use crate::gateway::Gateway;
use crate::gateway::eval::{Outcome, evaluate};
use crate::http::Version;
use crate::lower;
use crate::policy::plan::{Plan, Proxy, Tls};
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
    /// What it runs.
    pub form: &'static Form,
    /// The server's version.
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
        Form::of(self).target
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
        let stage = Stage::new(plan, Form::of(proxy), phase)?;
        let launch = stage.launch(program);
        Engine::run(stage, &launch)
    }

    /// Starts a server on what was rendered and waits until it answers.
    pub fn run(stage: Stage, launch: &Launch) -> Result<Engine, NoEngine> {
        let failed = NoEngine::Failed;
        let Stage { form, moved, upstreams, folder, ca } = stage;
        let version = server::version(&launch.program, form.proxy).map_err(failed)?;
        let mut running = Running::start(launch).map_err(failed)?;
        let addr = SocketAddr::new(moved.plan.listen.address, moved.plan.listen.port);
        running.wait_ready(addr, Duration::from_secs(30)).map_err(failed)?;
        let mut engine = Engine { form, version, moved, upstreams, addr, folder, ca, running, next_id: 1 };
        engine.wait_loaded().map_err(failed)?;
        Ok(engine)
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
        let server_name = question.request.server_name();
        let tls = (self.moved.plan.listen.tls != Tls::Off).then(|| TlsOptions {
            // Without a name of its own there is none that a certificate could be checked for.
            ca_pem: self.ca.clone().filter(|_| server_name.as_ref().is_some_and(|name| names.contains(name))),
            server_name,
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
        let folder = self.folder.path().join(self.form.folder).join("logs");
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
        format!("{} {}", self.form.folder, self.version)
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
