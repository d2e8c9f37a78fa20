//! Random policies without errors: each is accepted, rendered twice alike for every target, and taken by the real servers; no value leaves
//! its place in a rendered file; and what a server then does is what the policy means.
//!
//! `LLMGUARD_CASES` (default 1) multiplies the number of policies, `LLMGUARD_SEED` (default 0) chooses others.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not there")]

mod common;
#[path = "common/policies.rs"]
mod policies;
#[path = "common/reading.rs"]
mod reading;
#[path = "common/texts.rs"]
mod texts;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use llmguard::diag::Sink;
use llmguard::policy::plan::{HashAlgorithm, KeyOrigin, Log, LogPath, Plan, Proxy, Tls};
use llmguard::policy::rate::Rate;
use llmguard::policy::validate;
use llmguard::prove::engine::{Engine, NoEngine};
use llmguard::prove::judge::shown;
use llmguard::prove::moved::Phase;
use llmguard::prove::{self, moved, questions, server};
use llmguard::render::Output;
use llmguard::render::target::TARGETS;
use llmguard::source::SourceFile;
use policies::Sample;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::Value;
use tempfile::TempDir;

/// The number in a variable of the environment.
fn number(variable: &str, default: u32) -> u32 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

/// Runs a check on `cases` random policies, the same ones in every run. A failure is made small and shown.
fn random_policies(cases: u32, check: impl Fn(&Case) -> Result<(), String>) {
    let config = Config {
        cases: cases * number("LLMGUARD_CASES", 1),
        max_shrink_iters: number("LLMGUARD_SHRINK", 100),
        failure_persistence: None,
        ..Config::default()
    };
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number("LLMGUARD_SEED", 0).to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let outcome = runner.run(&policies::policy(), |sample| {
        let case = Case::new(&sample).map_err(TestCaseError::fail)?;
        check(&case).map_err(|reason| TestCaseError::fail(format!("{reason}\n{}", sample.text)))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// A policy that was accepted, in a folder with the files that it names.
struct Case {
    sample: Sample,
    file: SourceFile,
    plan: Plan,
    dir: TempDir,
}

impl Case {
    fn new(sample: &Sample) -> Result<Case, String> {
        let dir = tempfile::tempdir().unwrap();
        sample.files(dir.path());
        let file = SourceFile::new("llmguard.toml", dir.path().join("llmguard.toml"), sample.text.as_str());
        let mut sink = Sink::default();
        let plan = validate::plan(&file, &sample.variables(), &mut sink);
        let told = || sink.sorted().iter().map(|problem| problem.render(false)).collect::<String>();
        let plan = plan.ok_or_else(|| format!("refused:\n{}", told()))?;
        Ok(Case { sample: sample.clone(), file, plan, dir })
    }

    fn out(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }
}

/// Whether what was rendered can be used at all: the rest has its reasons.
fn usable(output: &Output) -> Result<bool, String> {
    for gap in &output.gaps {
        if gap.reason.is_empty() || gap.instead.is_empty() {
            return Err(format!("a gap without a reason or a remedy: {gap:?}"));
        }
        if gap.reason.contains("template") || gap.reason.contains("undefined") {
            return Err(format!("a gap that is no fault of the policy: {gap:?}"));
        }
    }
    Ok(output.gaps.iter().all(|gap| gap.acceptable))
}

/// The same policy with every text that the user chose replaced by a harmless one.
fn harmless(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    plan.policy_file = "p.toml".to_owned();
    plan.auth.realm = "r".to_owned();
    plan.upstream.host = "h:1".to_owned();
    if let Some(cors) = &mut plan.cors {
        cors.origins = (0..cors.origins.len()).map(|at| format!("https://o{at}.example.com")).collect();
        cors.headers = (0..cors.headers.len()).map(|at| format!("X-{at}")).collect();
        cors.methods = (0..cors.methods.len()).map(|_| "M".to_owned()).collect();
    }
    if let Some(health) = &mut plan.access.health {
        "/h".clone_into(health);
    }
    if let Log::Json(LogPath::File(path)) = &mut plan.log {
        let folder = if path.contains('/') { "logs/" } else { "" };
        *path = format!("{folder}x.log");
    }
    plan
}

/// What must stand in one piece in what a server reads.
fn wanted(plan: &Plan) -> Vec<String> {
    let mut out = vec![plan.upstream.host.clone()];
    if !plan.auth.anonymous {
        out.push(plan.auth.realm.clone());
    }
    out.extend(plan.cors.iter().flat_map(|cors| cors.origins.clone().into_iter().chain([cors.headers.join(", ")])));
    out
}

/// Texts of a policy that are in none of the strings that a server read. Regular expressions put `\` before signs.
fn lost(plan: &Plan, strings: &[String]) -> Result<(), String> {
    let plain: Vec<String> = strings.iter().map(|text| text.replace('\\', "")).collect();
    match wanted(plan).iter().find(|text| !plain.iter().any(|string| string.contains(text.as_str()))) {
        Some(text) => Err(format!("`{text}` is nowhere in one piece")),
        None => Ok(()),
    }
}

fn nginx_words(output: &Output) -> Vec<Vec<String>> {
    let conf = output.files.iter().filter(|file| file.path.ends_with(".conf") || file.path.ends_with(".map"));
    conf.flat_map(|file| texts::nginx_directives(&file.content)).collect()
}

#[test]
fn every_target_renders_every_policy_the_same_way_twice() {
    random_policies(150, |case| {
        for target in TARGETS {
            let (one, two) = (reading::render(target.name, &case.plan), reading::render(target.name, &case.plan));
            if one.files != two.files || one.folders != two.folders || one.notes != two.notes || one.gaps != two.gaps {
                return Err(format!("{}: two runs differ", target.name));
            }
            if !usable(&one)? {
                continue;
            }
            let mut paths: Vec<&str> = one.files.iter().map(|file| file.path.as_str()).collect();
            paths.sort_unstable();
            if paths.is_empty() || paths.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(format!("{}: files {paths:?}", target.name));
            }
            for (name, value) in &case.sample.values {
                let open = one.files.iter().find(|file| !file.secret && file.content.contains(value.as_str()));
                // A hash may also stand in the policy itself.
                if let Some(file) = open.filter(|_| !name.starts_with("HASH")) {
                    return Err(format!("{}: the value of {name} stands in {}", target.name, file.path));
                }
            }
            if target.name == "nginx" {
                let words = nginx_words(&one);
                lost(&case.plan, &words.iter().flatten().cloned().collect::<Vec<_>>())?;
                let shape = |words: Vec<Vec<String>>| -> Vec<(String, usize)> {
                    // A map's line begins with the user's text.
                    words
                        .into_iter()
                        .map(|line| (if line.len() == 2 { String::new() } else { line[0].clone() }, line.len()))
                        .collect()
                };
                let plain = nginx_words(&reading::render(target.name, &harmless(&case.plan)));
                if shape(words) != shape(plain) {
                    return Err("nginx: the texts of the policy change the directives".to_owned());
                }
            }
        }
        Ok(())
    });
}

/// Random policies for one target, written where its server can read them.
fn loaded(
    target: &str,
    cases: u32,
    read: impl Fn(&Path, &Plan, &BTreeMap<String, String>) -> Result<Option<Value>, String>,
) {
    let (start, count) = (Instant::now(), RefCell::new((0, 0)));
    random_policies(cases, |case| {
        let plan = reading::aside(&case.plan, server::free_port().unwrap());
        let output = reading::render(target, &plan);
        count.borrow_mut().0 += 1;
        if !usable(&output)? {
            return Ok(());
        }
        count.borrow_mut().1 += 1;
        let dir = case.out("one");
        reading::put(&dir, &plan, &output);
        let env: BTreeMap<String, String> = moved::environment(&plan).into_iter().collect();
        let Some(one) = read(&dir, &plan, &env)? else { return Ok(()) };
        let mut strings = Vec::new();
        texts::strings(&one, &mut strings);
        lost(&plan, &strings)?;
        if target == "traefik-file" {
            return Ok(());
        }
        let plain = harmless(&plan);
        let dir = case.out("two");
        reading::put(&dir, &plain, &reading::render(target, &plain));
        let two = read(&dir, &plain, &env)?.unwrap_or_default();
        match texts::difference(&one, &two) {
            Some(place) => Err(format!("the texts of the policy change what the server reads: {place}")),
            None => Ok(()),
        }
    });
    let (all, used) = *count.borrow();
    println!("{target}: {used} of {all} policies loaded in {:?}", start.elapsed());
    assert!(used * 4 >= all, "{target}: only {used} of {all} policies could be tried");
}

#[test]
fn nginx_loads_every_policy() {
    for variable in ["LLMGUARD_NGINX_OLD", "LLMGUARD_NGINX"] {
        let Some(program) = common::server("roundtrip-nginx", variable) else { continue };
        loaded("nginx", 40, |dir, plan, _| reading::nginx(&program, dir, plan).map(|()| None));
    }
}

#[test]
fn caddy_loads_every_policy() {
    let Some(program) = common::server("roundtrip-caddy", "LLMGUARD_CADDY") else { return };
    loaded("caddy", 16, |dir, _, env| reading::caddy(&program, dir, env).map(Some));
}

#[test]
fn traefik_loads_every_policy() {
    let Some(program) = common::server("roundtrip-traefik", "LLMGUARD_TRAEFIK") else { return };
    loaded("traefik-file", 12, |dir, _, env| reading::traefik(&program, dir, env).map(Some));
}

#[test]
fn compose_loads_every_project() {
    let Some(program) = common::server("roundtrip-compose", "LLMGUARD_COMPOSE") else { return };
    random_policies(24, |case| {
        let output = reading::render("compose", &case.plan);
        let env: BTreeMap<String, String> = moved::environment(&case.plan).into_iter().collect();
        if usable(&output)? {
            let dir = case.out("compose-project");
            reading::put(&dir, &case.plan, &output);
            reading::compose(&program, &dir.join("compose"), &["docker-compose.yml"], &env)?;
        }
        let output = reading::render("traefik", &case.plan);
        if usable(&output)? {
            let dir = case.out("labels");
            reading::put(&dir, &case.plan, &output);
            let dir = dir.join("traefik-labels");
            fs::write(dir.join("base.yml"), "services:\n  traefik:\n    image: traefik:v3.7.15\n").unwrap();
            let project = reading::compose(&program, &dir, &["base.yml", "labels.yml"], &env)?;
            let labels = project["services"]["traefik"]["labels"].as_object().cloned().unwrap_or_default();
            if labels.is_empty() || labels.keys().any(|label| !label.starts_with("traefik.")) {
                return Err(format!("labels that are none of Traefik's: {labels:?}"));
            }
        }
        Ok(())
    });
}

/// The policy with what a proof can wait for: times and sizes that requests fit into.
fn provable(plan: &Plan, proxy: Proxy) -> Plan {
    let mut plan = plan.clone();
    plan.timeouts.connect = Duration::from_secs(5);
    plan.timeouts.read = Duration::from_secs(20);
    plan.timeouts.send = Duration::from_secs(20);
    plan.timeouts.client_header = Duration::from_secs(5);
    plan.timeouts.client_body = Duration::from_secs(5);
    plan.limits.body = plan.limits.body.min(64 << 10);
    plan.limits.header = plan.limits.header.min(16 << 10);
    // The gateway is asked many times from one address until it is there, and nginx rounds what is rarer than once a minute.
    plan.limits.rate = plan.limits.rate.map(|_| Rate { requests: 600, per: Duration::from_secs(60), burst: 600 });
    plan.limits.connections = plan.limits.connections.map(|count| count.min(1000));
    // The certificate of the files is for another name, which Traefik would refuse as it should.
    if plan.listen.tls != Tls::Off && !plan.listen.server_names.is_empty() {
        plan.listen.tls = Tls::Internal;
    }
    // What one of the servers can't do, so that each policy can be asked everywhere.
    if proxy == Proxy::Traefik {
        plan.access.models.clear();
    }
    if proxy == Proxy::Caddy {
        plan.limits.connections = None;
    }
    let keys = plan.clients.iter_mut().flat_map(|client| &mut client.keys);
    for (at, key) in keys.enumerate().filter(|(_, key)| matches!(key.origin, KeyOrigin::File(_))) {
        key.origin = KeyOrigin::Env(format!("FROM_FILE_{at}"));
    }
    for password in plan.clients.iter_mut().filter_map(|client| client.password.as_mut()) {
        password.algorithm = Some(HashAlgorithm::Bcrypt { cost: 4 });
    }
    plan
}

/// Random policies on one server: a sample of the proof's questions, and no wrong answer.
fn proven(proxy: Proxy, variable: &str, policies: u32) {
    let Some(program) = common::server("roundtrip-proof", variable) else { return };
    let (start, asked, tried) = (Instant::now(), RefCell::new(0), RefCell::new(0));
    random_policies(policies, |case| {
        let plan = provable(&case.plan, proxy);
        let mut engine = match Engine::start(&plan, proxy, &program, Phase::Contract) {
            Ok(engine) => engine,
            Err(NoEngine::Gaps(gaps)) => {
                println!("{}: {gaps:?}", proxy.target());
                return Ok(());
            }
            Err(NoEngine::Failed(reason)) => return Err(reason),
        };
        let list = questions::questions(&engine.moved.plan, &engine.moved.passwords)?;
        let step = (list.len() / 120).max(1);
        let sample: Vec<_> = list.into_iter().skip(case.sample.text.len() % step).step_by(step).collect();
        let report = prove::ask(&mut engine, &case.file, &sample, |_| {});
        engine.stop();
        *asked.borrow_mut() += report.asked;
        *tried.borrow_mut() += 1;
        let wrong: Vec<String> = report
            .wrong
            .iter()
            .map(|wrong| {
                let request = &wrong.question.request;
                let headers: Vec<String> =
                    request.headers.iter().map(|(name, value)| format!("{}: {}", shown(name), shown(value))).collect();
                let (name, verdict) = (&wrong.question.name, &wrong.expected.verdict);
                format!("{}: {name}: {headers:?}: policy {verdict:?}: {:?}", report.server, wrong.complaints)
            })
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    });
    let (asked, tried) = (*asked.borrow(), *tried.borrow());
    println!("{}: {asked} requests about {tried} of {policies} policies in {:?}", proxy.target(), start.elapsed());
    assert!(tried * 2 >= policies && asked >= 100, "too few could be asked");
}

#[test]
fn nginx_answers_by_random_policies() {
    proven(Proxy::Nginx, "LLMGUARD_NGINX_OLD", 8);
    proven(Proxy::Nginx, "LLMGUARD_NGINX", 8);
}

#[test]
fn caddy_answers_by_random_policies() {
    proven(Proxy::Caddy, "LLMGUARD_CADDY", 10);
}

#[test]
fn traefik_answers_by_random_policies() {
    proven(Proxy::Traefik, "LLMGUARD_TRAEFIK", 8);
}
