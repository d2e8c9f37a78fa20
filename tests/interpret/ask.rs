//! What `render` wrote, read back and asked.
//!
//! In: a plan and a [`Way`] of writing it down. Out: what came of asking the read files everything that `prove` would ask a server, and
//! what meets and just misses each of their rules. Invariant: no socket is opened and no server is started.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use llmguard::analysis::boundary::boundaries;
use llmguard::diag::{Severity, Sink};
use llmguard::dialect::{self, Options};
use llmguard::gateway::Gateway;
use llmguard::gateway::eval::{Outcome, Verdict, evaluate};
use llmguard::http::Request;
use llmguard::lower;
use llmguard::policy::plan::{Plan, Proxy};
use llmguard::project::{self, System};
use llmguard::prove::config::requests::requests;
use llmguard::prove::differences::{self, Case};
use llmguard::prove::engine::{Evaluator, NoEngine};
use llmguard::prove::judge::{self, Observed, shown};
use llmguard::prove::moved::{self, Moved, Phase};
use llmguard::prove::question::Question;
use llmguard::prove::questions;
use llmguard::prove::stage::{Form, Stage};
use llmguard::source::SourceFile;

/// So many requests are made of what a gateway tells apart.
const BOUNDARIES: usize = 100;

/// A target as it is read back.
pub struct Way {
    /// The target and the server that it is for.
    pub form: Form,
    /// The files to name, in its folder.
    pub main: &'static [&'static str],
    /// What the user has beside the rendered files.
    pub own: fn(&Plan, &Path),
}

const fn way(target: &'static str, proxy: Proxy, folder: &'static str, main: &'static [&'static str]) -> Way {
    Way { form: Form { target, proxy, folder, one_bucket: true }, main, own: |_, _| {} }
}

pub const NGINX: Way = way("nginx", Proxy::Nginx, "nginx", &["nginx.conf"]);
pub const CADDY: Way = way("caddy", Proxy::Caddy, "caddy", &["Caddyfile"]);
pub const TRAEFIK: Way = way("traefik-file", Proxy::Traefik, "traefik", &["traefik.yml"]);
/// The labels are laid over the compose file of whoever runs Traefik.
pub const LABELS: Way =
    Way { own: traefik_project, ..way("traefik", Proxy::Traefik, "traefik-labels", &["base.yml", "labels.yml"]) };
pub const COMPOSE_NGINX: Way = way("compose", Proxy::Nginx, "compose", &[""]);
pub const COMPOSE_CADDY: Way = way("compose", Proxy::Caddy, "compose", &[""]);
pub const COMPOSE_TRAEFIK: Way = way("compose", Proxy::Traefik, "compose", &[""]);

fn traefik_project(_: &Plan, folder: &Path) {
    let text = "services:\n  traefik:\n    image: traefik:v3.7.15\n    network_mode: host\n    volumes:\n      \
        - ./traefik.yml:/etc/traefik/traefik.yml:ro\n      - /var/run/docker.sock:/var/run/docker.sock:ro\n";
    std::fs::write(folder.join("base.yml"), text).unwrap();
}

/// Rendered files, read back.
pub struct Read {
    pub stage: Stage,
    pub systems: Vec<System>,
    /// What the reader takes for an error.
    pub errors: Vec<String>,
}

/// What came of asking.
#[derive(Default)]
pub struct Told {
    pub asked: usize,
    pub unknown: BTreeMap<String, usize>,
    pub forced: BTreeMap<&'static str, usize>,
    pub wrong: Vec<String>,
}

/// Renders a plan and reads what was written. `None`: the target can't enforce the policy, for these reasons.
pub fn read(plan: &Plan, way: &'static Way) -> Result<Read, Vec<String>> {
    let failed = |reason: String| -> ! { panic!("{}: {reason}", way.form.target) };
    let count = plan.upstream.servers.len().clamp(1, 8);
    let addresses: Vec<SocketAddr> =
        (0..count).map(|at| SocketAddr::from(([127, 0, 0, 1], 9000 + at as u16))).collect();
    let Moved { mut plan, passwords } =
        moved::moved(plan, plan.listen.port, &addresses, Phase::Contract).unwrap_or_else(|reason| failed(reason));
    if way.form.target == "compose" {
        // From a container loopback is the container itself.
        plan.upstream.servers.iter_mut().for_each(|server| server.host = "10.9.8.7".to_owned());
        plan.deploy.proxy = way.form.proxy;
    }
    let stage = match Stage::of(Moved { plan, passwords }, Vec::new(), &way.form) {
        Ok(stage) => stage,
        Err(NoEngine::Gaps(gaps)) => return Err(gaps),
        Err(NoEngine::Failed(reason)) => failed(reason),
    };
    (way.own)(&stage.moved.plan, &stage.cwd());
    let values = moved::environment(&stage.moved.plan).into_iter().collect();
    let options = Options {
        variables: dialect::Variables { values, complete: true, ..Default::default() },
        ..Options::default()
    };
    let mut sink = Sink::default();
    let paths: Vec<PathBuf> = way.main.iter().map(|name| stage.cwd().join(name)).collect();
    let systems = project::load(&paths, None, &options, &mut sink);
    let errors = sink.list.iter().filter(|problem| problem.severity == Severity::Error);
    let errors = errors.map(|problem| problem.render(false)).collect();
    Ok(Read { stage, systems, errors })
}

