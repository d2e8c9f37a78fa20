//! The evaluator against answers that were decided by hand from the contract's text.
//!
//! In: `fixtures/conformance/*/{llmguard.toml, env, requests.jsonl}`. Out: every request whose decision is none of the right ones.
//! These answers guard `lower`: were they made by the program, a wrong reading of the policy would agree with itself.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use llmguard::diag::Sink;
use llmguard::gateway::Gateway;
use llmguard::gateway::eval::{Outcome, Verdict, evaluate};
use llmguard::http::line::text;
use llmguard::lower;
use llmguard::policy::plan::Plan;
use llmguard::policy::variables::Variables;
use llmguard::policy::{env_file, validate};
use llmguard::prove::corpus::{self, Entry, Expect, Kind, Wanted};
use llmguard::secret::Secret;
use llmguard::source::SourceFile;

/// One folder of `fixtures/conformance`.
struct Case {
    name: String,
    plan: Plan,
    gateway: Gateway,
    values: BTreeMap<String, Secret>,
    entries: Vec<Entry>,
}

impl Case {
    fn read(folder: &Path) -> Case {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let file = SourceFile::read(&folder.join("llmguard.toml")).unwrap();
        let env = env_file::parse(&fs::read_to_string(folder.join("env")).unwrap());
        assert!(env.errors.is_empty() && env.warnings.is_empty(), "{name}/env: {:?}", env.errors);
        let values: BTreeMap<_, _> = env.entries.into_iter().map(|entry| (entry.name, entry.value)).collect();
        let variables = Variables { process: BTreeMap::new(), file: Some(values.clone()) };
        let mut sink = Sink::default();
        let Some(plan) = validate::plan(&file, &variables, &mut sink) else {
            panic!("{}", sink.sorted().iter().map(|problem| problem.render(true)).collect::<String>());
        };
        let gateway = lower::gateway(&plan, &file);
        let entries = corpus::read(&fs::read_to_string(folder.join("requests.jsonl")).unwrap());
        Case {
            entries: entries.unwrap_or_else(|reason| panic!("{name}/requests.jsonl: {reason}")),
            name,
            plan,
            gateway,
            values,
        }
    }

    /// The secret behind a placeholder. A password stands in the variable `CLIENT_PASSWORD`, which the policy does not name.
    fn secret(&self, wanted: Wanted<'_>) -> Option<String> {
        match wanted {
            Wanted::Key(client, number) => {
                let client = self.plan.clients.iter().find(|known| known.name == client)?;
                Some(client.keys.get(number.checked_sub(1)?)?.value.as_ref()?.reveal().to_owned())
            }
            Wanted::Password(client) => {
                let name = format!("{}_PASSWORD", client.to_ascii_uppercase().replace('-', "_"));
                Some(self.values.get(&name)?.reveal().to_owned())
            }
        }
    }
}

#[test]
fn the_evaluator_gives_the_answers_decided_by_hand() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/conformance");
    let mut folders: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    assert!(folders.len() >= 9, "the conformance policies are gone");
    let mut asked = 0;
    let mut wrong = Vec::new();
    for case in folders.iter().map(|folder| Case::read(folder)) {
        let listener = case.gateway.listener(None).unwrap();
        let host = format!("{}:{}", listener.address, listener.port);
        for entry in &case.entries {
            let request = entry.ask.request(&host, |wanted| case.secret(wanted));
            let mut request = request.unwrap_or_else(|reason| panic!("{}: {}: {reason}", case.name, entry.name));
            request.sni = entry.ask.sni(&case.plan);
            let outcome = evaluate(&case.gateway, &request);
            asked += 1;
            let right = entry.expect.iter().any(|expect| agrees(expect, &outcome));
            if !right {
                let ask = format!("{} {}", entry.ask.line.method, entry.ask.line.target.escape_debug());
                wrong.push(format!(
                    "{}: {} ({ask}): {:?} by {:?}, right: {:?}",
                    case.name, entry.name, outcome.verdict, outcome.client, entry.expect
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {asked} decisions differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Whether a decision is this answer. What only a server's answer carries (headers) is not judged here.
fn agrees(expect: &Expect, outcome: &Outcome) -> bool {
    let verdict = match (&outcome.verdict, expect.outcome) {
        (Verdict::Refused(status), Kind::Refused) | (Verdict::Answered(status), Kind::Answered) => {
            expect.statuses.contains(status)
        }
        (Verdict::Proxied { target, .. }, Kind::Proxied) => expect.target.as_deref() == Some(text(target).as_str()),
        _ => false,
    };
    verdict && expect.client.as_ref().is_none_or(|client| *client == outcome.client)
}
