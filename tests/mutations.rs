//! The proof sees wrong renderings: a server runs a policy, and is judged by others that differ from it in one thing. Each must be
//! answered wrongly at least once.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not there")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use llmguard::diag::Sink;
use llmguard::policy::plan::{Endpoint, ModelPattern, ModelPlace, PathPattern, Plan, Proxy};
use llmguard::policy::variables::Variables;
use llmguard::policy::{env_file, validate};
use llmguard::prove::engine::{Engine, NoEngine};
use llmguard::prove::moved::Phase;
use llmguard::prove::{self, questions};
use llmguard::secret::Secret;
use llmguard::source::SourceFile;

/// A policy of `fixtures/conformance`.
fn load(name: &str) -> (SourceFile, Plan) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/conformance").join(name);
    let file = SourceFile::read(&folder.join("llmguard.toml")).unwrap();
    let env = env_file::parse(&std::fs::read_to_string(folder.join("env")).unwrap());
    let values = env.entries.into_iter().map(|entry| (entry.name, entry.value)).collect();
    let plan = validate::plan(&file, &Variables { process: BTreeMap::new(), file: Some(values) }, &mut Sink::default());
    (file, plan.unwrap())
}

/// What another policy has otherwise: its name, and how a plan becomes it.
type Mutation = (&'static str, fn(&mut Plan));

fn endpoint(method: &str, path: &str) -> Endpoint {
    Endpoint { method: method.to_owned(), path: PathPattern::parse(path), model: ModelPlace::None }
}

fn client<'p>(plan: &'p mut Plan, name: &str) -> &'p mut llmguard::policy::plan::Client {
    plan.clients.iter_mut().find(|client| client.name == name).unwrap()
}

// What a server has beyond the policy under a name that nobody tells (another key, origin, server name or model) can't be found by
// asking: those mutations are not here.

/// Clients with different rights, Basic, server names, browsers, public endpoints.
const TEAM: &[Mutation] = &[
    ("an endpoint more in a set", |plan| plan.access.sets[0].allow.push(endpoint("GET", "/llmguard/more"))),
    ("an endpoint less in a set", |plan| drop(plan.access.sets[0].allow.remove(0))),
    ("the last endpoint less in a set", |plan| drop(plan.access.sets[0].allow.pop())),
    ("another method of an endpoint", |plan| plan.access.sets[0].allow[0].method = "PUT".to_owned()),
    ("an endpoint denied", |plan| {
        let denied = plan.access.sets[0].allow[1].clone();
        plan.access.sets[0].except.push(denied);
    }),
    ("an admin endpoint less", |plan| {
        let ops = client(plan, "ops").set;
        plan.access.sets[ops].allow.retain(|endpoint| endpoint.path.to_string() != "/api/pull");
    }),
    ("a client with the rights of another", |plan| {
        let ops = client(plan, "ops").set;
        client(plan, "reader").set = ops;
    }),
    ("a client's other key", |plan| {
        client(plan, "reader").keys[0].value = Some(Secret::new("another-key-of-the-reader-0000000000000"));
    }),
    ("a client's key in another case", |plan| {
        client(plan, "reader").keys[0].value = Some(Secret::new("FAKE-READER-KEY-0000000000000000000000"));
    }),
    ("a client's second key", |plan| {
        client(plan, "laptop").keys[1].value = Some(Secret::new("another-key-of-the-laptop-0000000000000"));
    }),
    ("a password less", |plan| client(plan, "carol").password = None),
    ("another realm", |plan| plan.auth.realm = "Another".to_owned()),
    ("no Basic", |plan| plan.auth.basic = false),
    ("no bearer", |plan| plan.auth.bearer = false),
    ("no X-API-Key", |plan| plan.auth.x_api_key = false),
    ("no health", |plan| plan.access.health = None),
    ("health elsewhere", |plan| plan.access.health = Some("/healthz".to_owned())),
    ("another origin", |plan| plan.cors.as_mut().unwrap().origins[0] = "https://other.example.com".to_owned()),
    ("an origin more", |plan| plan.cors.as_mut().unwrap().origins.push("https://third.example.com".to_owned())),
    ("any origin", |plan| {
        let cors = plan.cors.as_mut().unwrap();
        cors.origins.clear();
        cors.any = true;
    }),
    ("another CORS header", |plan| plan.cors.as_mut().unwrap().headers.push("X-More".to_owned())),
    ("another CORS method", |plan| plan.cors.as_mut().unwrap().methods.push("PUT".to_owned())),
    ("another CORS age", |plan| plan.cors.as_mut().unwrap().max_age += std::time::Duration::from_secs(1)),
    ("half of the body", |plan| plan.limits.body /= 2),
    ("twice the body", |plan| plan.limits.body *= 2),
    ("a byte less of the body", |plan| plan.limits.body -= 1),
    ("a byte more of the body", |plan| plan.limits.body += 1),
    ("half of the head", |plan| plan.limits.header /= 2),
    ("four times the head", |plan| plan.limits.header *= 4),
    ("a public endpoint less", |plan| drop(plan.access.public.allow.pop())),
    ("a public endpoint more", |plan| plan.access.public.allow.push(endpoint("GET", "/api/ps"))),
    ("another server name", |plan| plan.listen.server_names[0] = "other.example.com".to_owned()),
    ("a server name more", |plan| plan.listen.server_names.push("third.example.com".to_owned())),
    ("any server name", |plan| plan.listen.server_names.clear()),
    ("another upstream host", |plan| plan.upstream.host = "localhost:1".to_owned()),
    ("another upstream key", |plan| {
        plan.upstream.api_key.as_mut().unwrap().value = Some(Secret::new("another-upstream-key-0000000000"));
    }),
    ("no upstream key", |plan| plan.upstream.api_key = None),
    ("only one model", |plan| {
        plan.access.models = vec![ModelPattern { text: "only-this".to_owned(), prefix: false }];
        mark_models(plan);
    }),
    ("everybody", |plan| {
        plan.auth.anonymous = true;
        plan.clients.clear();
        plan.access.sets.truncate(1);
    }),
    ("a trusted proxy", |plan| plan.listen.trusted_proxies.push("127.0.0.0/8".parse().unwrap())),
];

