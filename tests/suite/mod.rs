//! What is asked of a server, whatever it is: every policy of `fixtures/conformance` by `prove`'s own questions and by the requests whose
//! answers are written by hand, its streams, its logs and its limits. A new policy is a new folder.
//!
//! In: the form that is tested and how it is started. Out: a failed assertion that lists every answer that is not the policy's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use llmguard::diag::Sink;
use llmguard::policy::plan::{Plan, Proxy};
use llmguard::policy::variables::Variables;
use llmguard::policy::{env_file, validate};
use llmguard::prove::corpus::{self, Entry, Expect, Kind, Wanted};
use llmguard::prove::engine::{Answer, Decides as _, Engine, NoEngine};
use llmguard::prove::judge::shown;
use llmguard::prove::moved::Phase;
use llmguard::prove::question::Question;
use llmguard::prove::stage::Form;
use llmguard::prove::upstream::Seen;
use llmguard::prove::wire::{Exchange, Leave, Part};
use llmguard::prove::{self, limits, questions, wire};
use llmguard::source::SourceFile;

/// The fewest requests that a policy is judged by, where it is asked for at all.
const FEWEST: usize = 600;

/// A policy of the suite.
struct Policy {
    name: String,
    file: SourceFile,
    plan: Plan,
    entries: Vec<Entry>,
    /// Targets that can't enforce it, with the key that they name.
    gaps: BTreeMap<String, String>,
}

fn load(folder: &Path) -> Policy {
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let file = SourceFile::read(&folder.join("llmguard.toml")).unwrap();
    let env = env_file::parse(&std::fs::read_to_string(folder.join("env")).unwrap_or_default());
    let values = env.entries.into_iter().map(|entry| (entry.name, entry.value)).collect();
    let variables = Variables { process: BTreeMap::new(), file: Some(values) };
    let mut sink = Sink::default();
    let plan = validate::plan(&file, &variables, &mut sink);
    let problems: Vec<String> = sink.list.iter().map(|problem| problem.render(false)).collect();
    let plan = plan.unwrap_or_else(|| panic!("{name}:\n{}", problems.join("\n")));
    let entries = corpus::read(&std::fs::read_to_string(folder.join("requests.jsonl")).unwrap_or_default());
    let entries = entries.unwrap_or_else(|reason| panic!("{name}/requests.jsonl: {reason}"));
    let gaps = std::fs::read_to_string(folder.join("gaps")).unwrap_or_default();
    let gaps =
        gaps.lines().filter_map(|line| line.split_once(' ')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    Policy { name, file, plan, entries, gaps }
}

fn policies() -> Vec<Policy> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/conformance");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("llmguard.toml").is_file());
    folders.sort();
    assert!(folders.len() >= 6, "policies are missing");
    folders.iter().map(|folder| load(folder)).collect()
}

/// A server that runs, and what must outlive it.
pub trait Started {
    /// The server.
    fn engine(&mut self) -> &mut Engine;
    /// Stops it.
    fn end(self);
}

impl Started for Engine {
    fn engine(&mut self) -> &mut Engine {
        self
    }

    fn end(self) {
        self.stop();
    }
}

/// Asks one form everything about every policy.
pub fn conforms<S: Started>(form: &Form, start: impl Fn(&Plan, Phase) -> Result<S, NoEngine>) {
    let mut wrong = Vec::new();
    for policy in policies() {
        let gap = policy.gaps.get(form.target);
        let mut started = match start(&policy.plan, Phase::Contract) {
            Ok(started) => {
                assert_eq!(gap, None, "{}: a gap was expected", policy.name);
                started
            }
            Err(NoEngine::Gaps(reasons)) => {
                let named = gap.is_some_and(|key| reasons.iter().any(|reason| reason.contains(key.as_str())));
                assert!(named, "{}: an unexpected gap: {reasons:?}", policy.name);
                println!("{}: {} can't enforce it, as it should say: {reasons:?}", policy.name, form.target);
                continue;
            }
            Err(NoEngine::Failed(reason)) => panic!("{} on {}: {reason}", policy.name, form.target),
        };
        let engine = started.engine();
        let list = questions::questions(&engine.moved.plan, &engine.moved.passwords).unwrap();
        let report = prove::ask(engine, &policy.file, &list, |_| {});
        let by_hand = ask_by_hand(engine, &policy, &mut wrong);
        println!(
            "{}: {}: {} requests, {by_hand} by hand, forced {:?}",
            policy.name, report.server, report.asked, report.forced
        );
        assert!(report.asked >= FEWEST, "{}: only {} requests", policy.name, report.asked);
        for item in &report.wrong {
            wrong.push(format!(
                "{}: {}: {}: {:?}: policy {:?}: {}",
                policy.name,
                report.server,
                item.question.name,
                item.question
                    .request
                    .headers
                    .iter()
                    .map(|(name, value)| format!("{}: {}", shown(name), shown(value)))
                    .collect::<Vec<_>>(),
                item.expected.verdict,
                item.complaints.join("; ")
            ));
        }
        streams(engine, &policy, &mut wrong);
        wrong.extend(prove::leaks(engine, &list).into_iter().map(|leak| format!("{}: {leak}", policy.name)));
        started.end();
        let mut started = match start(&policy.plan, Phase::Limits) {
            Ok(started) => started,
            Err(reason) => panic!("{}: {reason:?}", policy.name),
        };
        let tried = limits::ask(started.engine());
        started.end();
        wrong.extend(tried.problems.into_iter().map(|problem| format!("{}: {problem}", policy.name)));
    }
    assert!(wrong.is_empty(), "{} answers are not the policy's:\n{}", wrong.len(), wrong.join("\n"));
}

