//! Reading what `render` wrote gives the policy back: for every policy of `fixtures/conformance` and for random ones, every question that
//! `prove` would ask gets the policy's answer from the interpreted files, for each target that this program can read.
//!
//! No server is started: that the servers answer so as well is what tests/conformance.rs shows. `LLMGUARD_CASES` (default 1) multiplies
//! the number of random policies.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not there")]

#[path = "common/policies.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod policies;

use std::collections::BTreeMap;
use std::path::Path;

use llmguard::diag::{Severity, Sink};
use llmguard::dialect::{self, Options};
use llmguard::gateway::eval::evaluate;
use llmguard::policy::plan::{Plan, Proxy};
use llmguard::policy::variables::Variables;
use llmguard::policy::{env_file, validate};
use llmguard::project;
use llmguard::prove::differences::{self, Case};
use llmguard::prove::engine::{Evaluator, NoEngine};
use llmguard::prove::judge::{self, Observed, shown};
use llmguard::prove::moved::{self, Phase};
use llmguard::prove::questions;
use llmguard::prove::stage::{Form, Stage};
use llmguard::source::SourceFile;

/// What came of asking the files of one target.
#[derive(Default)]
struct Told {
    asked: usize,
    unknown: BTreeMap<String, usize>,
    forced: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

/// Asks what `render` wrote for a target everything that `prove` would ask the server. `None`: the target can't enforce the policy.
fn ask(plan: &Plan, file: &SourceFile, proxy: Proxy) -> Option<Told> {
    let form = Form::of(proxy);
    let stage = match Stage::new(plan, form, Phase::Contract) {
        Ok(stage) => stage,
        Err(NoEngine::Gaps(_)) => return None,
        Err(NoEngine::Failed(reason)) => panic!("{}: {reason}", form.target),
    };
    let main = match proxy {
        Proxy::Nginx => "nginx.conf",
        Proxy::Caddy => "Caddyfile",
        Proxy::Traefik => "traefik.yml",
    };
    let values = moved::environment(&stage.moved.plan).into_iter().collect();
    let options = Options { variables: dialect::Variables { values, complete: true }, ..Options::default() };
    let mut sink = Sink::default();
    let systems = project::load(&[stage.cwd().join(main)], None, &options, &mut sink);
    let mut told = Told::default();
    for problem in sink.list.iter().filter(|problem| problem.severity == Severity::Error) {
        told.wrong.push(problem.render(false));
    }
    let [system] = systems.as_slice() else { panic!("{}: {} systems: {:?}", form.target, systems.len(), told.wrong) };
    let plan = &stage.moved.plan;
    let evaluator = Evaluator::new(plan, file);
    for question in questions::questions(plan, &stage.moved.passwords).unwrap() {
        if !differences::speaks(plan, question.request.version) {
            continue;
        }
        told.asked += 1;
        let expected = evaluator.decide(&question);
        let outcome = evaluate(&system.gateway, &question.request);
        let Some(observed) = Observed::decided(&outcome, &question) else {
            *told.unknown.entry(format!("{:?}", outcome.verdict)).or_default() += 1;
            continue;
        };
        let complaints = judge::complaints(plan, &question, &expected, &observed);
        if complaints.is_empty() {
            continue;
        }
        let case = Case {
            target: form.target,
            plan,
            evaluator: &evaluator,
            question: &question,
            expected: &expected,
            observed: &observed,
            complaints: &complaints,
        };
        match differences::explain(proxy, &case) {
            Some(difference) => *told.forced.entry(difference.id).or_default() += 1,
            None => told.wrong.push(format!(
                "{}: {} {} {:?}: policy {:?}: {}",
                question.name,
                shown(&question.request.method),
                shown(&question.request.target),
                question.request.headers.iter().map(|(name, _)| shown(name)).collect::<Vec<_>>(),
                expected.verdict,
                complaints.join("; ")
            )),
        }
    }
    Some(told)
}

fn every_policy(proxy: Proxy) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/conformance");
    let mut folders: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("llmguard.toml").is_file());
    folders.sort();
    let mut wrong = Vec::new();
    let mut judged = 0;
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let file = SourceFile::read(&folder.join("llmguard.toml")).unwrap();
        let env = env_file::parse(&std::fs::read_to_string(folder.join("env")).unwrap_or_default());
        let values = env.entries.into_iter().map(|entry| (entry.name, entry.value)).collect();
        let variables = Variables { process: BTreeMap::new(), file: Some(values) };
        let plan = validate::plan(&file, &variables, &mut Sink::default()).unwrap();
        let Some(told) = ask(&plan, &file, proxy) else { continue };
        println!("{name}: {} questions, forced {:?}, unknown {:?}", told.asked, told.forced, told.unknown);
        judged += told.asked;
        wrong.extend(told.wrong.into_iter().map(|wrong| format!("{name}: {wrong}")));
        if !told.unknown.is_empty() {
            wrong.push(format!("{name}: unknown: {:?}", told.unknown));
        }
    }
    assert!(judged > 4000, "only {judged} questions");
    assert!(wrong.is_empty(), "{} answers are not the policy's:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn nginx_files_mean_what_the_policy_says() {
    every_policy(Proxy::Nginx);
}

#[test]
fn a_caddyfile_means_what_the_policy_says() {
    every_policy(Proxy::Caddy);
}

#[test]
fn traefik_files_mean_what_the_policy_says() {
    every_policy(Proxy::Traefik);
}
