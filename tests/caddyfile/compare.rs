//! What Caddy makes of a Caddyfile beside what is made here.
//!
//! In: Caddyfiles. Out: each difference in a few words. Invariant: only what is listed in [`drop_unread`] isn't compared.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use llmguard::diag::{Severity, Sink};
use llmguard::dialect::caddy::adapt;
use llmguard::dialect::document::{Document, Kind, NodeId, Style};
use llmguard::dialect::{Options, Variables};
use serde_json::{Map, Value};

/// The variables that the texts name.
pub const VARIABLES: &[(&str, &str)] = &[
    ("V", "hi 202"),
    ("NL", "a\nrespond b"),
    ("Q", "a\" 201\nheader X \"y"),
    ("E", ""),
    ("W", "{$V}"),
    ("ADDRESS", ":81, :82"),
    ("DIRECTIVE", "respond x 203"),
    ("SET", "set"),
];

/// What became of a Caddyfile.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// Its JSON.
    Adapted(Value),
    /// It is refused: the file's name and the line that is told, if one is.
    Refused(Option<(String, usize)>),
}

/// Reads a Caddyfile here.
pub fn ours(path: &Path) -> Outcome {
    let mut sink = Sink::default();
    let values: BTreeMap<String, String> =
        VARIABLES.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let options =
        Options { variables: Variables { values, complete: true, ..Default::default() }, ..Options::default() };
    let adapted = adapt(path, &path.display().to_string(), &options, &mut sink);
    if let Some(first) = sink.list.iter().find(|problem| problem.severity == Severity::Error) {
        let place = first.file.as_ref().zip(first.span.as_ref());
        let line = place.map(|(file, (span, _))| (file.path.display().to_string(), file.line_column(span.start).line));
        // Where a plugin is missing Caddy stops before it sees the error. Behind a hidden line end it counts other lines than editors.
        let hidden = regex::Regex::new(r"\\\r?\n|#[^\n]*\\").unwrap();
        let other = !adapted.facts.plugins.is_empty() || adapted.files.iter().any(|file| hidden.is_match(&file.text));
        return Outcome::Refused(line.filter(|_| !other));
    }
    if !adapted.facts.plugins.is_empty() {
        return Outcome::Refused(None);
    }
    let document = &adapted.document;
    let mut json = document.root.map_or(Value::Null, |root| value(document, root));
    drop_unread(&mut json);
    Outcome::Adapted(json)
}

fn value(document: &Document, id: NodeId) -> Value {
    match &document.nodes[id.0 as usize].kind {
        Kind::Null => Value::Null,
        Kind::Scalar(text, Style::Quoted) => Value::String(text.to_string()),
        Kind::Scalar(text, Style::Plain) => serde_json::from_str(text).unwrap(),
        Kind::List(items) => items.iter().map(|id| value(document, *id)).collect(),
        Kind::Map(entries) => {
            let entries = entries.iter().map(|entry| (entry.key.to_string(), value(document, entry.value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Kind::Alias(id) => value(document, *id),
    }
}

/// Asks Caddy.
pub fn caddys(program: &Path, folder: &Path, path: &Path) -> Outcome {
    let output = Command::new(program)
        .args(["adapt", "--adapter", "caddyfile", "--config"])
        .arg(path)
        .current_dir(folder)
        .env_clear()
        .envs(VARIABLES.iter().copied())
        .env("HOME", std::env::temp_dir())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if output.status.success() {
        let mut json = serde_json::from_slice(&output.stdout).unwrap();
        drop_unread(&mut json);
        return Outcome::Adapted(json);
    }
    let told = String::from_utf8_lossy(&output.stderr);
    let last = told.trim_end().lines().next_back().unwrap_or_default();
    let message = serde_json::from_str::<Value>(last).ok();
    Outcome::Refused(message.as_ref().and_then(|json| line(json["msg"].as_str()?)))
}

/// The file and line in Caddy's message. Some messages name the end of the block around the mistake: they tell no line.
fn line(message: &str) -> Option<(String, usize)> {
    let vague = [
        "incomplete heredoc",
        "unrecognized matcher name",
        " - are you sure",
        "is not an ordered",
        "returned something other",
    ];
    if vague.iter().any(|vague| message.contains(vague)) {
        return None;
    }
    let found = regex::Regex::new(r", at (\S*?):(\d+)|^(\S+?):(\d+): ").unwrap().captures(message)?;
    let file = found.get(1).or(found.get(3))?.as_str();
    let line: usize = found.get(2).or(found.get(4))?.as_str().parse().unwrap();
    (line > 0).then(|| (file.to_owned(), line))
}

/// Takes out what no answer depends on and what isn't made here: `apps.pki`, and `apps.tls` but for the certificates that are loaded.
pub fn drop_unread(json: &mut Value) {
    let Some(apps) = json.get_mut("apps").and_then(Value::as_object_mut) else { return };
    apps.remove("pki");
    if let Some(tls) = apps.get_mut("tls").and_then(Value::as_object_mut) {
        tls.retain(|name, _| name == "certificates");
        if let Some(certificates) = tls.get_mut("certificates").and_then(Value::as_object_mut) {
            certificates.remove("automate");
            if certificates.is_empty() {
                tls.remove("certificates");
            }
        }
        if tls.is_empty() {
            apps.remove("tls");
        }
    }
    if apps.is_empty() {
        json.as_object_mut().unwrap().remove("apps");
    }
}

/// What differs; nothing: they agree.
pub fn difference(caddys: &Outcome, ours: &Outcome) -> Option<String> {
    match (caddys, ours) {
        (Outcome::Refused(Some((_, caddys))), Outcome::Refused(Some((file, ours)))) if caddys != ours => {
            Some(format!("Caddy tells line {caddys}, here it is {file}:{ours}"))
        }
        (Outcome::Refused(_), Outcome::Refused(_)) => None,
        (Outcome::Adapted(caddys), Outcome::Adapted(ours)) => json_difference(caddys, ours, "$"),
        _ => Some(format!("Caddy: {}\nhere: {}", short(caddys), short(ours))),
    }
}

fn short(outcome: &Outcome) -> String {
    format!("{outcome:?}").chars().take(400).collect()
}

fn json_difference(caddys: &Value, ours: &Value, path: &str) -> Option<String> {
    match (caddys, ours) {
        (Value::Object(one), Value::Object(two)) => {
            let keys: std::collections::BTreeSet<&String> = one.keys().chain(two.keys()).collect();
            let member = |map: &Map<String, Value>, key: &String| map.get(key).cloned().unwrap_or(Value::Bool(false));
            keys.into_iter()
                .find_map(|key| json_difference(&member(one, key), &member(two, key), &format!("{path}.{key}")))
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            let pairs = one.iter().zip(two).enumerate();
            pairs.into_iter().find_map(|(at, (one, two))| json_difference(one, two, &format!("{path}[{at}]")))
        }
        _ if caddys == ours => None,
        _ => {
            let text = |value: &Value| value.to_string().chars().take(400).collect::<String>();
            Some(format!("{path}\nCaddy: {}\nhere: {}", text(caddys), text(ours)))
        }
    }
}