/// Asks the requests whose answers are written by hand; gives their number.
fn ask_by_hand(engine: &mut Engine, policy: &Policy, wrong: &mut Vec<String>) -> usize {
    let plan = engine.moved.plan.clone();
    let passwords = engine.moved.passwords.clone();
    let host = format!("{}:{}", plan.listen.address, plan.listen.port);
    let secret = |wanted: Wanted<'_>| match wanted {
        Wanted::Key(client, number) => {
            let client = plan.clients.iter().find(|own| own.name == client)?;
            Some(client.keys.get(number - 1)?.value.as_ref()?.reveal().to_owned())
        }
        Wanted::Password(client) => passwords.get(client).cloned(),
    };
    for (index, entry) in policy.entries.iter().enumerate() {
        let mut request = entry.ask.request(&host, secret).unwrap_or_else(|reason| panic!("{}: {reason}", entry.name));
        // The generated questions come from 127.1 and on.
        let [_, _, middle, low] = (index as u32 + 1).to_be_bytes();
        request.client_ip = std::net::IpAddr::from([127, 100, middle, low]);
        request.sni = entry.ask.sni(&plan);
        let name = entry.name.clone();
        let question = Question { name, request, chunked: entry.ask.chunked, script: "plain" };
        let Answer::Observed(observed) = engine.ask(&question) else { continue };
        let (exchange, seen) = *observed;
        let server = match engine.form.proxy {
            Proxy::Nginx => "nginx",
            Proxy::Caddy => "caddy",
            Proxy::Traefik => "traefik",
        };
        let expected = entry.expected(server);
        if !expected.iter().any(|expect| is(expect, &exchange, &seen)) {
            let reached: Vec<String> = seen.iter().map(|seen| shown(&seen.target)).collect();
            wrong.push(format!(
                "{}: by hand `{}`: status {:?} ({:?}), upstream {reached:?}, headers {:?} instead of {expected:?}",
                policy.name,
                entry.name,
                exchange.status,
                exchange.end,
                exchange.headers.iter().map(|(name, value)| format!("{name}: {}", shown(value))).collect::<Vec<_>>(),
            ));
        }
    }
    policy.entries.len()
}

/// Whether an answer is the one that was written down.
fn is(expect: &Expect, exchange: &Exchange, seen: &[Seen]) -> bool {
    let status = exchange.status.unwrap_or(444);
    let right = match expect.outcome {
        // Of a body that turns out too large the start may be on its way.
        Kind::Refused => {
            expect.statuses.contains(&status) && seen.iter().all(|seen| status == 413 && !seen.body_complete)
        }
        Kind::Answered => expect.statuses.contains(&status) && seen.is_empty(),
        Kind::Proxied => match seen {
            [seen] => {
                status == 200
                    && expect
                        .target
                        .as_deref()
                        .is_some_and(|target| target.chars().map(|c| c as u8).eq(seen.target.iter().copied()))
            }
            _ => false,
        },
    };
    let has = |values: Vec<String>, wanted: &Option<String>| match wanted {
        None => values.is_empty(),
        Some(wanted) => values == [wanted.clone()],
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    right
        && expect.headers.iter().all(|(name, wanted)| has(exchange.header_all(name).map(text).collect(), wanted))
        && expect
            .seen
            .iter()
            .all(|(name, wanted)| seen.iter().all(|seen| has(seen.header_all(name).map(text).collect(), wanted)))
}

/// The first chunk is passed on at once, and a client that leaves ends the upstream's work.
fn streams(engine: &mut Engine, policy: &Policy, wrong: &mut Vec<String>) {
    let list = questions::questions(&engine.moved.plan, &engine.moved.passwords).unwrap();
    let models = !policy.plan.access.models.is_empty();
    let Some(mut question) = list.into_iter().find(|question| {
        let name = &question.name;
        !models && question.request.method == b"POST" && name.starts_with("beside a good credential")
    }) else {
        return;
    };
    question
        .request
        .headers
        .retain(|(name, _)| matches!(name.to_ascii_lowercase().as_slice(), b"host" | b"authorization" | b"x-api-key"));
    question = question.body(b"{\"model\":\"m\"}".to_vec(), false);
    question.script = "stream:4:300";
    question.request.client_ip = std::net::IpAddr::from([127, 99, 0, 1]);
    // A busy machine may be late once: held back by the server it would be late each time.
    let mut late = Vec::new();
    for _ in 0..3 {
        let Answer::Observed(observed) = engine.ask(&question) else { return };
        let chunks = observed.0.chunks;
        if chunks.first().is_some_and(|(at, _)| *at <= Duration::from_millis(250)) && chunks.len() >= 4 {
            late.clear();
            break;
        }
        late.push(chunks);
    }
    if !late.is_empty() {
        wrong.push(format!("{}: a stream of 4 chunks 300 ms apart came at {late:?}", policy.name));
    }
    question.script = "stream:100:100";
    question.request.client_ip = std::net::IpAddr::from([127, 99, 0, 2]);
    let id = engine.id();
    let target = engine.target(&question);
    wire::exchange_parts(
        &target,
        "POST",
        &[Part::now(question.bytes(id))],
        Some(Leave::AtBody(10)),
        Duration::from_secs(10),
    );
    let left = engine
        .upstreams
        .iter()
        .any(|upstream| upstream.wait(id, Duration::from_secs(3), |seen| seen.client_left).is_some());
    if !left {
        wrong.push(format!("{}: the upstream went on after its client had left", policy.name));
    }
}