/// Behind proxies, with several servers.
const TRUSTED: &[Mutation] = &[("no trusted proxy", |plan| plan.listen.trusted_proxies.clear())];

/// With a list of models.
const MODELS: &[Mutation] = &[
    ("no list of models", |plan| plan.access.models.clear()),
    ("a prefix instead of a name", |plan| {
        let exact = plan.access.models.iter_mut().find(|model| !model.prefix).unwrap();
        exact.prefix = true;
    }),
    ("a name instead of a prefix", |plan| {
        let prefix = plan.access.models.iter_mut().find(|model| model.prefix).unwrap();
        prefix.prefix = false;
    }),
];

/// The catalogue's places of model names are in the plan whether models are listed or not.
fn mark_models(plan: &Plan) {
    assert!(plan.access.sets[0].allow.iter().any(|endpoint| endpoint.model == ModelPlace::Body));
}

/// Judges one server, on one policy, by others.
fn sees(proxy: Proxy, test: &str, variable: &str) {
    let Some(program) = common::server(test, variable) else { return };
    let mut unseen = Vec::new();
    let mut seen = 0;
    for (name, mutations) in [("team", TEAM), ("trusted", TRUSTED), ("models", MODELS)] {
        let (file, plan) = load(name);
        let mut engine = match Engine::start(&plan, proxy, &program, Phase::Contract) {
            Ok(engine) => engine,
            Err(NoEngine::Gaps(reasons)) => {
                println!("{name}: {} can't enforce it: {reasons:?}", proxy.target());
                continue;
            }
            Err(NoEngine::Failed(reason)) => panic!("{name}: {reason}"),
        };
        let right = engine.moved.plan.clone();
        for (what, mutate) in mutations {
            let mut wrong = right.clone();
            mutate(&mut wrong);
            engine.moved.plan = wrong;
            let list = questions::questions(&engine.moved.plan, &engine.moved.passwords).unwrap();
            // A few at a time, from both ends: the first wrong answer is enough.
            let found =
                list.chunks(20).find_map(|part| prove::ask(&mut engine, &file, part, |_| {}).wrong.into_iter().next());
            match found {
                Some(wrong) => {
                    seen += 1;
                    println!(
                        "{} {name}: {what}: {}: {}",
                        proxy.target(),
                        wrong.question.name,
                        wrong.complaints.join("; ")
                    );
                }
                None => unseen.push(format!("{} {name}: {what}", proxy.target())),
            }
        }
        engine.stop();
    }
    println!("{}: {seen} other policies were told apart", proxy.target());
    assert!(unseen.is_empty(), "not seen:\n{}", unseen.join("\n"));
}

#[test]
fn the_proof_sees_a_wrong_nginx() {
    sees(Proxy::Nginx, "mutations-nginx", "LLMGUARD_NGINX");
}

#[test]
fn the_proof_sees_a_wrong_caddy() {
    sees(Proxy::Caddy, "mutations-caddy", "LLMGUARD_CADDY");
}

#[test]
fn the_proof_sees_a_wrong_traefik() {
    sees(Proxy::Traefik, "mutations-traefik", "LLMGUARD_TRAEFIK");
}
