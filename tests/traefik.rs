//! What is rendered for Traefik is read back: without a problem, and with the policy's own answers to requests written by hand.
//!
//! In: the policies of `fixtures/conformance`. Out: every problem, and every answer that isn't the policy's.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not there")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use llmguard::diag::{Severity, Sink};
use llmguard::dialect::{Options, Variables, traefik};
use llmguard::gateway::Gateway;
use llmguard::gateway::eval::{Verdict, evaluate};
use llmguard::http::Request;
use llmguard::http::line::Line;
use llmguard::lower;
use llmguard::policy::plan::Plan;
use llmguard::policy::{env_file, validate, variables};
use llmguard::render::Site;
use llmguard::render::target::Target;
use llmguard::source::SourceFile;
use serde_json::{Value, json};

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
    let requests = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["ask"].clone()).collect();
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
    let variables = Variables { values: policy.values.clone(), complete: true };
    let reading = traefik::read_gateway(&files, &Options { variables, ..Options::default() });
    let problems = reading.problems.list.iter().filter(|problem| problem.severity != Severity::Note);
    (reading.gateway, problems.map(|problem| problem.render(false)).collect())
}

/// A request line with its braces filled in; absent: it needs a client's certificate, or more than one line says.
fn request(policy: &Policy, ask: &Value, port: u16) -> Option<Request> {
    let mut line = ask.clone();
    let fields = line.as_object_mut()?;
    let chunked = fields.remove("chunked").is_some();
    fields.remove("sni");
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
        let expected = lower::gateway(&policy.plan, &policy.file);
        for ask in &policy.requests {
            let port = policy.plan.listen.port;
            let Some(request) = request(&policy, ask, port) else { continue };
            asked += 1;
            let (own, right) = (evaluate(&gateway, &request), evaluate(&expected, &request));
            let alike = match (&own.verdict, &right.verdict) {
                (Verdict::Refused(own), Verdict::Refused(right)) => own == right,
                (Verdict::Proxied { target, .. }, Verdict::Proxied { target: right, .. }) => target == right,
                (own, right) => own == right,
            };
            if !alike {
                let told_line = json!({"policy": policy.name, "ask": ask});
                told.push(format!("{told_line}\n  read: {:?}\n  policy: {:?}", own.verdict, right.verdict));
            }
        }
    }
    assert!(asked > 100, "{asked}");
    assert!(told.is_empty(), "{} of {asked}:\n{}", told.len(), told.join("\n"));
}
