//! Random policies.
//!
//! In: a way of writing a policy down. Out: nothing, or every answer that isn't the policy's, with the policies. Invariant: the same policies
//! in every run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use llmguard::diag::Sink;
use llmguard::policy::plan::{HashAlgorithm, KeyOrigin, Plan, Proxy, Tls};
use llmguard::policy::validate;
use llmguard::source::SourceFile;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::ask::{self, Way};
use crate::policies;

/// So many wrong answers are shown of a policy.
const SHOWN: usize = 8;

/// The number in a variable of the environment.
fn number(variable: &str, default: u32) -> u32 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

/// The policy without what this target can't do, so that each can be asked everywhere.
fn possible(plan: &Plan, way: &Way) -> Plan {
    let mut plan = plan.clone();
    let limits = &mut plan.limits;
    match way.form.proxy {
        Proxy::Nginx => limits.connections = limits.connections.map(|count| count.min(0xffff)),
        Proxy::Caddy => {
            limits.connections = None;
            limits.rate.iter_mut().for_each(|rate| rate.burst = rate.burst.min(100_000));
        }
        Proxy::Traefik => {
            plan.access.models.clear();
            let keys = plan.clients.iter_mut().flat_map(|client| &mut client.keys).chain(&mut plan.upstream.api_key);
            for (at, key) in keys.enumerate().filter(|(_, key)| matches!(key.origin, KeyOrigin::File(_))) {
                key.origin = KeyOrigin::Env(format!("FROM_FILE_{at}"));
            }
        }
    }
    for password in plan.clients.iter_mut().filter_map(|client| client.password.as_mut()) {
        password.algorithm = Some(HashAlgorithm::Bcrypt { cost: 4 });
    }
    match way.form.target {
        "traefik" => {
            plan.listen.tls = Tls::Off;
            plan.upstream.servers.truncate(1);
            plan.cors.iter_mut().for_each(|cors| cors.origins.truncate(1));
        }
        // A proxy in another's image is not what is asked here.
        "compose" => {
            plan.deploy.proxy_image = None;
            plan.upstream.servers_given |= plan.upstream.kind != "ollama";
        }
        _ => {}
    }
    plan
}

/// Asks about random policies.
fn random_policies(way: &'static Way, cases: u32, questions: usize) {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number("LLMGUARD_SEED", 0).to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let (start, cases) = (Instant::now(), cases * number("LLMGUARD_CASES", 1));
    let (mut tried, mut asked, mut wrong) = (0, 0, Vec::new());
    let mut gaps: BTreeMap<String, u32> = BTreeMap::new();
    let mut forced: BTreeSet<&str> = BTreeSet::new();
    for at in 0..cases {
        let sample = policies::policy().new_tree(&mut runner).unwrap().current();
        let dir = tempfile::tempdir().unwrap();
        sample.files(dir.path());
        let file = SourceFile::new("llmguard.toml", dir.path().join("llmguard.toml"), sample.text.as_str());
        let plan = validate::plan(&file, &sample.variables(), &mut Sink::default()).unwrap();
        let plan = possible(&plan, way);
        let read = match ask::read(&plan, way) {
            Ok(read) => read,
            Err(reasons) => {
                reasons.into_iter().for_each(|reason| *gaps.entry(reason).or_default() += 1);
                continue;
            }
        };
        tried += 1;
        let mut told = ask::ask(&read, &file, way, at as usize, questions);
        asked += told.asked;
        forced.extend(told.forced.keys());
        told.wrong.extend(told.unknown.iter().map(|(why, count)| format!("{count} unknown: {why}")));
        if !told.wrong.is_empty() {
            let count = told.wrong.len();
            told.wrong.truncate(SHOWN);
            wrong.push(format!("policy {at}: {count}:\n{}\n{}", told.wrong.join("\n"), sample.text));
        }
    }
    println!("{}: {asked} questions about {tried} of {cases} policies in {:?}", way.form.target, start.elapsed());
    println!("forced: {forced:?}\ngaps: {gaps:#?}");
    assert!(wrong.is_empty(), "{} policies are not read back:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried * 4 >= cases, "only {tried} of {cases} policies could be asked");
}

#[test]
fn random_policies_as_nginx_files() {
    random_policies(&ask::NGINX, 6, 300);
}

#[test]
fn random_policies_as_a_caddyfile() {
    random_policies(&ask::CADDY, 6, 300);
}

#[test]
fn random_policies_as_traefik_files() {
    random_policies(&ask::TRAEFIK, 6, 300);
}

#[test]
fn random_policies_as_labels() {
    random_policies(&ask::LABELS, 6, 300);
}

#[test]
fn random_policies_as_compose_projects() {
    for way in [&ask::COMPOSE_NGINX, &ask::COMPOSE_CADDY, &ask::COMPOSE_TRAEFIK] {
        random_policies(way, 3, 300);
    }
}