/// The port of the host that leads to the policy's listener.
pub fn port(plan: &Plan, way: &Way) -> u16 {
    let published = plan.deploy.publish.as_deref().filter(|_| way.form.target == "compose");
    let outside = |text: &str| text.rsplit(':').nth(1).and_then(|port| port.parse().ok());
    published.and_then(outside).unwrap_or(plan.listen.port)
}

/// Asks what was read; of all questions each `step`th, beginning with `first`.
pub fn ask(read: &Read, file: &SourceFile, way: &Way, first: usize, most: usize) -> Told {
    let plan = &read.stage.moved.plan;
    let mut told = Told { wrong: read.errors.clone(), ..Told::default() };
    let port = port(plan, way);
    let listening = |system: &&System| system.gateway.listeners.iter().any(|listener| listener.port == port);
    let Some(system) = read.systems.iter().find(listening) else {
        let listeners = read.systems.iter().flat_map(|system| &system.gateway.listeners);
        let ports: Vec<_> = listeners.map(|listener| (listener.address, listener.port)).collect();
        told.wrong.push(format!("nothing listens on port {port}, only on {ports:?}"));
        return told;
    };
    told.wrong.extend(beside(read, way, port));
    let evaluator = Evaluator::new(plan, file);
    let list = everything(read, plan, file, &system.gateway);
    let step = list.len().div_ceil(most).max(1);
    for question in list.into_iter().skip(first % step).step_by(step) {
        if !differences::speaks(plan, question.request.version) {
            continue;
        }
        let question = whole(question, plan);
        told.asked += 1;
        let expected = evaluator.decide(&question);
        let inside = Request { port: Some(port), ..question.request.clone() };
        let outcome = evaluate(&system.gateway, &inside);
        let Some(observed) = Observed::decided(&outcome, &question) else {
            *told.unknown.entry(format!("{:?}", outcome.verdict)).or_default() += 1;
            continue;
        };
        let mut complaints = judge::complaints(plan, &question, &expected, &observed);
        complaints.extend(someone_else(&expected, &outcome));
        if complaints.is_empty() {
            continue;
        }
        let case = Case {
            target: way.form.target,
            plan,
            evaluator: &evaluator,
            question: &question,
            expected: &expected,
            observed: &observed,
            complaints: &complaints,
        };
        match differences::explain(way.form.proxy, &case) {
            Some(difference) => *told.forced.entry(difference.id).or_default() += 1,
            None => told.wrong.push(format!(
                "{}: {} {} {:?}: policy {:?}: {}",
                question.name,
                shown(&question.request.method),
                shown(&question.request.target),
                headers(&question.request),
                expected.verdict,
                complaints.join("; ")
            )),
        }
    }
    told
}

/// What can be reached beside the policy's own port, in a project.
fn beside(read: &Read, way: &Way, port: u16) -> Option<String> {
    let listeners = read.systems.iter().flat_map(|system| &system.gateway.listeners);
    let mut others = listeners.filter(|listener| way.form.target == "compose" && listener.port != port);
    others.next().map(|other| format!("{}:{} answers as well", other.address, other.port))
}

/// The questions of the proof, and what meets and just misses each rule of the policy and of the files.
fn everything(read: &Read, plan: &Plan, file: &SourceFile, gateway: &Gateway) -> Vec<Question> {
    let mut list = questions::questions(plan, &read.stage.moved.passwords).unwrap();
    // Nothing is sent here, so that the largest limit can be asked for as well.
    let limit = plan.limits.body;
    let good = list.iter().find(|question| question.name.starts_with("1 bytes:")).cloned();
    list.extend(good.into_iter().flat_map(|good| [limit, limit + 1].map(|length| good.clone().sized(length, false))));
    for (name, gateway) in [("policy's rule", &lower::gateway(plan, file)), ("file's rule", gateway)] {
        for mut request in requests(&boundaries(gateway), BOUNDARIES) {
            request.client_ip = IpAddr::from([127, 1, 0, 1]);
            list.push(Question { request, ..Question::new(name, "GET", b"/", Vec::new()) });
        }
    }
    list
}

/// The question with its body at hand, where a policy looks into bodies.
fn whole(question: Question, plan: &Plan) -> Question {
    let length = question.request.body_bytes;
    match question.request.body {
        None if length > 0 && length < 16 << 20 && !plan.access.models.is_empty() => {
            let chunked = question.chunked;
            question.body(vec![b'x'; length as usize], chunked)
        }
        _ => question,
    }
}

/// Who may pass is the same for both, where the files tell who it is.
fn someone_else(expected: &Outcome, outcome: &Outcome) -> Option<String> {
    let Verdict::Proxied { .. } = outcome.verdict else { return None };
    let (wanted, given) = (expected.client.as_ref(), outcome.client.as_ref()?);
    (wanted != Some(given)).then(|| format!("the client is `{given}` instead of {wanted:?}"))
}

/// A request's headers, long values cut.
fn headers(request: &Request) -> Vec<String> {
    request.headers.iter().map(|(name, value)| format!("{}: {}", shown(name), shown(value))).collect()
}
