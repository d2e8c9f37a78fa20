//! What is rendered for Traefik is read back: without a problem, and with the policy's own answers to requests written by hand.
//!
//! In: the policies of `fixtures/conformance`. Out: every problem, and every answer that isn't the policy's.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not there")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use llmguard::diag::{Severity, Sink};
use llmguard::dialect::{Options, Variables, traefik};
use llmguard::gateway::Gateway;
use llmguard::gateway::eval::{Verdict, evaluate};
use llmguard::http::Request;
use llmguard::http::line::{Line, text};
use llmguard::policy::plan::Plan;
use llmguard::policy::{env_file, validate, variables};
use llmguard::render::Site;
use llmguard::render::target::Target;
use llmguard::source::SourceFile;
use serde_json::Value;

struct Policy {
    name: String,
    file: SourceFile,
    plan: Plan,
    values: BTreeMap<String, String>,
    requests: Vec<Value>,
}

fn policies() -> Vec<Policy> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/conformance");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("llmguard.toml").is_file());
    folders.sort();
    folders.iter().map(|folder| load(folder)).collect()
}

fn load(folder: &Path) -> Policy {
    let file = SourceFile::read(&folder.join("llmguard.toml")).unwrap();
    let env = env_file::parse(&std::fs::read_to_string(folder.join("env")).unwrap_or_default());
    let shown = env.entries.iter().map(|entry| (entry.name.clone(), entry.value.reveal().to_owned()));
    let values: BTreeMap<String, String> = shown.collect();
    let own = env.entries.into_iter().map(|entry| (entry.name, entry.value)).collect();
    let set = variables::Variables { process: BTreeMap::new(), file: Some(own) };
    let plan = validate::plan(&file, &set, &mut Sink::default()).unwrap();
    let lines = std::fs::read_to_string(folder.join("requests.jsonl")).unwrap_or_default();
    let requests = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
    Policy { name: folder.file_name().unwrap().to_string_lossy().into_owned(), file, plan, values, requests }
}

/// What the target's files mean, and the problems that were told.
fn read(policy: &Policy) -> (Gateway, Vec<String>) {
    let site = Site { command: "llmguard render".to_owned(), root: false };
    let output = Target::find("traefik-file").unwrap().render(&policy.plan, &site);
    let files: Vec<(PathBuf, String)> = output
        .files
        .iter()
        .filter(|file| file.path.contains("traefik") && file.path.contains(".yml"))
        .map(|file| (PathBuf::from(file.path.trim_end_matches(".tmpl")), file.content.clone()))
        .collect();
    let variables = Variables { values: policy.values.clone(), complete: true, ..Default::default() };
    let reading = traefik::read_gateway(&files, &Options { variables, ..Options::default() });
    let problems = reading.problems.list.iter().filter(|problem| problem.severity != Severity::Note);
    (reading.gateway, problems.map(|problem| problem.render(false)).collect())
}

/// A request line with its braces filled in; absent: it needs a client's certificate, or more than one line says.
fn request(policy: &Policy, ask: &Value, port: u16) -> Option<Request> {
    let mut line = ask.clone();
    let fields = line.as_object_mut()?;
    let chunked = fields.remove("chunked").is_some();
    if fields.contains_key("sni") {
        return None;
    }
    fields.insert("port".to_owned(), port.into());
    let text = line.to_string();
    if text.contains("{key:") || text.contains("{basic:") || text.contains("{password:") {
        let mut filled = text;
        while let Some(start) = filled.find("{key:") {
            let end = start + filled[start..].find('}')?;
            let mut parts = filled[start + 5..end].split(':');
            let name = parts.next()?.to_uppercase();
            let variable = parts.next().map_or(format!("{name}_KEY"), |number| format!("{name}_KEY_{number}"));
            let value = policy.values.get(&variable)?.clone();
            filled.replace_range(start..=end, &value);
        }
        if filled.contains("{basic:") || filled.contains("{password:") {
            return None;
        }
        line = serde_json::from_str(&filled).unwrap();
    }
    let mut request = Line::read(line).ok()?.request(&format!("127.0.0.1:{port}")).ok()?;
    if chunked {
        request.headers.push((b"Transfer-Encoding".to_vec(), b"chunked".to_vec()));
    }
    Some(request)
}

/// Whether a decision is one of those that are right: an object with `outcome`, or a list of them.
fn is_right(verdict: &Verdict, expect: &Value) -> bool {
    if let Some(list) = expect.as_array() {
        return list.iter().any(|one| is_right(verdict, one));
    }
    let is_one_of = |status: u16| match (&expect["status"], &expect["statuses"]) {
        (Value::Number(one), _) => one.as_u64() == Some(status.into()),
        (_, Value::Array(list)) => list.iter().any(|one| one.as_u64() == Some(status.into())),
        _ => true,
    };
    match (verdict, expect["outcome"].as_str()) {
        (Verdict::Refused(status), Some("refused")) | (Verdict::Answered(status), Some("answered")) => {
            is_one_of(*status)
        }
        (Verdict::Proxied { target, .. }, Some("proxied")) => {
            expect["target"].as_str().is_none_or(|right| *right == text(target))
        }
        _ => false,
    }
}

#[test]
fn rendered_files_are_read_back_as_the_policy() {
    let mut told = Vec::new();
    let mut asked = 0;
    for policy in policies() {
        if std::fs::read_to_string(policy.file.folder().join("gaps")).unwrap_or_default().contains("traefik-file") {
            continue;
        }
        let (gateway, problems) = read(&policy);
        told.extend(problems.into_iter().map(|problem| format!("{}: {problem}", policy.name)));
        for line in &policy.requests {
            let Some(request) = request(&policy, &line["ask"], policy.plan.listen.port) else { continue };
            let expect =
                if line["differs"]["traefik"].is_null() { &line["expect"] } else { &line["differs"]["traefik"] };
            let verdict = evaluate(&gateway, &request).verdict;
            asked += 1;
            if !is_right(&verdict, expect) {
                told.push(format!("{}: {}\n  read: {verdict:?}\n  right: {expect}", policy.name, line["ask"]));
            }
        }
    }
    assert!(asked > 1000, "{asked}");
    assert!(told.is_empty(), "{} of {asked}:\n{}", told.len(), told.join("\n"));
}
